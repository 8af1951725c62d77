//! A snapshot has the endpoints of the list, for many page sizes and while the list changes. A list
//! that cannot be read completely is not shown.

use std::collections::{BTreeMap, BTreeSet};

use vobiz_simulator::{
    Account, Count, Endpoint, Fault, Options, Order, PageFault, START, Shape, TEST_ACCOUNT, Vendor,
    World,
};

use crate::harness::{
    Exporter, Scrape, accounts_config, auth_id, configuration, listed, once, plan,
};

/// A simulated list, a function that prepares its account, and the faults of its requests.
struct List {
    name: String,
    endpoints: usize,
    arrange: fn(&mut Account),
    faults: Vec<Fault>,
}

fn list(name: impl Into<String>, endpoints: usize) -> List {
    List {
        name: name.into(),
        endpoints,
        arrange: |_| {},
        faults: Vec::new(),
    }
}

impl List {
    fn arranged(mut self, arrange: fn(&mut Account)) -> Self {
        self.arrange = arrange;
        self
    }

    fn wrong(mut self, fault: PageFault) -> Self {
        self.faults.push(Fault::page(fault));
        self
    }

    /// Adds a fault that changes the list each time after the vendor has built a response.
    fn edited(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }
}

/// The vendor's lists before the walks, and the scrape after one walk of each list.
struct Walked {
    vendor: Vendor,
    before: BTreeMap<String, BTreeMap<String, Option<bool>>>,
    scrape: Scrape,
}

/// Walks every list once. Each list is a separate account.
async fn walk(lists: Vec<List>) -> Walked {
    let mut world = World::new(START, 7);
    for list in &lists {
        world.settle(plan(&list.name, list.endpoints));
        let account = world.account_mut(&auth_id(&list.name));
        (list.arrange)(account.expect("it was settled just now"));
    }
    let vendor = Vendor::start(world, Options::default()).await;
    let vendor = vendor.expect("loopback has a free port");
    let mut before = BTreeMap::new();
    let mut names = Vec::new();
    for list in lists {
        let auth_id = auth_id(&list.name);
        for fault in list.faults {
            vendor.plan(fault.for_account(&auth_id));
        }
        before.insert(list.name.clone(), listed(&vendor, &auth_id));
        names.push(list.name);
    }
    let accounts = names.iter().map(|name| (name.as_str(), ""));
    let scrape = once(&accounts_config(&vendor, "", accounts)).await;
    Walked {
        vendor,
        before,
        scrape,
    }
}

impl Walked {
    fn missing(&self, name: &str) -> Option<f64> {
        self.scrape.only("vobiz_walk_missing_endpoints", name)
    }

    /// Fails unless the snapshot has exactly the endpoints of the list, with their states, and the
    /// walk reports no missing endpoint.
    fn is_exact(&self, name: &str) {
        let reasons = self
            .scrape
            .counted("vobiz_walk_failures_total", name, "reason");
        assert_eq!(self.scrape.up(name), Some(1.0), "{name}: {reasons:?}");
        assert_eq!(
            self.scrape.endpoints(name),
            listed(&self.vendor, &auth_id(name)),
            "{name}"
        );
        assert_eq!(self.missing(name), Some(0.0), "{name}");
        let states = self.scrape.of_account("vobiz_endpoints", name);
        let counted: f64 = states.map(|(_, endpoints)| endpoints).sum();
        let shown = count(self.scrape.endpoints(name).len());
        assert_eq!(Some(counted), Some(shown), "the sum of {name}'s states");
    }

    /// Every endpoint that existed during the whole walk must be shown. Any other shown endpoint
    /// must have existed during a part of the walk.
    fn has_every_endpoint_of_the_whole_walk(&self, name: &str) {
        let reasons = self
            .scrape
            .counted("vobiz_walk_failures_total", name, "reason");
        assert_eq!(self.scrape.up(name), Some(1.0), "{name}: {reasons:?}");
        let ids = |of: &BTreeMap<String, _>| of.keys().cloned().collect::<BTreeSet<_>>();
        let shown = ids(&self.scrape.endpoints(name));
        let (before, after) = (
            ids(&self.before[name]),
            ids(&listed(&self.vendor, &auth_id(name))),
        );
        assert_ne!(before, after, "{name}: the list has moved");
        let throughout: BTreeSet<_> = before.intersection(&after).cloned().collect();
        let lost: Vec<_> = throughout.difference(&shown).collect();
        assert!(lost.is_empty(), "{name} lost {lost:?}");
        let unknown: Vec<_> = shown
            .iter()
            .filter(|id| !before.contains(*id) && !after.contains(*id) && !id.starts_with("new"))
            .collect();
        assert!(unknown.is_empty(), "{name} invented {unknown:?}");
    }

    /// The account must have no snapshot, and exactly one walk must have failed, for this reason.
    fn is_refused(&self, name: &str, reason: &str) {
        assert_eq!(self.scrape.up(name), Some(0.0), "{name}");
        let scrape = &self.scrape;
        let reasons = scrape.counted("vobiz_walk_failures_total", name, "reason");
        assert_eq!(reasons, BTreeMap::from([(reason, 1.0)]), "{name}");
        assert!(self.scrape.snapshot(name).is_empty(), "{name}");
    }

    fn rereads(&self, name: &str) -> BTreeMap<&str, f64> {
        self.scrape
            .counted("vobiz_walk_rereads_total", name, "reason")
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of endpoints are small")]
fn count(number: usize) -> f64 {
    number as f64
}

#[tokio::test]
async fn every_endpoint_of_the_list_is_shown_with_its_values() {
    let mut lists = Vec::new();
    for endpoints in [0, 1, 2, 19, 20, 21, 45, 99, 100, 101, 199, 200, 1_000] {
        lists.push(list(format!("of-{endpoints}"), endpoints));
    }
    lists.push(list("captured", 250).arranged(|account| account.shape = Shape::Captured));
    lists.push(list("plivo", 250).arranged(|account| account.shape = Shape::Plivo));
    lists.push(list("newest-first", 250).arranged(|account| account.order = Order::NewestFirst));
    lists.push(list("one-shuffled-page", 45).arranged(|account| account.order = Order::Shuffled));
    let names: Vec<_> = lists.iter().map(|list| list.name.clone()).collect();
    let walked = walk(lists).await;
    for name in &names {
        walked.is_exact(name);
        assert_eq!(walked.rereads(name), BTreeMap::new(), "{name}");
    }
    let pages = |name| walked.scrape.only("vobiz_walk_pages", name);
    assert_eq!(pages("of-0"), Some(1.0));
    assert_eq!(pages("of-99"), Some(1.0));
    assert_eq!(
        pages("of-1000"),
        Some(11.0),
        "neighbouring pages share a row"
    );
}

#[tokio::test]
async fn the_first_walk_of_a_serving_exporter_shows_what_the_list_says() {
    let vendor = Vendor::start(World::still(1_000, 7), Options::default())
        .await
        .unwrap();
    let exporter = Exporter::start(&configuration(&vendor, "")).await;
    let scrape = exporter
        .until("the first walk", |scrape| scrape.up("main") == Some(1.0))
        .await;
    assert_eq!(
        scrape.endpoints("main"),
        listed(&vendor, TEST_ACCOUNT.auth_id)
    );
    assert_eq!(exporter.terminate().await.code, Some(0));
}

#[tokio::test]
async fn pages_smaller_than_requested_are_detected() {
    let mut lists = Vec::new();
    for limit in [1, 2, 3, 7, 20, 50, 99] {
        lists.push(list(format!("admitted-{limit}"), 120).wrong(PageFault::ClampLimit(limit)));
        lists.push(list(format!("silent-{limit}"), 120).wrong(PageFault::ShortPage(limit)));
    }
    lists.push(list("one-row-fits-just", 20).wrong(PageFault::ClampLimit(20)));
    let names: Vec<_> = lists.iter().map(|list| list.name.clone()).collect();
    let walked = walk(lists).await;
    for name in names {
        walked.is_exact(&name);
    }
}

#[tokio::test]
async fn a_missing_or_strange_count_hides_no_endpoint() {
    let mut lists = Vec::new();
    for (name, count) in [
        ("missing", Count::Missing),
        ("null", Count::Null),
        ("text", Count::Text),
        ("renamed", Count::Renamed),
        ("zero", Count::Exactly(0)),
        ("one", Count::Exactly(1)),
        ("too-low", Count::Off(-3)),
    ] {
        for endpoints in [45, 250] {
            let name = format!("{name}-{endpoints}");
            lists.push(list(name, endpoints).wrong(PageFault::TotalCount(count.clone())));
        }
    }
    lists.push(list("no-meta", 250).wrong(PageFault::NoMeta));
    lists.push(
        list("no-meta-and-clamped", 250)
            .wrong(PageFault::NoMeta)
            .wrong(PageFault::ShortPage(20)),
    );
    let names: Vec<_> = lists.iter().map(|list| list.name.clone()).collect();
    let walked = walk(lists).await;
    for name in names {
        walked.is_exact(&name);
    }
}

#[tokio::test]
async fn a_count_that_is_too_high_marks_the_walk_incomplete_and_hides_no_endpoint() {
    let walked = walk(vec![
        list("by-three", 250).wrong(PageFault::TotalCount(Count::Off(3))),
        list("by-hundreds", 45).wrong(PageFault::TotalCount(Count::Off(900))),
        list("by-the-utmost", 250).wrong(PageFault::TotalCount(Count::Exactly(u64::MAX))),
        list("wandering", 250).wrong(PageFault::TotalCount(Count::Wandering)),
        list("rows-left-out", 250).wrong(PageFault::MissingRow(3)),
    ])
    .await;
    for name in ["by-three", "by-hundreds", "by-the-utmost", "wandering"] {
        assert_eq!(walked.scrape.up(name), Some(1.0), "{name}");
        assert_eq!(walked.scrape.endpoints(name), walked.before[name], "{name}");
    }
    assert_eq!(walked.missing("by-three"), Some(3.0));
    assert_eq!(walked.missing("by-hundreds"), Some(900.0));
    assert!(
        walked
            .missing("wandering")
            .is_some_and(|missing| missing <= 4.0)
    );
    assert_eq!(walked.rereads("by-three"), BTreeMap::new());

    let name = "rows-left-out";
    let shown = walked.scrape.endpoints(name);
    assert_eq!(walked.scrape.up(name), Some(1.0));
    let missing = walked.before[name].len() - shown.len();
    assert!(missing > 0, "the list leaves out a row of each page");
    assert_eq!(walked.missing(name), Some(count(missing)));
    for (id, state) in shown {
        assert_eq!(walked.before[name].get(&id), Some(&state));
    }
}

#[tokio::test]
async fn the_link_to_the_next_page_is_ignored() {
    let mut lists = Vec::new();
    for (name, next) in [
        ("null", "null"),
        ("empty", "\"\""),
        ("number", "42"),
        ("object", "{\"offset\":[1,null]}"),
        ("elsewhere", "\"http://127.0.0.1:9/api/v1/\""),
        (
            "the-first-page",
            "\"/v1/Account/MA_X/Endpoint/?limit=20&offset=0\"",
        ),
    ] {
        lists.push(list(name, 250).wrong(PageFault::Next(next.to_owned())));
    }
    let names: Vec<_> = lists.iter().map(|list| list.name.clone()).collect();
    let walked = walk(lists).await;
    for name in names {
        walked.is_exact(&name);
    }
    let strangers: Vec<_> = (walked.vendor.requests().into_iter())
        .filter(|request| request.status != Some(200))
        .collect();
    assert_eq!(strangers, []);
}

#[tokio::test]
async fn a_list_that_cannot_be_read_completely_is_not_shown() {
    let walked = walk(vec![
        list("all-at-once", 250).wrong(PageFault::IgnoreLimit),
        list("offset-ignored", 250).wrong(PageFault::IgnoreOffset),
        list("offset-ignored-and-endless", 250)
            .wrong(PageFault::IgnoreOffset)
            .wrong(PageFault::TotalCount(Count::Missing)),
        list("emptied", 250).wrong(PageFault::EmptyObjects),
        list("shuffled", 250).arranged(|account| account.order = Order::Shuffled),
        list("growing-for-ever", 250)
            .wrong(PageFault::TotalCount(Count::Missing))
            .edited(Fault::edit(insert("growing-for-ever", usize::MAX, 100))),
    ])
    .await;
    walked.is_refused("all-at-once", "too_large");
    walked.is_refused("offset-ignored", "inconsistent");
    walked.is_refused("offset-ignored-and-endless", "inconsistent");
    walked.is_refused("emptied", "inconsistent");
    // Pages of a shuffled list can overlap by chance, but the walk still misses endpoints.
    assert!(
        walked.rereads("shuffled").contains_key("anchor"),
        "counting was tried, too"
    );
    if walked.scrape.up("shuffled") == Some(1.0) {
        assert!(walked.missing("shuffled") > Some(0.0), "it is marked short");
    } else {
        walked.is_refused("shuffled", "inconsistent");
    }
    walked.is_refused("growing-for-ever", "deadline");
}

#[tokio::test]
async fn an_endpoint_of_the_whole_walk_is_shown_while_others_come_and_go() {
    let mut lists = Vec::new();
    for (order, order_name) in [
        (None, "oldest"),
        (
            Some((|account| account.order = Order::NewestFirst) as fn(&mut Account)),
            "newest",
        ),
    ] {
        let mut add = |what: &str, change: fn(&str) -> Fault| {
            let name = format!("{what}-{order_name}");
            let edit = change(&name);
            let list = list(name, 640).edited(edit);
            lists.push(match order {
                Some(order) => list.arranged(order),
                None => list,
            });
        };
        add("shrinking", |name| {
            Fault::edit(remove(name, 0, 30)).at_offsets(..1).once()
        });
        add("shrinking-by-a-page", |name| {
            Fault::edit(remove(name, 20, 100)).at_offsets(..1).once()
        });
        add("growing-in-front", |name| {
            Fault::edit(insert(name, 0, 30)).at_offsets(..1).once()
        });
        add("growing-at-the-end", |name| {
            Fault::edit(insert(name, usize::MAX, 130))
                .at_offsets(..1)
                .once()
        });
        add("shifted-at-every-page", |name| {
            let (mut take, mut put) = (remove(name, 0, 1), insert(name, 300, 1));
            Fault::edit(move |world| {
                take(world);
                put(world);
            })
        });
    }
    let names: Vec<_> = lists.iter().map(|list| list.name.clone()).collect();
    let walked = walk(lists).await;
    for name in names {
        walked.has_every_endpoint_of_the_whole_walk(&name);
    }
}

/// Removes `many` endpoints at `position`.
fn remove(name: &str, position: usize, many: usize) -> impl FnMut(&mut World) + Send + use<> {
    let auth_id = auth_id(name);
    move |world| {
        let account = world.account_mut(&auth_id);
        let account = account.expect("the account stays");
        for _ in 0..many {
            let id = account.at(position).map(|one| one.id().to_owned());
            account.remove(&id.expect("the list is long enough"));
        }
    }
}

/// Inserts `many` endpoints at `position`.
fn insert(name: &str, position: usize, many: usize) -> impl FnMut(&mut World) + Send + use<> {
    let auth_id = auth_id(name);
    let mut made = 0;
    move |world| {
        let account = world.account_mut(&auth_id);
        let account = account.expect("the account stays");
        for _ in 0..many {
            made += 1;
            account.insert(position, Endpoint::new(format!("new{made}")));
        }
    }
}
