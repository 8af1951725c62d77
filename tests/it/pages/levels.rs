//! What the pages hide, and what they remember.

use vobiz_simulator::{Endpoint, Vendor};

use crate::harness::{Exporter, Scrape, accounts_config, ask, vendor};

const PATHS: [&str; 7] = [
    "/",
    "/endpoints?q=secret",
    "/endpoints/main/4242",
    "/groups",
    "/outages",
    "/reports",
    "/walks",
];
const OUTAGE: &str = "vobiz_outage_start_timestamp_seconds";

/// An exporter with one endpoint of the account `main` that has these names.
async fn exporter(more: &str, account: &str) -> (Vendor, Exporter) {
    let vendor = vendor([("main", 10)]).await;
    vendor.edit(|world| {
        let named = Endpoint::new("4242")
            .alias("Front desk")
            .username("secret-name");
        world.first_mut().push(named);
    });
    let configuration = accounts_config(&vendor, "", [("main", account)]) + more;
    let exporter = Exporter::start(&configuration).await;
    exporter
        .until("a walk", |scrape| scrape.up("main") == Some(1.0))
        .await;
    (vendor, exporter)
}

#[tokio::test]
async fn pages_can_show_only_numbers_or_nothing() {
    let with_groups = "groups: [{name: desk, match: {alias: 'Front.*'}, min_registered: 1}]";
    for (level, statuses, shows_account, shows_name) in [
        ("full", [200; 7], true, true),
        ("counts", [200, 404, 404, 200, 200, 200, 200], true, false),
        ("off", [200, 404, 404, 404, 404, 404, 404], false, false),
    ] {
        let (_vendor, exporter) =
            exporter(&format!("web: {{pages: {level}}}\n"), with_groups).await;
        let mut found = Vec::new();
        for (path, expected) in PATHS.into_iter().zip(statuses) {
            let (status, _, body) = exporter.get(path).await;
            assert_eq!(status, expected, "{level}: {path}");
            found.push(body);
        }
        let all = found.join("\n");
        assert_eq!(all.contains(">main</a>"), shows_account, "{level}");
        assert_eq!(all.contains("Front desk"), shows_name, "{level}");
        assert!(level == "full" || !all.contains("4242"), "{level}");
        assert!(found[0].contains("/metrics"), "{level}");
    }
}

#[tokio::test]
async fn hidden_usernames_are_on_no_page_and_are_not_found() {
    for (username, is_hidden) in [("true", false), ("false", true)] {
        let account = format!("metrics: {{username: {username}, groups: [user_agent, contact]}}");
        let (_vendor, exporter) = exporter("", &account).await;
        let mut all = String::new();
        for path in PATHS {
            all += &exporter.get(path).await.2.replace("value=\"secret\"", "");
        }
        assert_eq!(all.contains("secret-name"), !is_hidden, "{username}");
        let found = if is_hidden { "0 of 11" } else { "1 of 11" };
        assert!(all.contains(found), "{username}: {found}");
        assert!(
            all.contains("Front desk"),
            "the alias is in the metrics, too"
        );
    }
}

#[tokio::test]
async fn past_outages_and_events_are_shown_after_a_restart_and_not_kept_without_a_directory() {
    let vendor = vendor([("main", 12)]).await;
    let register = |registered| {
        vendor.edit(|world| {
            let now = world.now();
            world
                .first_mut()
                .edit_all(|one| one.set_registered(registered, now));
        });
    };
    register(true);
    let folder = tempfile::tempdir().unwrap();
    let plain =
        accounts_config(&vendor, "", [("main", "")]).replace("poll: {", "poll: {flip_share: 1, ");
    let stored = format!(
        "{plain}state: {{directory: '{}'}}\n",
        folder.path().display()
    );
    let exporter = Exporter::start(&stored).await;
    exporter
        .until("a walk", |scrape| scrape.up("main") == Some(1.0))
        .await;
    register(false);
    let open = exporter
        .until("the outage", |scrape| scrape.count(OUTAGE, &[]) == 1)
        .await;
    let (_, _, page) = exporter.get("/outages").await;
    assert!(
        page.contains("12 of 12") && page.contains("No past outage is stored"),
        "{page}"
    );
    register(true);
    exporter
        .until("its end", |scrape: &Scrape| scrape.count(OUTAGE, &[]) == 0)
        .await;
    let id = vendor.edit(|world| world.first().at(0).unwrap().id().to_owned());
    let shown = async |exporter: &Exporter| {
        let (_, _, page) = exporter.get("/outages").await;
        assert!(page.contains("No outage is open."), "{page}");
        let link = page
            .split("href=\"")
            .find(|link| link.contains("opened="))
            .unwrap();
        let link = link.split('"').next().unwrap().replace("&#38;", "&");
        let (status, _, outage) = exporter.get(link.strip_prefix('.').unwrap()).await;
        assert_eq!(status, 200, "{link}");
        assert!(outage.contains(&format!("endpoints/main/{id}")), "{outage}");
        let (_, _, endpoint) = exporter.get(&format!("/endpoints/main/{id}")).await;
        assert!(
            endpoint.contains("registered again; it was lost at"),
            "{endpoint}"
        );
        let (status, _, other) = exporter.get("/reports?account=other").await;
        assert_eq!(status, 404, "{other}");
        assert!(other.contains("no account has this name"), "{other}");
        let (_, _, report) = exporter.get("/reports?since=1d&account=main").await;
        assert!(
            report.contains("Available: ") && report.contains(&id),
            "{report}"
        );
        link
    };
    let link = shown(&exporter).await;
    exporter.terminate().await;
    let exporter = Exporter::start(&stored).await;
    exporter
        .until("a walk", |scrape| scrape.up("main") == Some(1.0))
        .await;
    assert_eq!(shown(&exporter).await, link, "the link lasts");
    assert!(open.count(OUTAGE, &["scope=\"account\""]) == 1);
    exporter.terminate().await;

    let exporter = Exporter::start(&plain).await;
    exporter
        .until("a walk", |scrape| scrape.up("main") == Some(1.0))
        .await;
    let (_, _, page) = exporter.get("/outages").await;
    assert!(page.contains("kept only with a state directory"), "{page}");
    let (_, _, page) = exporter.get("/reports").await;
    assert!(page.contains("need a state directory"), "{page}");
    let (_, _, page) = exporter.get(&format!("/endpoints/main/{id}")).await;
    assert!(page.contains("kept only with a state directory"), "{page}");
}

#[tokio::test]
async fn the_button_of_a_page_shows_what_the_api_says_now() {
    let (_vendor, exporter) = exporter("probe: {enabled: true}\n", "").await;
    let (_, _, page) = exporter.get("/endpoints/main/4242").await;
    assert!(page.contains("Ask the API now"), "{page}");
    let path = "/endpoints/main/4242";
    for (headers, status) in [
        (vec![("Origin", "http://exporter")], 200),
        (vec![("Sec-Fetch-Site", "same-origin")], 200),
        (vec![("Origin", "http://elsewhere.example")], 403),
        (
            vec![
                ("Origin", "http://exporter"),
                ("Sec-Fetch-Site", "cross-site"),
            ],
            403,
        ),
        (vec![], 403),
    ] {
        let answer = ask(exporter.address(), "POST", path, &headers).await;
        assert_eq!(answer.status, status, "{headers:?}");
        let is_answered = answer.text().contains("probe_success 1");
        assert_eq!(is_answered, status == 200, "{headers:?}: {}", answer.text());
    }
}
