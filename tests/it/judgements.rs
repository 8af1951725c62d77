//! The judgements that a scrape shows: missed endpoints, and groups below their minimum.

use std::collections::BTreeMap;

use vobiz_simulator::{Endpoint, Fault, Vendor};

use crate::harness::{
    Exporter, Program, Scrape, accounts_config, auth_id, is_closed, label, listed, until, vendor,
};

const MISSED: &str = "vobiz_endpoint_missed_timestamp_seconds";
const BELOW: &str = "vobiz_group_below_minimum_timestamp_seconds";

/// A vendor with 45 endpoints, and the state directory of its exporter.
struct Place {
    vendor: Vendor,
    directory: tempfile::TempDir,
}

impl Place {
    async fn new() -> Self {
        Self {
            vendor: vendor([("main", 45)]).await,
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// Starts an exporter with these groups.
    async fn start(&self, groups: &str) -> Exporter {
        let account = format!("groups: {groups}");
        let configuration = accounts_config(&self.vendor, "retries: 0", [("main", &*account)])
            + &format!(
                "state: {{directory: \"{}\"}}\n",
                self.directory.path().display()
            );
        Exporter::start(&configuration).await
    }

    /// Changes an endpoint of the vendor.
    fn edit(&self, id: &str, change: impl FnOnce(&mut Endpoint)) {
        let is_found = self.vendor.edit(|world| world.first_mut().edit(id, change));
        assert!(is_found, "{id}");
    }

    fn register(&self, id: &str, registered: bool) {
        let now = self.vendor.edit(|world| world.now());
        self.edit(id, |endpoint| endpoint.set_registered(registered, now));
    }

    /// The id of an endpoint with this registration.
    fn one(&self, registered: bool) -> String {
        let mut list = listed(&self.vendor, &auth_id("main")).into_iter();
        list.find(|(_, state)| *state == Some(registered))
            .unwrap()
            .0
    }
}

/// The labels of each missed endpoint, and the time.
fn missed(scrape: &Scrape) -> BTreeMap<String, f64> {
    let family = scrape.family(MISSED);
    family
        .map(|(labels, since)| (labels.to_owned(), since))
        .collect()
}

/// Waits until this number of endpoints is missed, after a walk.
async fn until_missed(exporter: &Exporter, number: usize) -> BTreeMap<String, f64> {
    let seen = |scrape: &Scrape| scrape.up("main").is_some() && missed(scrape).len() == number;
    missed(&exporter.until("the missed endpoints", seen).await)
}

async fn kill(exporter: Exporter) {
    exporter.signal("KILL").await;
    let ended = || async { is_closed(exporter.address()).await.then_some(()) };
    until("its end", ended).await;
}

#[tokio::test]
async fn a_lost_phone_is_missed_with_the_same_labels_and_time_until_it_is_back() {
    let place = Place::new().await;
    let id = place.one(true);
    let groups =
        format!("[{{name: site, match: {{endpoint_ids: ['{id}', absent]}}, watch: page}}]");
    let exporter = place.start(&groups).await;
    until_missed(&exporter, 0).await;
    let line = exporter
        .log_line("members of a group are not in the list")
        .await;
    assert!(
        line.contains("group=site") && line.contains("names=absent"),
        "{line}"
    );
    place.register(&id, false);
    let lost = until_missed(&exporter, 1).await;
    let labels = lost.keys().next().unwrap();
    assert_eq!(label(labels, "endpoint_id"), id);
    assert_eq!(
        (label(labels, "group"), label(labels, "watch")),
        ("site", "page")
    );

    // Another username, and a group of another name: the series stays.
    place.edit(&id, |endpoint| "renamed".clone_into(&mut endpoint.username));
    kill(exporter).await;
    let renamed = groups.replace("site", "place");
    let exporter = place.start(&renamed).await;
    assert_eq!(
        missed(&exporter.scrape().await),
        lost,
        "before the first walk"
    );
    let is_renamed = |scrape: &Scrape| scrape.text.contains("username=\"renamed\"");
    let scrape = exporter.until("the new username", is_renamed).await;
    assert_eq!(missed(&scrape), lost);

    // The vendor is away for longer than the maximum age, and the exporter is killed again.
    place.vendor.plan(Fault::status(503));
    let withdrawn = |scrape: &Scrape| scrape.condition("main") == "withdrawn";
    let scrape = exporter.until("the withdrawal", withdrawn).await;
    assert_eq!(missed(&scrape), lost);
    assert!(scrape.snapshot("main").is_empty());
    kill(exporter).await;
    let exporter = place.start(&renamed).await;
    assert_eq!(missed(&exporter.scrape().await), lost);
    place.vendor.heal();
    assert_eq!(until_missed(&exporter, 1).await, lost);

    place.register(&id, true);
    until_missed(&exporter, 0).await;
    kill(exporter).await;
    assert!(missed(&place.start(&renamed).await.scrape().await).is_empty());
}

#[tokio::test]
async fn a_paged_phone_that_is_down_from_the_start_is_missed_and_an_empty_paged_group_is_below_its_minimum()
 {
    let place = Place::new().await;
    let id = place.one(false);
    let groups = format!(
        "[{{name: desk, match: {{endpoint_ids: ['{id}']}}, watch: page, min_registered: 1}}, \
          {{name: empty, match: {{alias: nobody}}, watch: page}}, \
          {{name: rest, match: {{alias: '.*'}}, min_registered: 100%}}]"
    );
    let exporter = place.start(&groups).await;
    let missed = until_missed(&exporter, 1).await;
    assert_eq!(label(missed.keys().next().unwrap(), "endpoint_id"), id);
    let below = |scrape: &Scrape| -> Vec<(String, String)> {
        let family = scrape.family(BELOW).map(|(labels, _)| {
            let text = |name| label(labels, name).to_owned();
            (text("group"), text("watch"))
        });
        family.collect()
    };
    let group = |name: &str, watch: &str| (name.to_owned(), watch.to_owned());
    let scrape = exporter.scrape().await;
    let expected = [
        group("desk", "page"),
        group("empty", "page"),
        group("rest", "notice"),
    ];
    assert_eq!(below(&scrape), expected);
    let rest = scrape.value("vobiz_group_min_registered_endpoints", &["group=\"rest\""]);
    assert_eq!(rest, Some(44.0), "all others");

    place.register(&id, true);
    until_missed(&exporter, 0).await;
    assert_eq!(below(&exporter.scrape().await), expected[1..]);
}

/// The labels and the value of each sample of a family.
fn samples(scrape: &Scrape, name: &str) -> BTreeMap<String, f64> {
    let family = scrape.family(name);
    family
        .map(|(labels, value)| (labels.to_owned(), value))
        .collect()
}

#[tokio::test]
async fn a_site_that_falls_is_one_outage_over_a_kill_until_its_phones_are_back() {
    const OUTAGE: &str = "vobiz_outage_start_timestamp_seconds";
    let place = Place::new().await;
    let list = listed(&place.vendor, &auth_id("main"));
    let registered = list.into_iter().filter(|(_, state)| *state == Some(true));
    let site: Vec<_> = registered.map(|(id, _)| id).take(12).collect();
    let groups = format!("[{{name: site, match: {{endpoint_ids: {site:?}}}, watch: page}}]");
    let exporter = place.start(&groups).await;
    until_missed(&exporter, 0).await;
    for id in &site {
        place.register(id, false);
    }
    // Two walks must find it. The second is the first one after a kill.
    let is_lost = |scrape: &Scrape| {
        let labels = ["group=\"site\"", "registration=\"unregistered\""];
        scrape.value("vobiz_group_endpoints", &labels) == Some(12.0)
    };
    exporter.until("the losses", is_lost).await;
    kill(exporter).await;
    let exporter = place.start(&groups).await;
    let scrape = exporter.until("the first walk", is_lost).await;
    assert_eq!(scrape.count(OUTAGE, &[]), 1);
    let open = samples(&scrape, OUTAGE);
    let labels = open.keys().next().unwrap();
    let expected = [
        ("scope", "group"),
        ("group", "site"),
        ("grade", "major"),
        ("usual", "false"),
    ];
    for (name, value) in expected {
        assert_eq!(label(labels, name), value);
    }
    let lost = scrape.value("vobiz_outage_endpoints", &["state=\"lost\""]);
    assert_eq!(lost, Some(12.0));
    assert!(missed(&scrape).is_empty(), "not one by one");
    exporter.log_line("an outage has begun").await;
    kill(exporter).await;
    let directory = place.directory.path().display().to_string();
    let shown = Program::new(&["state", "--state.directory", &directory, "show"])
        .run()
        .await;
    assert!(
        shown.out.contains(" group site: 12 lost, 0 recovered\n"),
        "{shown:?}"
    );

    let exporter = place.start(&groups).await;
    let scrape = exporter.scrape().await;
    assert_eq!(samples(&scrape, OUTAGE), open, "before the first walk");
    for id in &site[..9] {
        place.register(id, true);
    }
    let is_over = |scrape: &Scrape| scrape.count(OUTAGE, &[]) == 0;
    let scrape = exporter.until("its end", is_over).await;
    assert_eq!(missed(&scrape).len(), 3, "the others are missed");
    exporter.log_line("an outage has ended").await;
    kill(exporter).await;

    let exporter = place.start(&groups).await;
    until_missed(&exporter, 3).await;
    assert_eq!(exporter.scrape().await.count(OUTAGE, &[]), 0);
    let events = rusqlite::Connection::open(place.directory.path().join("state.db")).unwrap();
    let mut select = events
        .prepare("SELECT kind FROM event WHERE kind LIKE 'outage%'")
        .unwrap();
    let kinds = select.query_map((), |row| row.get(0)).unwrap();
    let kinds: Vec<String> = kinds.map(Result::unwrap).collect();
    assert_eq!(kinds, ["outage_started", "outage_ended"]);
}

#[tokio::test]
async fn a_phone_that_flaps_still_does_after_a_kill() {
    const FLAPPING: &str = "vobiz_endpoint_flapping";
    let place = Place::new().await;
    let id = place.one(true);
    let exporter = place.start("[]").await;
    until_missed(&exporter, 0).await;
    for change in 1..=6 {
        assert_eq!(exporter.scrape().await.count(FLAPPING, &[]), 0, "{change}");
        place.register(&id, change % 2 == 0);
        // Each change must be found by a walk of its own.
        until_missed(&exporter, change % 2).await;
    }
    let flapping = samples(&exporter.scrape().await, FLAPPING);
    assert_eq!(flapping.into_values().collect::<Vec<_>>(), [6.0]);
    kill(exporter).await;
    let exporter = place.start("[]").await;
    let scrape = exporter.scrape().await;
    let (labels, changes) = samples(&scrape, FLAPPING).pop_first().unwrap();
    assert_eq!(
        (label(&labels, "endpoint_id"), changes.to_bits()),
        (&*id, 6f64.to_bits())
    );
}
