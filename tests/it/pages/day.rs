//! After a simulated day, the numbers of the pages agree with the simulator, with `/metrics` and with Prometheus.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use regex::Regex;
use vobiz_exporter::pages::Page;
use vobiz_simulator::{Fault, FaultId, START, Vendor, World};

use crate::{
    harness::{Prometheus, Scrape, accounts_config, auth_id, plan},
    past::{Exporter, Past, stored},
};

const STEP: Duration = Duration::from_secs(120);
const ACCOUNTS: [(&str, usize); 2] = [("main", 120), ("branch", 30)];
const GROUPS: &str = "groups: [\
    {name: mumbai, match: {alias: 'MUM-.*'}, watch: page}, \
    {name: delhi, match: {alias: 'DEL-.*'}, min_registered: 100%}, \
    {name: spare, match: {alias: 'Spare.*'}, watch: ignore}]";

/// What the test reads from the pages.
#[derive(Default)]
struct Seen {
    overview: String,
    /// All pages of the list of endpoints.
    lists: Vec<String>,
    unregistered: String,
    flapping: String,
    outages: String,
    outage: String,
    missed: String,
    groups: String,
    walks: String,
    scrape: String,
}

/// The texts of the cells of the table below the heading with this id, or of the only table.
fn rows(page: &str, heading: &str) -> Vec<Vec<String>> {
    let from = match heading {
        "" => 0,
        id => page.find(&format!("id=\"{id}\"")).unwrap_or(page.len()),
    };
    let table = page[from..].split("<tbody>").nth(1).unwrap_or("");
    let table = table.split("</tbody>").next().unwrap();
    let tags = Regex::new("<[^>]*>").unwrap();
    let cell = |cell: &str| {
        let text = tags.replace_all(cell.split("</td>").next().unwrap(), "");
        let words: Vec<_> = text.split_whitespace().collect();
        words.join(" ").replace("&#39;", "'").replace("&#38;", "&")
    };
    let row = |row: &str| {
        let cells = row.split("<td").skip(1);
        cells
            .map(|one| cell(one.split_once('>').unwrap().1))
            .collect()
    };
    table.split("<tr").skip(1).map(row).collect()
}

/// The id of the first endpoint of `main` whose alias begins with `prefix`.
fn id_of(world: &World, prefix: &str) -> String {
    let mut all = world.first().endpoints();
    let found = all.find(|one| one.alias.starts_with(prefix));
    found.unwrap().id().to_owned()
}

fn register(vendor: &Vendor, prefix: &str, most: usize, registered: bool) {
    vendor.edit(|world| {
        let (now, account) = (world.now(), world.first_mut());
        let found = account
            .endpoints()
            .filter(|one| one.alias.starts_with(prefix));
        let ids: Vec<_> = found.take(most).map(|one| one.id().to_owned()).collect();
        for id in ids {
            account.edit(&id, |one| one.set_registered(registered, now));
        }
    });
}

/// What happens so many minutes after the beginning of the day.
fn happens(vendor: &Vendor, minute: i64, fault: &mut Option<FaultId>) {
    match minute {
        // A site falls in the morning, and again in the evening. Then some of its phones return.
        360 | 1320 => register(vendor, "MUM-", usize::MAX, false),
        420 => register(vendor, "MUM-", usize::MAX, true),
        1400 => register(vendor, "MUM-", 2, true),
        720 => *fault = Some(vendor.plan(Fault::status(503).for_account(auth_id("main")))),
        740 => drop(fault.take().map(|fault| vendor.cancel(fault))),
        1200 => register(vendor, "DEL-", 1, false),
        _ => {}
    }
    // A phone registers and unregisters again and again.
    if minute >= 1390 && minute % 4 == 0 {
        register(vendor, "BLR-", 1, minute % 8 == 0);
    }
}

async fn read(exporter: &Exporter, flapping: &str, total: usize) -> Seen {
    let mut lists = Vec::new();
    for from in (0..total).step_by(50) {
        let query = format!("from={from}&sort=group");
        lists.push(exporter.page(Page::Endpoints, &query).await);
    }
    let page = Page::Endpoint {
        account: "main".to_owned(),
        id: flapping.to_owned(),
    };
    let overview = exporter.page(Page::Overview, "").await;
    let link = overview.split("href=\"./outages?").nth(1).unwrap();
    let link = link.split('"').next().unwrap().replace("&#38;", "&");
    let missed = overview.split("href=\"./endpoints/main/").nth(1).unwrap();
    let missed = Page::Endpoint {
        account: "main".to_owned(),
        id: missed.split('"').next().unwrap().to_owned(),
    };
    Seen {
        outage: exporter.page(Page::Outages, &link).await,
        missed: exporter.page(missed, "").await,
        groups: exporter.page(Page::Groups, "").await,
        overview,
        lists,
        unregistered: exporter
            .page(Page::Endpoints, "registration=unregistered")
            .await,
        flapping: exporter.page(page, "").await,
        outages: exporter.page(Page::Outages, "").await,
        walks: exporter.page(Page::Walks, "account=main").await,
        scrape: exporter.text(),
    }
}

/// Simulates the day. Returns the pages at its end, and the world.
fn simulated(folder: &std::path::Path, end: Timestamp) -> (Seen, World, String) {
    let past = Past {
        data: folder.join("data"),
        step: STEP,
        keeps: &|_| true,
        configuration: &|vendor| {
            let accounts = ACCOUNTS.map(|(name, _)| (name, GROUPS));
            let text = accounts_config(vendor, "", accounts);
            let (_, rest) = text.split_once('\n').unwrap();
            format!(
                "poll: {{interval: {}s, flip_share: 1}}\n{rest}",
                STEP.as_secs()
            )
        },
    };
    fastrand::seed(7);
    let mut world = World::new(START, 7);
    for (name, endpoints) in ACCOUNTS {
        world.settle(plan(name, endpoints));
        let account = world.account_mut(&auth_id(name)).unwrap();
        account.edit_all(|one| one.set_registered(true, START));
    }
    let flapping = id_of(&world, "BLR-");
    let total = ACCOUNTS.iter().map(|(_, endpoints)| endpoints).sum();
    let (mut fault, mut seen) = (None, Seen::default());
    let mut live = |vendor: &Vendor, now: Timestamp| {
        // A response in flight can delay `now` by less than a second, so the minutes are rounded.
        let passed = now.duration_since(START) + SignedDuration::from_secs(30);
        happens(vendor, passed.as_mins(), &mut fault);
    };
    let look = async |exporter: &Exporter| seen = read(exporter, &flapping, total).await;
    let (_, world) = past.live_and_look(world, end, &mut live, look);
    (seen, world, flapping)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_number_agrees_with_the_simulator_and_with_prometheus() {
    let folder = tempfile::tempdir().unwrap();
    let end = START + SignedDuration::from_hours(24);
    let place = folder.path().to_owned();
    let simulated = tokio::task::spawn_blocking(move || simulated(&place, end));
    let (seen, world, flapping) = simulated.await.unwrap();
    let scrape = Scrape::read(&seen.scrape);
    let prometheus = stored(folder, STEP).await;
    let end = end.as_second();
    assert_accounts_and_groups(&seen, &world, &prometheus, end).await;
    assert_list(&seen, &world);
    assert_judgements(&seen, &world, &prometheus, end).await;

    // The phone that flaps.
    let changes = scrape.value(
        "vobiz_endpoint_flapping",
        &[&format!("endpoint_id=\"{flapping}\"")],
    );
    let text = format!("changed {} times within the last hour", changes.unwrap());
    assert!(seen.flapping.contains(&text), "{text}: {}", seen.flapping);

    // The last walk has read the present registrations.
    let main = world.account(&auth_id("main")).unwrap();
    let numbers = format!(
        "published: {} of {} endpoints registered",
        main.registered(),
        main.len()
    );
    assert_eq!(rows(&seen.walks, "recent")[0][1], numbers);

    // The failed walks of 16:30 are no longer among the last fifty, but are kept.
    let recent = rows(&seen.walks, "recent");
    assert_eq!(recent.len(), 50);
    assert!(
        recent.iter().all(|row| row[1].starts_with("published")),
        "{recent:?}"
    );
    let failures = rows(&seen.walks, "failures");
    let is_a_failure = |row: &Vec<String>| {
        let is_then = [" 16:3", " 16:4"].iter().any(|time| row[0].contains(time));
        row[1].contains("status 503") && is_then
    };
    assert!(
        failures.len() >= 8 && failures.iter().all(is_a_failure),
        "{failures:?}"
    );
}

/// The value of a query at this time.
async fn value(prometheus: &Prometheus, query: &str, time: i64) -> u64 {
    #[expect(clippy::cast_precision_loss, reason = "seconds")]
    let found = prometheus.query_at(query, time as f64).await;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of endpoints"
    )]
    found.first().map_or(0, |sample| sample.value as u64)
}

async fn assert_accounts_and_groups(seen: &Seen, world: &World, prometheus: &Prometheus, end: i64) {
    let accounts = rows(&seen.overview, "accounts");
    assert_eq!(accounts.len(), ACCOUNTS.len());
    for row in accounts {
        let account = world.account(&auth_id(&row[0])).unwrap();
        assert_eq!(
            row[1],
            format!("{} of {}", account.registered(), account.len())
        );
        let name = &row[0];
        let query = format!("vobiz_endpoints{{account=\"{name}\",registration=\"registered\"}}");
        assert_eq!(
            value(prometheus, &query, end).await,
            account.registered() as u64
        );
        assert!(row[2].starts_with("ok last good walk"), "{row:?}");
    }
    let groups = rows(&seen.groups, "");
    assert_eq!(groups.len(), 2 * 3, "{groups:?}");
    assert_eq!(rows(&seen.overview, "groups"), groups);
    for row in &groups {
        let (group, rest) = row[0].split_once(' ').unwrap();
        let has_outage = row[1].ends_with(" outage");
        assert_eq!(has_outage, row[0].starts_with("mumbai main"), "{row:?}");
        let account = rest.split(',').next().unwrap();
        let prefix = match group {
            "mumbai" => "MUM-",
            "delhi" => "DEL-",
            _ => "Spare",
        };
        let all = world.account(&auth_id(account)).unwrap().endpoints();
        let all: Vec<_> = all.filter(|one| one.alias.starts_with(prefix)).collect();
        let registered = all.iter().filter(|one| one.registered()).count();
        let numbers = row[1].trim_end_matches(" outage");
        assert_eq!(numbers, format!("{registered} of {}", all.len()), "{row:?}");
        let labels = format!("{{account=\"{account}\",group=\"{group}\"}}");
        let query = format!("sum(vobiz_group_endpoints{labels})");
        assert_eq!(
            value(prometheus, &query, end).await,
            all.len() as u64,
            "{row:?}"
        );
    }
}

fn assert_list(seen: &Seen, world: &World) {
    let shown: Vec<_> = seen.lists.iter().flat_map(|page| rows(page, "")).collect();
    let mut states: BTreeMap<(String, String), usize> = BTreeMap::new();
    for row in &shown {
        let state = row[3].split(' ').next().unwrap();
        let state = if state == "missed" {
            "unregistered"
        } else {
            state
        };
        *states
            .entry((row[0].clone(), state.to_owned()))
            .or_default() += 1;
    }
    let (mut expected, mut unregistered) = (BTreeMap::new(), 0);
    for endpoint in world
        .accounts()
        .iter()
        .flat_map(vobiz_simulator::Account::endpoints)
    {
        let state = if endpoint.registered() {
            "registered"
        } else {
            "unregistered"
        };
        unregistered += usize::from(!endpoint.registered());
        *expected
            .entry((endpoint.alias.clone(), state.to_owned()))
            .or_default() += 1;
    }
    assert_eq!(states, expected);
    let facts = format!("{unregistered} of {} endpoints", shown.len());
    assert!(seen.unregistered.contains(&facts), "{facts}");
}

async fn assert_judgements(seen: &Seen, world: &World, prometheus: &Prometheus, end: i64) {
    let site = world
        .first()
        .endpoints()
        .filter(|one| one.alias.starts_with("MUM-"))
        .count();
    let outages = rows(&seen.overview, "outages");
    let [outage] = &outages[..] else {
        panic!("one outage: {outages:?}")
    };
    assert_eq!(outage[0], "mumbai main, major");
    assert_eq!(outage[1], format!("{} of {site}", site - 2));
    assert_eq!(outage[2], "2");
    assert_eq!(rows(&seen.outages, ""), outages);
    let lost = "vobiz_outage_endpoints{group=\"mumbai\",state=\"lost\"}";
    assert_eq!(value(prometheus, lost, end).await, site as u64 - 2);
    // The site fell at 02:30, 22 hours after the beginning. The next walk found it.
    let since = &outage[3][..];
    assert!(
        since.starts_with("02:3") && since.ends_with("ago"),
        "{since}"
    );

    let missed = rows(&seen.overview, "missed");
    let names: Vec<_> = missed.iter().map(|row| &row[0][..]).collect();
    let delhi = world
        .first()
        .endpoints()
        .find(|one| one.alias.starts_with("DEL-"));
    let delhi = delhi.unwrap();
    let number = value(
        prometheus,
        "count(vobiz_endpoint_missed_timestamp_seconds)",
        end,
    )
    .await;
    assert_eq!(missed.len() as u64, number, "{names:?}");
    let row = missed
        .iter()
        .find(|row| row[0].starts_with(&*delhi.alias))
        .unwrap();
    assert!(row[1].starts_with("delhi main, notice"), "{row:?}");
    assert!(row[2].starts_with("00:3"), "{row:?}");

    // The members of the outage, and since when the one missed phone is missed, to the millisecond.
    let members = rows(&seen.outage, "");
    let lost: BTreeSet<_> = members
        .iter()
        .filter(|row| row[3] == "lost")
        .map(|row| &row[0])
        .collect();
    let site = world
        .first()
        .endpoints()
        .filter(|one| one.alias.starts_with("MUM-"));
    let expected: BTreeSet<_> = site
        .filter(|one| !one.registered())
        .map(|one| &one.alias)
        .collect();
    assert_eq!(lost, expected);
    let id = delhi.id();
    let since = format!("vobiz_endpoint_missed_timestamp_seconds{{endpoint_id=\"{id}\"}} * 1000");
    let since =
        Timestamp::from_millisecond(i64::try_from(value(prometheus, &since, end).await).unwrap());
    let since = format!("datetime=\"{}\"", since.unwrap());
    assert!(seen.overview.contains(&since), "{since}");
    assert!(
        seen.missed.contains(id) && seen.missed.contains("yes, since 00:3"),
        "{}",
        seen.missed
    );
}
