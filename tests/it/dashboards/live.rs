//! A fleet with an outage, missed endpoints and faults of the API: exporter, and three Prometheus servers.
//!
//! One server is a Prometheus 2. One Prometheus 3 converts classic histograms to native ones.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    time::Duration,
};

use jiff::Timestamp;
use serde_json::Value;
use vobiz_simulator::{Endpoint, Fault, Options, START, Shape, Vendor, World};

use super::{
    board::{Board, Query, View, boards, text},
    fleet::{edit, id_of},
};
use crate::harness::{Exporter, Generation, Prometheus, accounts_config, auth_id, plan, until};

const GROUPS: &str = "groups: [\
    {name: site, match: {alias: 'BLR-.*'}, watch: page, min_registered: 1}, \
    {name: delhi, match: {alias: 'DEL-.*'}, min_registered: 100%}, \
    {name: desk, match: {alias: 'Reception.*'}, watch: page}, \
    {name: lists, match: {usernames: [nobody]}}]";
/// `Captured` lacks the expiry, so the exporter retrieves details. `Plivo` has times without a zone.
const ACCOUNTS: [(&str, usize, Shape); 3] = [
    ("main", 120, Shape::Documented),
    ("branch", 20, Shape::Captured),
    ("depot", 6, Shape::Plivo),
];
const RULES: &str = "groups: [{name: test, interval: 1s, rules: [{alert: Missed, \
    expr: vobiz_endpoint_missed_timestamp_seconds > 0, labels: {severity: critical}}]}]";
/// The number of endpoints of `branch` that are lost.
const LOST: usize = 12;
/// The number of endpoints of the group `site` that return.
const RECOVERED: usize = 3;

struct Fleet {
    vendor: Vendor,
    exporter: Exporter,
    configuration: String,
    servers: Vec<Prometheus>,
    /// The aliases of endpoints without a group: lost, flapping, without an application.
    others: Vec<String>,
}

fn prometheus(exporter: &Exporter, native: bool) -> String {
    format!(
        "global: {{scrape_interval: 1s}}\nrule_files: [rules.yml]\nscrape_configs: [{{job_name: vobiz-exporter, {} \
         static_configs: [{{targets: [\"{}\"]}}]}}]\n",
        if native {
            "convert_classic_histograms_to_nhcb: true,"
        } else {
            ""
        },
        exporter.address()
    )
}

impl Fleet {
    /// All endpoints are registered, and each server has scraped two walks of each account.
    async fn start(folder: &std::path::Path) -> Self {
        let mut world = World::new(START, 7);
        for (name, endpoints, shape) in ACCOUNTS {
            world.settle(plan(name, endpoints).shape(shape));
            let account = world.account_mut(&auth_id(name)).unwrap();
            account.edit_all(|one| one.set_registered(true, START));
        }
        let others = world
            .first()
            .endpoints()
            .filter(|one| !["BLR", "DEL", "Rec"].contains(&&one.alias[..3]))
            .take(3);
        let others = others.map(|one| one.alias.clone()).collect();
        let vendor = Vendor::start(world, Options::default()).await.unwrap();
        let accounts = ACCOUNTS.map(|(name, ..)| (name, if name == "main" { GROUPS } else { "" }));
        let directory = format!("state: {{directory: '{}'}}\n", folder.display());
        let configuration = accounts_config(&vendor, "", accounts) + &directory;
        let exporter = Exporter::start(&configuration).await;
        let mut servers = Vec::new();
        for (generation, native) in [
            (Generation::Two, false),
            (Generation::Three, false),
            (Generation::Three, true),
        ] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("rules.yml"), RULES).unwrap();
            let text = prometheus(&exporter, native);
            let feature: &[_] = if native {
                &["--enable-feature=native-histograms"]
            } else {
                &[]
            };
            let server = Prometheus::start(generation, folder, &text, feature).await;
            servers.push(server);
        }
        // With two walks, the first state is visible for longer than the step of the queries.
        for server in &servers {
            let walks = "count(changes(vobiz_walk_last_success_timestamp_seconds[5m]) > 0)";
            server.until_is(walks, 3.0).await;
        }
        Self {
            vendor,
            exporter,
            configuration,
            servers,
            others,
        }
    }

    /// Changes the registration of `number` endpoints of an account whose alias begins with `prefix`.
    fn register(&self, account: &str, prefix: &str, number: usize, registered: bool) {
        let change = |one: &mut Endpoint| one.set_registered(registered, START);
        edit(&self.vendor, account, prefix, number, change);
    }

    /// A site falls, a part of an account falls, three phones are lost one by one, and the API has faults.
    async fn trouble(&self) {
        self.register("main", "BLR-", usize::MAX, false);
        self.register("branch", "", LOST, false);
        self.register("main", "DEL-", 1, false);
        self.register("main", "Reception", 1, false);
        self.register("main", &self.others[0], 1, false);
        edit(&self.vendor, "main", &self.others[2], 1, |one| {
            one.application = None;
        });
        self.vendor.edit(|world| {
            let depot = world.account_mut(&auth_id("depot")).unwrap();
            depot.push(Endpoint::new("900000000000001").raw("null"));
            let odd = r#"{"endpoint_id":"900000000000002","alias":{},"sip_registered":false}"#;
            depot.push(Endpoint::new("900000000000002").raw(odd));
        });
        let rejected = "count(vobiz_walk_rejected_rows{reason=\"not_an_object\"} == 1)";
        for server in &self.servers {
            server.until_is(rejected, 1.0).await;
        }
        let fault = self
            .vendor
            .plan(Fault::status(503).for_account(auth_id("depot")));
        for server in &self.servers {
            // Between two failed walks, the condition is visible for longer than the step of the queries.
            let failed = "count(sum(vobiz_walk_failures_total{account=\"depot\"}) >= 2)";
            server.until_is(failed, 1.0).await;
        }
        self.vendor.cancel(fault);
        for registered in [false, true, false, true, false, true] {
            self.register("main", &self.others[1], 1, registered);
            let shown = format!(
                "vobiz_endpoint_registered * on (endpoint_id) group_left () \
                 vobiz_endpoint_info{{account=\"main\", alias=\"{}\"}}",
                self.others[1]
            );
            for server in &self.servers {
                server
                    .until_is(&shown, f64::from(u8::from(registered)))
                    .await;
            }
        }
        self.register("main", "BLR-", RECOVERED, true);
    }

    /// Ends the exporter. Starts another one with its state at another address.
    async fn replace(&mut self) {
        let configuration = self.configuration.clone();
        self.exporter.signal("TERM").await;
        let next = Exporter::start(&configuration).await;
        for (server, native) in self.servers.iter().zip([false, false, true]) {
            fs::write(
                server.folder().join("prometheus.yml"),
                prometheus(&next, native),
            )
            .unwrap();
            server.reload().await;
            let address = next.address();
            let walked = format!("count(vobiz_up{{instance=\"{address}\"}} == 1)");
            server.until_is(&walked, 3.0).await;
        }
        self.exporter = next;
    }

    /// The rows of the important panels, by the state of the simulator.
    fn expected(&self) -> BTreeSet<String> {
        self.vendor.edit(|world| {
            let accounts = world.accounts().iter();
            let registered =
                accounts.map(|one| format!("account {} {}", &one.auth_id[3..], one.registered()));
            let mut rows: BTreeSet<_> = registered.collect();
            let of = |prefix| {
                let endpoints = world.first().endpoints();
                let found = endpoints.filter(|one| one.alias.starts_with(prefix));
                found.map(|one| one.alias.clone()).collect::<Vec<_>>()
            };
            let (site, delhi) = (of("BLR-").len(), of("DEL-"));
            rows.extend([
                format!("outage main site {} {site} {RECOVERED}", site - RECOVERED),
                format!("outage branch (all groups) {LOST} {LOST} 0"),
                format!("missed {} delhi notice", delhi[0]),
                format!("missed {} desk page", of("Reception")[0]),
                format!("missed {} (no group) notice", self.others[0]),
                format!("flapping {} (no group) 6", self.others[1]),
                format!("below main delhi {} {}", delhi.len() - 1, delhi.len()),
            ]);
            rows
        })
    }
}

/// An open dashboard and its Prometheus.
struct Look<'a> {
    board: &'a Board,
    server: &'a Prometheus,
    view: View<'a>,
}

impl<'a> Look<'a> {
    fn at(board: &'a Board, server: &'a Prometheus, endpoint: &'a str) -> Self {
        let view = View {
            range: Duration::from_secs(300),
            scrape: Duration::from_secs(5),
            endpoint,
        };
        Self {
            board,
            server,
            view,
        }
    }

    async fn ask(&self, query: &Query) -> Vec<(Value, Vec<(f64, f64)>)> {
        let now = Timestamp::now().as_second();
        self.view.ask(self.server, query, now).await
    }

    /// The rows of a table: its name, the values of these labels, and the values of these instant queries.
    async fn rows(&self, name: &str, labels: &[&str], places: &[&str]) -> BTreeSet<String> {
        let mut rows = BTreeMap::<_, String>::new();
        for place in places {
            for (found, samples) in self.ask(&self.board.query(place)).await {
                let key: Vec<_> = labels.iter().map(|label| text(&found[*label])).collect();
                write!(rows.entry(key.join(" ")).or_default(), " {}", samples[0].1).unwrap();
            }
        }
        let row = |(key, values)| format!("{name} {key}{values}");
        rows.into_iter().map(row).collect()
    }

    /// The rows of a table of endpoints: alias, group, and this label, or else the value.
    async fn endpoints(&self, name: &str, title: &str, label: &str) -> Vec<String> {
        let judged = self.ask(&self.board.query(&format!("{title} A"))).await;
        let aliases = self.ask(&self.board.query(&format!("{title} B"))).await;
        let row = |(one, samples): &(Value, Vec<(f64, f64)>)| {
            let is_same = |other: &Value| other["endpoint_id"] == one["endpoint_id"];
            let alias = aliases.iter().find(|(other, _)| is_same(other));
            let alias = alias.map_or("", |(other, _)| text(&other["alias"]));
            let last = (one[label].as_str()).map_or(samples[0].1.to_string(), str::to_owned);
            format!("{name} {alias} {} {last}", text(&one["group"]))
        };
        judged.iter().map(row).collect()
    }

    /// The rows of the important panels.
    async fn panels(&self) -> BTreeSet<String> {
        const GROUP: [&str; 2] = ["account", "group"];
        let outages = ["Open outages B", "Open outages C", "Open outages D"];
        let below = [
            "Groups below their minimum B",
            "Groups below their minimum C",
        ];
        let mut rows = self.rows("outage", &GROUP, &outages).await;
        rows.extend(self.rows("below", &GROUP, &below).await);
        rows.extend(self.rows("account", &GROUP[..1], &["Accounts D"]).await);
        rows.extend(self.endpoints("missed", "Missed now", "watch").await);
        rows.extend(self.endpoints("flapping", "Flapping endpoints", "").await);
        rows
    }

    /// The first times of the open outages.
    async fn since(&self) -> BTreeSet<String> {
        self.rows("outage", &["account", "group"], &["Open outages A"])
            .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn panels_agree_with_the_simulator_in_each_prometheus_and_over_the_replacement_of_a_pod() {
    let folder = tempfile::tempdir().unwrap();
    let mut fleet = Fleet::start(folder.path()).await;
    fleet.trouble().await;
    let boards = boards();
    let endpoint = (fleet.vendor).edit(|world| id_of(world, "Reception"));
    // The third server has only native histograms.
    let native = "count(vobiz_api_request_duration_seconds) > bool 0 \
                  unless count(vobiz_api_request_duration_seconds_bucket)";
    fleet.servers[2].until_is(native, 1.0).await;
    let expected = fleet.expected();
    let mut since = Vec::new();
    for server in &fleet.servers {
        let shown = Look::at(&boards[2], server, &endpoint);
        until("the panels agree with the simulator", || async {
            let rows = shown.panels().await;
            // The last line of the output names the difference.
            println!("{:?}", rows.symmetric_difference(&expected));
            (rows == expected).then_some(())
        })
        .await;
        since.push(shown.since().await);
        let mut empty = Vec::new();
        for board in &boards {
            let look = Look::at(board, server, &endpoint);
            for query in board.queries() {
                if look.ask(&query).await.is_empty() {
                    empty.push(query.place);
                }
            }
        }
        assert!(empty.is_empty(), "{empty:#?}");
    }

    fleet.replace().await;
    for (server, since) in fleet.servers.iter().zip(since) {
        let shown = Look::at(&boards[2], server, &endpoint);
        assert_eq!(shown.panels().await, expected);
        assert_eq!(shown.since().await, since);
        let lines = shown.ask(&boards[2].query("Registered by account A")).await;
        assert_eq!(lines.len(), ACCOUNTS.len(), "one line over both pods");
    }
}
