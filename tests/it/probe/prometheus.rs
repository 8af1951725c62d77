//! A real Prometheus probes thirty phones with the configuration of `docs/probing.md`.

use std::fmt::Write as _;

use vobiz_simulator::TEST_ACCOUNT;

use super::exporter_of;
use crate::harness::{Prometheus, judge, tool};

const DOCUMENT: &str = include_str!("../../../docs/probing.md");

/// The YAML block of `docs/probing.md` that begins with `begin`.
fn block(begin: &str) -> &'static str {
    let mut blocks = DOCUMENT.split("\n```yaml\n").skip(1);
    let block = blocks.find(|block| block.starts_with(begin));
    let block = block.expect("the document has it");
    &block[..=block.find("\n```\n").expect("a block ends")]
}

fn replaced(text: &str, what: &str, with: &str) -> String {
    assert_eq!(text.matches(what).count(), 1, "{what} in {text}");
    text.replace(what, with)
}

#[tokio::test]
async fn prometheus_probes_thirty_phones_by_relabelling() {
    let (vendor, exporter) = exporter_of(120).await;
    let mut ids = vendor.edit(|world| {
        let account = world.account(TEST_ACCOUNT.auth_id).unwrap();
        let of = |registered| {
            let endpoints = account
                .endpoints()
                .filter(move |one| one.registered() == registered);
            endpoints.map(|one| one.id().to_owned()).take(15)
        };
        of(true).chain(of(false)).collect::<Vec<_>>()
    });
    let shown = vendor.edit(|world| {
        let registered = ids
            .iter()
            .filter(|id| world.first().endpoint(id).unwrap().registered());
        registered.count()
    });
    assert_eq!((ids.len(), shown), (30, 15));
    let deleted = ids[0].clone();
    let [lost, kept] = [ids[1].clone(), ids[2].clone()];
    vendor.edit(|world| {
        let now = world.now();
        let account = world.first_mut();
        account.remove(&deleted);
        account.edit(&lost, |one| one.set_registered(false, now));
    });
    ids.sort();

    let text = block("scrape_configs:");
    let list = "          - \"140426583361498\"\n          - \"140426583361499\"\n";
    let targets = ids.iter().fold(String::new(), |mut list, id| {
        writeln!(list, "          - \"{id}\"").unwrap();
        list
    });
    let text = replaced(text, list, &targets);
    let text = replaced(&text, "localhost:10059", exporter.address());
    let text = replaced(&text, "scrape_interval: 60s", "scrape_interval: 2s");
    let text = replaced(&text, "scrape_timeout: 10s", "scrape_timeout: 2s");
    let prometheus = Prometheus::configured(tempfile::tempdir().unwrap(), &text, &[]).await;

    prometheus
        .until_is("count(up{job=\"vobiz-probe\"} == 1)", 30.0)
        .await;
    prometheus.until_is("count(probe_success)", 30.0).await;
    prometheus.until_is("sum(probe_success)", 29.0).await;
    prometheus
        .until_is("count(vobiz_probe_endpoint_registered == 1)", 13.0)
        .await;
    prometheus
        .until_is("count(vobiz_probe_endpoint_registered == 0)", 16.0)
        .await;
    let of = |family: &str, id: &str| format!("{family}{{account=\"main\",endpoint_id=\"{id}\"}}");
    prometheus
        .until_is(&of("vobiz_probe_http_status_code", &deleted), 404.0)
        .await;
    prometheus
        .until_is(&of("probe_success", &deleted), 0.0)
        .await;
    prometheus
        .until_is(
            &format!("vobiz_probe_failure{{endpoint_id=\"{deleted}\",reason=\"not_found\"}}"),
            1.0,
        )
        .await;
    prometheus.until_is("sum(vobiz_probe_failure)", 1.0).await;
    prometheus
        .until_is(&of("vobiz_probe_endpoint_registered", &lost), 0.0)
        .await;
    prometheus.until_is(&of("probe_success", &lost), 1.0).await;
    prometheus
        .until_is(&of("vobiz_probe_endpoint_registered", &kept), 1.0)
        .await;
    prometheus
        .until_is(
            "count(vobiz_probe_registration_expiration_timestamp_seconds)",
            13.0,
        )
        .await;
    // The document has this join. If Prometheus renamed a label, `exported_account` would not be empty.
    prometheus
        .until_is(
            "count(vobiz_probe_endpoint_registered * on (job, account, endpoint_id) group_left (alias) \
             vobiz_probe_endpoint_info{alias!=\"\",exported_account=\"\"})",
            29.0,
        )
        .await;

    vendor.edit(|world| world.first_mut().edit(&kept, |one| one.registration = None));
    prometheus
        .until_is(&of("vobiz_probe_endpoint_registered", &kept), 0.0)
        .await;
    prometheus
        .until_is("count(up{job=\"vobiz-probe\"} == 1)", 30.0)
        .await;
}

#[tokio::test]
async fn the_alerts_of_the_document_are_rules() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yml");
    std::fs::write(&file, block("groups:")).unwrap();
    let promtool = tool("PROMTOOL", "promtool");
    let verdict = judge(&promtool, &["check", "rules", file.to_str().unwrap()], "").await;
    assert_eq!(verdict.code, Some(0), "{}{}", verdict.out, verdict.err);
}
