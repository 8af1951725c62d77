//! What operators are notified when phones, the vendor or the exporter fail. Each test is a chain of its own.

use std::time::Duration;

use vobiz_simulator::{Fault, Vendor, World};

use super::{
    notified::Notified,
    site::{FIRST_PHONE, GROUPS, configuration, register, vendor_of, world},
    stack::Stack,
};
use crate::harness::{Exporter, auth_id};

/// Durations in the shipped files are divided by this number, so a minute lasts five seconds, as long as the poll interval.
const SPEED: u64 = 12;
/// One paged group.
const DELHI: &str = "groups: [{name: delhi, match: {alias: 'DEL .*'}, watch: page}]";
const MINUTE: Duration = Duration::from_secs(5);

/// The programs of a test.
struct Chain {
    vendor: Vendor,
    configuration: String,
    stack: Stack,
    notified: Notified,
    _state: tempfile::TempDir,
}

impl Chain {
    /// Starts a chain with one account.
    async fn start(case: &'static str, world: World, groups: &str) -> Self {
        Self::of(case, world, &[("main", groups)]).await
    }

    /// Starts a chain with these accounts, which all have the endpoints of the only account of the vendor.
    async fn of(case: &'static str, world: World, accounts: &[(&str, &str)]) -> Self {
        let vendor = vendor_of(world, None).await;
        let state = tempfile::tempdir().unwrap();
        let configuration = configuration(&vendor, state.path(), accounts.iter().copied());
        let exporter = Exporter::start(&configuration).await;
        let stack = Stack::start(tempfile::tempdir().unwrap(), exporter, SPEED).await;
        let number = f64::from(u32::try_from(accounts.len()).unwrap());
        let ready = "count(account:vobiz_account_condition:bridged{condition=\"ok\"})";
        stack.prometheus.until_is(ready, number).await;
        let notified = Notified::by(stack.receiver.clone(), case);
        Self {
            vendor,
            configuration,
            stack,
            notified,
            _state: state,
        }
    }

    /// Kills the exporter, as a lost host does. After this number of minutes, another pod starts with the same state.
    async fn replace_the_pod(&mut self, minutes: u32) {
        self.stack.exporter.signal("KILL").await;
        tokio::time::sleep(minutes * MINUTE).await;
        self.stack
            .take_over(Exporter::start(&self.configuration).await)
            .await;
    }

    /// The value of a query with one sample.
    async fn value(&self, query: &str) -> f64 {
        let samples = self
            .stack
            .prometheus
            .until(query, |samples| samples.len() == 1)
            .await;
        samples[0].value
    }

    /// Waits for some minutes of the rules' time.
    async fn minutes(&self, minutes: u32) {
        let begun = self.value("vector(time())").await;
        let passed = f64::from(minutes * 5);
        self.stack
            .prometheus
            .until_is(&format!("count(vector(time()) > {begun} + {passed})"), 1.0)
            .await;
    }
}

/// Case 1, 4 and 8: a site falls while the exporter is killed and its pod is replaced, and all phones return.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it takes minutes: make test-slow"]
async fn a_site_falls_and_a_phone_of_another_site() {
    let sites = [("PUN", 33), ("DEL", 100), ("MUM", 147), ("WEB", 20)];
    let mut chain = Chain::start("site", world("main", &sites), GROUPS).await;
    register(&chain.vendor, false, |id| id.starts_with('p') || id == "d1");
    let outage = "pager firing VobizOutage main pune";
    let phone = "pager firing VobizPagedEndpointMissed main delhi d1";
    let messages = chain
        .notified
        .expects(
            "33 phones of a site fall, and one of another",
            &[outage, phone],
        )
        .await;
    let texts: Vec<_> = messages
        .iter()
        .flat_map(|message| &message.alerts)
        .collect();
    let text = |name: &str| texts.iter().find(|alert| alert.name() == name).unwrap();
    let site = text("VobizOutage main pune");
    assert!(
        site.annotations["summary"]
            .starts_with("Group pune of account main: many endpoints lost since ")
    );
    assert!(
        site.annotations["description"]
            .starts_with("33 of 33 endpoints were lost together and are not back.")
    );
    let one = text("VobizPagedEndpointMissed main delhi d1");
    assert!(one.annotations["summary"].starts_with(&format!(
        "{FIRST_PHONE} (delhi, main) has been missed since "
    )));

    let since = "max(outage:vobiz_outage_start_timestamp_seconds:bridged)";
    let begun = chain.value(since).await;
    chain.replace_the_pod(3).await;
    chain.minutes(3).await;
    chain.notified.expects("the pod is replaced", &[]).await;
    assert_eq!(chain.value(since).await.to_bits(), begun.to_bits());

    register(&chain.vendor, true, |_| true);
    let resolved = [outage, phone].map(|one| one.replace("firing", "resolved"));
    chain
        .notified
        .expects("all return", &resolved.each_ref().map(String::as_str))
        .await;
}

/// The second form of case 1. The losses of a site that is on duty are spread over 40 minutes, as its registrations expire.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it takes minutes: make test-slow"]
async fn a_site_dies_by_expiry() {
    let duty = "groups: [{name: shop, match: {alias: 'SHO .*'}, duty: [{times: [{start_time: '00:00', end_time: '24:00'}]}]}]";
    let mut chain =
        Chain::start("expiry", world("main", &[("SHO", 33), ("REST", 100)]), duty).await;
    let mut lost = tokio::time::interval(40 * MINUTE / 33);
    for number in 1..=33 {
        lost.tick().await;
        register(&chain.vendor, false, |id| id == format!("s{number}"));
    }
    chain
        .notified
        .expects(
            "33 registrations expire over 40 minutes",
            &["pager firing VobizOutage main shop"],
        )
        .await;
    register(&chain.vendor, true, |_| true);
    chain
        .notified
        .expects("all return", &["pager resolved VobizOutage main shop"])
        .await;
}

/// Case 2: two in five of all sites fall, and an eighth of the endpoints is deleted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it takes minutes: make test-slow"]
async fn a_part_of_all_sites_falls() {
    let sites = [("PUN", 33), ("DEL", 100), ("MUM", 147), ("WEB", 20)];
    let mut chain = Chain::start("account", world("main", &sites), GROUPS).await;
    let number = |id: &str| id[1..].parse::<u32>().unwrap();
    register(&chain.vendor, false, |id| {
        !id.starts_with('w') && number(id) % 5 < 2
    });
    let messages = chain
        .notified
        .expects(
            "two in five of all sites fall",
            &["pager firing VobizOutage main"],
        )
        .await;
    let text = &messages[0].alerts[0].annotations["description"];
    for group in ["112 of 300 ", "delhi: 40.", "mumbai: 59.", "pune: 13."] {
        assert!(text.contains(group), "{text}");
    }
    register(&chain.vendor, true, |_| true);
    chain
        .notified
        .expects("all return", &["pager resolved VobizOutage main"])
        .await;
    chain.vendor.edit(|world| {
        for number in 1..=40 {
            world.first_mut().remove(&format!("m{number}")).unwrap();
        }
    });
    chain
        .notified
        .expects(
            "40 of 300 are deleted",
            &["chat firing VobizEndpointsRemoved main"],
        )
        .await;
}

/// Cases 5 and 12: the vendor is away, and one message names all accounts. A missed phone stays missed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it takes minutes: make test-slow"]
async fn the_vendor_is_away() {
    let names: Vec<_> = (1..=30).map(|number| format!("account{number}")).collect();
    let mut world = world(&names[0], &[("DEL", 10)]);
    for name in &names[1..] {
        let endpoints = world.first().endpoints().cloned().collect::<Vec<_>>();
        let mut account = vobiz_simulator::Account::new(auth_id(name), format!("token-of-{name}"));
        for endpoint in endpoints {
            account.push(endpoint);
        }
        world.add(account);
    }
    let accounts: Vec<_> = names.iter().map(|name| (name.as_str(), DELHI)).collect();
    let mut chain = Chain::of("vendor", world, &accounts).await;
    register(&chain.vendor, false, |id| id == "d1");
    let phone = "pager firing VobizPagedEndpointMissed account1 delhi d1";
    chain.notified.expects("a phone falls", &[phone]).await;

    let away = chain.vendor.plan(Fault::status(503));
    let withdrawn: Vec<_> = names
        .iter()
        .map(|name| format!("pager firing VobizDataWithdrawn {name}"))
        .collect();
    let firing: Vec<_> = withdrawn.iter().map(String::as_str).collect();
    let messages = chain.notified.expects("the vendor is away", &firing).await;
    assert_eq!(messages.len(), 1, "one message for all accounts");
    // The phone returns unseen. Its alert holds, also longer than the rules bridge a missing answer.
    register(&chain.vendor, true, |id| id == "d1");
    chain.minutes(6).await;
    chain.minutes(6).await;
    chain.notified.expects("the vendor stays away", &[]).await;

    chain.vendor.cancel(away);
    let mut resolved: Vec<_> = withdrawn
        .iter()
        .map(|one| one.replace("firing", "resolved"))
        .collect();
    resolved.push(phone.replace("firing", "resolved"));
    let resolved: Vec<_> = resolved.iter().map(String::as_str).collect();
    chain
        .notified
        .expects("the vendor is back", &resolved)
        .await;
}

/// Cases 6 and 7, and the end of the exporter: the alert about a phone stays the same alert.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it takes minutes: make test-slow"]
async fn a_paged_phone_is_down_from_the_start() {
    let groups = DELHI.replace(
        "groups: [",
        "groups: [{name: desk, match: {alias: 'nobody'}, watch: page}, ",
    );
    let mut down = world("main", &[("DEL", 20)]);
    let now = down.now();
    down.first_mut()
        .edit("d1", |one| one.set_registered(false, now));
    let mut chain = Chain::start("phone", down, &groups).await;
    let phone = "pager firing VobizPagedEndpointMissed main delhi d1";
    let group = "pager firing VobizGroupBelowMinimum main desk";
    chain
        .notified
        .expects(
            "a paged phone is down at the start, and a paged group is empty",
            &[phone, group],
        )
        .await;

    chain.vendor.edit(|world| {
        world.first_mut().edit("d1", |one| {
            "MUM moved".clone_into(&mut one.alias);
            "renamed".clone_into(&mut one.username);
            one.application = None;
        })
    });
    chain.configuration = chain.configuration.replace("name: delhi", "name: capital");
    chain.replace_the_pod(1).await;
    chain.minutes(4).await;
    chain
        .notified
        .expects("the phone and its group get other names", &[])
        .await;

    chain.stack.exporter.signal("KILL").await;
    chain
        .notified
        .expects("the exporter is gone", &["pager firing VobizTargetDown"])
        .await;
    let missed = "endpoint:vobiz_endpoint_missed_timestamp_seconds:bridged";
    chain.stack.prometheus.until(missed, <[_]>::is_empty).await;
    chain.minutes(2).await;
    chain
        .stack
        .take_over(Exporter::start(&chain.configuration).await)
        .await;
    chain
        .notified
        .expects("it is back", &["pager resolved VobizTargetDown"])
        .await;
    register(&chain.vendor, true, |_| true);
    chain
        .notified
        .expects(
            "the phone is registered",
            &[&phone.replace("firing", "resolved")],
        )
        .await;
}
