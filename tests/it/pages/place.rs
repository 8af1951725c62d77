//! An exporter and a simulated vendor on a bad day: lost phones, an outage, and a failing account.

use std::collections::BTreeSet;

use jiff::Timestamp;
use vobiz_simulator::{Endpoint, Fault, Options, Vendor, World};

use crate::harness::{Exporter, Scrape, accounts_config, auth_id, plan};

/// An alias that would run a script, if a page did not escape it.
pub const HOSTILE: &str = r#"<img src=x onerror="window.hostile=1">'&amp;"#;
const MISSED: &str = "vobiz_endpoint_missed_timestamp_seconds";
const GROUPS: &str = "groups: [\
    {name: reception, match: {alias: 'Reception.*'}, watch: page}, \
    {name: mumbai, match: {alias: 'MUM-.*'}, watch: page}, \
    {name: delhi, match: {alias: 'DEL-.*'}, min_registered: 100%}, \
    {name: bangalore, match: {alias: 'BLR-.*'}, min_registered: 50%}, \
    {name: agents, match: {alias: 'Agent.*'}}, \
    {name: spare, match: {alias: 'Spare.*'}, watch: ignore}]";
/// The number of endpoints that are lost one by one, besides the longest missed one.
const SINGLE: usize = 15;

/// The exporter and its vendor.
pub struct Place {
    vendor: Vendor,
    pub exporter: Exporter,
    /// The alias and the id of the endpoint that is missed for the longest time.
    pub longest: (String, String),
    _folder: tempfile::TempDir,
}

impl Place {
    /// Starts an exporter for so many endpoints of the account `main`. Then everything goes wrong.
    pub async fn start(endpoints: usize) -> Self {
        let now = Timestamp::now();
        let mut world = World::new(now, 7);
        for (name, endpoints) in [("main", endpoints), ("branch", 20), ("depot", 10)] {
            world.settle(plan(name, endpoints));
            let account = world.account_mut(&auth_id(name)).unwrap();
            account.edit_all(|one| one.set_registered(true, now));
        }
        let hostile = Endpoint::new("900000000000001").alias(HOSTILE);
        world.first_mut().push(hostile);
        let vendor = Vendor::start(world, Options::default()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let accounts = ["main", "branch", "depot"].map(|name| (name, GROUPS));
        let configuration = accounts_config(&vendor, "page_size: 100", accounts)
            .replace("max_age: 15s", "max_age: 1h, flip_share: 1")
            + &format!("state: {{directory: '{}'}}\n", folder.path().display());
        let exporter = Exporter::start(&configuration).await;
        let is_up = |scrape: &Scrape| {
            let is_up = |name| scrape.up(name) == Some(1.0);
            is_up("main") && is_up("branch") && is_up("depot")
        };
        exporter.until("all accounts", is_up).await;
        let longest = lose(&vendor, "Agent", 1).remove(0);
        let missed = |number: usize| move |scrape: &Scrape| scrape.count(MISSED, &[]) == number;
        exporter.until("the first loss", missed(1)).await;
        let mut single = 0;
        for prefix in ["Reception", "DEL-", "BLR-", "Agent"] {
            single += lose(&vendor, prefix, SINGLE / 4).len();
        }
        exporter.until("more losses", missed(1 + single)).await;
        lose(&vendor, "MUM-", usize::MAX);
        vendor.plan(Fault::status(503).for_account(auth_id("branch")));
        let is_bad = |scrape: &Scrape| {
            let has_outage = scrape.count("vobiz_outage_start_timestamp_seconds", &[]) == 1;
            has_outage && scrape.condition("branch") != "ok"
        };
        exporter
            .until("an outage and a failing account", is_bad)
            .await;
        Self {
            vendor,
            exporter,
            longest,
            _folder: folder,
        }
    }

    /// The ids of the endpoints of `main`, and of those that are not registered.
    pub fn endpoints(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        self.vendor.edit(|world| {
            let all = world.first().endpoints();
            let ids: Vec<_> = all
                .map(|one| (one.id().to_owned(), one.registered()))
                .collect();
            let unregistered = ids.iter().filter(|(_, registered)| !registered);
            let unregistered = unregistered.map(|(id, _)| id.clone()).collect();
            (ids.into_iter().map(|(id, _)| id).collect(), unregistered)
        })
    }
}

/// Ends the registrations of so many registered endpoints of `main`. Returns their aliases and ids.
fn lose(vendor: &Vendor, prefix: &str, number: usize) -> Vec<(String, String)> {
    vendor.edit(|world| {
        let (now, account) = (world.now(), world.first_mut());
        let found = account.endpoints();
        let found = found.filter(|one| one.registered() && one.alias.starts_with(prefix));
        let found = found.map(|one| (one.alias.clone(), one.id().to_owned()));
        let found: Vec<_> = found.take(number).collect();
        assert!(!found.is_empty(), "{prefix}");
        for (_, id) in &found {
            account.edit(id, |one| one.set_registered(false, now));
        }
        found
    })
}
