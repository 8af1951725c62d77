//! In a real Alertmanager, each silence of the runbooks matches exactly the intended alerts.

use std::{collections::BTreeSet, path::Path};

use jiff::{SignedDuration, Timestamp};
use regex::{Captures, Regex};
use serde_json::{Value, json};

use super::page::{Command, commands};
use crate::{
    chain::Alertmanager,
    harness::{Ended, judge, tool, until},
    rules::{ALERTMANAGER, read},
};

/// The Markdown file with the shell function `amtool`, which the runbooks use.
const MAINTENANCE: &str = "maintenance.md";

/// The firing alerts: a short name for this test, and the labels.
const FIRING: [(&str, &str); 8] = [
    (
        "pune",
        "alertname=VobizGroupDropped account=main scope=group group=pune",
    ),
    (
        "pune's phone",
        "alertname=VobizEndpointLost account=main scope=endpoint group=pune endpoint_id=140426583361498 application=Support",
    ),
    (
        "another phone",
        "alertname=VobizEndpointLost account=main scope=endpoint group=delhi endpoint_id=2 application=Sales-EMEA",
    ),
    (
        "support",
        "alertname=VobizApplicationDropped account=main scope=application application=Support",
    ),
    (
        "fleet",
        "alertname=VobizFleetDropped account=main scope=fleet",
    ),
    ("target", "alertname=VobizRestartLoop scope=target"),
    (
        "token",
        "alertname=VobizClockOff account=main scope=account",
    ),
    (
        "elsewhere",
        "alertname=VobizEndpointLost account=branch scope=endpoint group=pune endpoint_id=3 application=Support",
    ),
];

/// An entry has a part of a command that adds a silence, and the short names of the alerts that the
/// silence must match. The first entry whose part the command contains applies.
const QUIET: [(&str, &[&str]); 8] = [
    ("group=pune", &["pune", "pune's phone"]),
    ("alertname=VobizFleetDropped", &["fleet"]),
    ("application=Support", &["pune's phone", "support"]),
    (
        "application=~",
        &["another phone", "pune's phone", "support"],
    ),
    ("endpoint_id=", &["pune's phone"]),
    ("scope=target", &["target"]),
    ("scope=account", &["token"]),
    (
        "alertname=~",
        &["another phone", "fleet", "pune", "pune's phone", "support"],
    ),
];

struct Operator {
    alertmanager: Alertmanager,
    /// The shell function `amtool`, which the maintenance file defines.
    prelude: String,
}

impl Operator {
    async fn run(&self, text: &str) -> Ended {
        let here = format!("http://{}", self.alertmanager.address());
        let prelude = self.prelude.replace("http://localhost:9093", &here);
        // Alertmanager accepts no silence in the past, so the test replaces the dates.
        let text = text.replace("account=ACCOUNT", "account=main");
        let dates = Regex::new(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z").unwrap();
        let mut hours = [0, 24].into_iter();
        let text = dates.replace_all(&text, |_: &Captures<'_>| {
            let time = Timestamp::now() + SignedDuration::from_hours(hours.next().unwrap());
            time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
        });
        let folder = tool("AMTOOL", "amtool")
            .parent()
            .unwrap()
            .display()
            .to_string();
        let text = format!("export PATH='{folder}':$PATH\n{prelude}\n{text}");
        let ended = judge(Path::new("bash"), &["-c", &text], "").await;
        assert_eq!(
            (ended.code, ended.err.as_str()),
            (Some(0), ""),
            "{text}: {ended:?}"
        );
        ended
    }

    /// Waits until exactly the alerts with these short names are silenced.
    async fn until_quiet(&self, what: &str, expected: &[&str]) {
        let expected: BTreeSet<_> = expected.iter().map(|name| (*name).to_owned()).collect();
        until(&format!("{what} silences {expected:?}"), || async {
            let alerts = self.alertmanager.api("alerts").await;
            let alerts = alerts.as_array().unwrap().iter();
            let silenced = alerts.filter(|alert| alert["status"]["silencedBy"] != json!([]));
            let silenced: BTreeSet<_> = silenced.map(name).collect();
            (silenced == expected).then_some(())
        })
        .await;
    }
}

fn labels(written: &str) -> Value {
    let mut labels = json!({"job": "vobiz-exporter"});
    for word in written.split(' ') {
        let (label, value) = word.split_once('=').unwrap();
        labels[label] = value.into();
    }
    labels
}

fn name(alert: &Value) -> String {
    let found = FIRING
        .iter()
        .find(|(_, written)| labels(written) == alert["labels"]);
    found.unwrap().0.to_owned()
}

#[tokio::test]
async fn each_runbook_silence_matches_its_alerts_and_can_be_ended() {
    let alertmanager = Alertmanager::start(&read(ALERTMANAGER)).await;
    let firing: Vec<_> = FIRING.iter().map(|(_, written)| labels(written)).collect();
    alertmanager.fire(&firing).await;
    let mut all: Vec<Command> = commands()
        .into_iter()
        .filter(|one| one.text.contains("amtool"))
        .collect();
    // The maintenance file comes first, because it defines the shell function.
    all.sort_by_key(|one| one.page != MAINTENANCE);
    let prelude = all.remove(0).text;
    assert!(prelude.starts_with("amtool() {"), "{prelude}");
    let operator = Operator {
        alertmanager,
        prelude,
    };
    let mut used = BTreeSet::new();
    for command in &all {
        if command.page != MAINTENANCE {
            let page = read(&format!("docs/runbooks/{}", command.page));
            assert!(
                page.contains("](maintenance.md"),
                "{command:?} does not say where to define amtool"
            );
        }
        if !command.text.starts_with("amtool silence add ") {
            continue;
        }
        let matching = QUIET.iter().find(|(part, _)| command.text.contains(part));
        let (part, quiet) = matching.unwrap_or_else(|| panic!("what does it silence? {command:?}"));
        used.insert(*part);
        let id = operator.run(&command.text).await.out;
        operator.until_quiet(&command.text, quiet).await;
        operator
            .run(&format!("amtool silence expire {}", id.trim()))
            .await;
        operator.until_quiet("nothing", &[]).await;
    }
    assert_eq!(used.len(), QUIET.len(), "{used:?}");

    // The remaining commands list alerts, and list or end silences. First, the test adds two silences.
    let group = all
        .iter()
        .find(|one| one.text.contains("group=pune"))
        .unwrap();
    for _ in 0..2 {
        operator.run(&group.text).await;
    }
    operator
        .until_quiet("a group", &["pune", "pune's phone"])
        .await;
    let rest = all
        .iter()
        .filter(|one| !one.text.starts_with("amtool silence add "));
    let rest: Vec<_> = rest.map(|one| one.text.as_str()).collect();
    let [fires, silences, end] = rest[..] else {
        panic!("what else is there? {rest:?}")
    };
    let fires_now = operator.run(fires).await.out;
    for (alert, shown) in [
        ("VobizFleetDropped", true),
        ("VobizGroupDropped", false),
        ("VobizRestartLoop", false),
    ] {
        assert_eq!(fires_now.contains(alert), shown, "{alert}: {fires_now}");
    }
    let silenced = operator.run(&format!("{fires} --silenced")).await.out;
    assert!(silenced.contains("VobizEndpointLost"), "{silenced}");
    operator.run(&format!("{fires} --inhibited")).await;
    let known = operator.run(silences).await.out;
    assert_eq!(known.matches("router at Pune").count(), 2, "{known}");
    operator.run(end).await;
    operator.until_quiet("nothing", &[]).await;
}
