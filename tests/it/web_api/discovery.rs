//! A real Prometheus finds the targets of its probes with `/sd`.

use std::collections::BTreeSet;

use serde_json::Value;
use vobiz_simulator::{Endpoint, Fault, Vendor};

use crate::harness::{
    Exporter, Generation, Prometheus, accounts_config, auth_id, get, until, vendor,
};

const DOCUMENT: &str = include_str!("../../../docs/probing.md");
const GROUPS: &str = "groups: [\
    {name: reception, match: {alias: 'Reception.*'}, watch: page}, \
    {name: agents, match: {alias: 'Agent.*'}}]";
const PROBES: &str = "probe: {enabled: true, requests_per_second: 50}\n";

/// The block of the document with service discovery, for this exporter and with short intervals.
fn configuration(address: &str) -> String {
    let begin = "```yaml\n# The exporter names the targets.";
    let block = DOCUMENT.split(begin).nth(1).expect("the document has it");
    let block = block.split("\n```\n").next().unwrap();
    let mut text = block.to_owned();
    for (what, with, times) in [
        ("localhost:10059", address, 2),
        ("scrape_interval: 60s", "scrape_interval: 1s", 1),
        ("scrape_timeout: 10s", "scrape_timeout: 1s", 1),
        ("refresh_interval: 60s", "refresh_interval: 1s", 1),
    ] {
        assert_eq!(text.matches(what).count(), times, "{what} in {text}");
        text = text.replace(what, with);
    }
    text
}

/// The ids of the endpoints whose alias begins with "Reception".
fn paged(vendor: &Vendor) -> BTreeSet<String> {
    vendor.edit(|world| {
        let all = world.first().endpoints();
        let found = all.filter(|one| one.alias.starts_with("Reception"));
        found.map(|one| one.id().to_owned()).collect()
    })
}

/// Waits until Prometheus probes these endpoints, and no other.
async fn probes(prometheus: &Prometheus, expected: &BTreeSet<String>) {
    let probed = "probe_success{job=\"vobiz-probe\"} == 1";
    prometheus
        .until(probed, |samples| {
            let of = |name: &str| {
                let values = samples.iter().map(|sample| sample.labels[name].as_str());
                values.flatten().map(str::to_owned).collect::<BTreeSet<_>>()
            };
            of("endpoint_id") == *expected && of("account") == BTreeSet::from(["main".to_owned()])
        })
        .await;
}

#[tokio::test]
async fn prometheus_probes_the_paged_phones_and_follows_their_group() {
    let vendor = vendor([("main", 120)]).await;
    let text = accounts_config(&vendor, "", [("main", GROUPS)]) + PROBES;
    let exporter = Exporter::start(&text).await;
    exporter
        .until("a walk", |scrape| scrape.up("main") == Some(1.0))
        .await;
    let before = paged(&vendor);
    assert!(!before.is_empty());
    let folder = tempfile::tempdir().unwrap();
    let configuration = configuration(exporter.address());
    let prometheus = Prometheus::of(Generation::Three, folder, &configuration).await;
    probes(&prometheus, &before).await;

    vendor.edit(|world| {
        let account = world.first_mut();
        let is_agent = |one: &&Endpoint| one.alias.starts_with("Agent");
        let agent = account.endpoints().find(is_agent).unwrap();
        let agent = agent.id().to_owned();
        account.edit(&agent, |one| one.alias = "Reception Pune".to_owned());
        let former = before.first().unwrap();
        account.edit(former, |one| one.alias = "Agent 99".to_owned());
    });
    let after = paged(&vendor);
    assert_eq!(after.len(), before.len());
    assert_ne!(after, before);
    probes(&prometheus, &after).await;
}

#[tokio::test]
async fn targets_stay_while_no_walk_has_succeeded_and_need_probes() {
    let vendor = vendor([("main", 20), ("branch", 10)]).await;
    let failing = vendor.plan(Fault::status(503).for_account(auth_id("branch")));
    let accounts = [("main", GROUPS), ("branch", "")];
    let text = accounts_config(&vendor, "", accounts);
    let exporter = Exporter::start(&text).await;
    assert_eq!(get(exporter.address(), "/sd").await.status, 404);

    let exporter = Exporter::start(&(text + PROBES)).await;
    exporter
        .until("both accounts", |scrape| {
            scrape.up("main") == Some(1.0) && scrape.condition("branch") == "never"
        })
        .await;
    // Prometheus keeps the targets that it has when it gets an error.
    let answer = get(exporter.address(), "/sd").await;
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("account branch"), "{answer:?}");
    let answer = get(exporter.address(), "/sd?account=main").await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let groups: Value = serde_json::from_str(&answer.text()).unwrap();
    let targets = groups.as_array().unwrap().iter();
    let targets = targets.flat_map(|group| group["targets"].as_array().unwrap());
    assert_eq!(targets.count(), 20);
    for (query, status, reason) in [
        ("?watch=pager", 400, "watch"),
        ("?group=", 400, "group"),
        ("?groups=a", 400, "groups"),
        ("?account=other", 404, "no account"),
    ] {
        let answer = get(exporter.address(), &format!("/sd{query}")).await;
        assert_eq!(answer.status, status, "{query}");
        assert!(answer.text().contains(reason), "{answer:?}");
    }

    vendor.plan(Fault::status(401).for_account(auth_id("branch")));
    vendor.cancel(failing);
    until("the refusal of the account", || async {
        let answer = get(exporter.address(), "/sd").await;
        (answer.status == 200).then_some(())
    })
    .await;
}
