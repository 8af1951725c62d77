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
const FIRING: [(&str, &str); 7] = [
    (
        "pune",
        "alertname=VobizOutage account=main scope=group group=pune",
    ),
    (
        "pune's phone",
        "alertname=VobizEndpointMissed account=main group=pune endpoint_id=140426583361498",
    ),
    (
        "agent",
        "alertname=VobizEndpointMissed account=main group=agents endpoint_id=2",
    ),
    ("fleet", "alertname=VobizOutage account=main scope=account"),
    ("target", "alertname=VobizRestartLoop"),
    ("token", "alertname=VobizCredentialsRefused account=main"),
    (
        "elsewhere",
        "alertname=VobizEndpointMissed account=branch group=pune endpoint_id=3",
    ),
];

/// An entry has a part of a command that adds a silence, and the short names of the alerts that the
/// silence must match. The first entry whose part the command contains applies.
const QUIET: [(&str, &[&str]); 6] = [
    ("group=pune", &["pune", "pune's phone"]),
    ("alertname=VobizOutage", &["fleet"]),
    ("endpoint_id=", &["pune's phone"]),
    ("VobizRestartLoop", &["target"]),
    ("VobizCredentialsRefused", &["token"]),
    ("group=agents", &["agent"]),
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
        let dates = Regex::new(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z").unwrap();
        let mut hours = [0, 24].into_iter();
        let text = dates.replace_all(text, |_: &Captures<'_>| {
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
        ("VobizCredentialsRefused", true),
        ("VobizRestartLoop", false),
    ] {
        assert_eq!(fires_now.contains(alert), shown, "{alert}: {fires_now}");
    }
    let silenced = operator.run(&format!("{fires} --silenced")).await.out;
    assert!(silenced.contains("VobizEndpointMissed"), "{silenced}");
    operator.run(&format!("{fires} --inhibited")).await;
    let known = operator.run(silences).await.out;
    assert_eq!(known.matches("router at Pune").count(), 2, "{known}");
    operator.run(end).await;
    operator.until_quiet("nothing", &[]).await;
}
