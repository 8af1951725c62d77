//! How a real Alertmanager groups and suppresses alerts with the shipped configuration.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::alertmanager::Alertmanager;
use crate::{
    harness::until,
    rules::{ALERTMANAGER, read},
};

/// The labels of alerts, written as `ALERT SEVERITY LABEL=VALUE ...`.
fn labels(written: &str) -> Value {
    let mut words = written.split(' ');
    let mut labels = json!({"job": "vobiz-exporter"});
    labels["alertname"] = words.next().into();
    labels["severity"] = words.next().into();
    for word in words {
        let (label, value) = word.split_once('=').unwrap();
        labels[label] = value.into();
    }
    labels
}

async fn fired(alerts: &[&str]) -> Alertmanager {
    let started = Alertmanager::start(&read(ALERTMANAGER)).await;
    let alerts: Vec<_> = alerts.iter().map(|alert| labels(alert)).collect();
    started.fire(&alerts).await;
    started
}

#[tokio::test]
async fn a_message_is_about_one_group_of_endpoints_or_about_one_alert_of_all_accounts() {
    let alerts = [
        "VobizDataWithdrawn critical account=a",
        "VobizDataWithdrawn critical account=b",
        "VobizOutage critical account=a group=pune scope=group",
        "VobizPagedEndpointMissed critical account=a group=pune endpoint_id=1",
        "VobizPagedEndpointMissed critical account=a group=delhi endpoint_id=2",
        "VobizPagedEndpointMissed critical account=b group=pune endpoint_id=1",
        "VobizTargetDown critical",
    ];
    let expected = BTreeSet::from([
        r#"{"alertname":"VobizDataWithdrawn","job":"vobiz-exporter"} 2"#.to_owned(),
        r#"{"account":"a","group":"pune","job":"vobiz-exporter"} 2"#.to_owned(),
        r#"{"account":"a","group":"delhi","job":"vobiz-exporter"} 1"#.to_owned(),
        r#"{"account":"b","group":"pune","job":"vobiz-exporter"} 1"#.to_owned(),
        r#"{"alertname":"VobizTargetDown","job":"vobiz-exporter"} 1"#.to_owned(),
    ]);
    let started = fired(&alerts).await;
    until("the groups", || async {
        let groups = started.api("alerts/groups").await;
        let groups = groups.as_array().unwrap().iter();
        let group = |group: &Value| {
            format!(
                "{} {}",
                group["labels"],
                group["alerts"].as_array().unwrap().len()
            )
        };
        (groups.map(group).collect::<BTreeSet<_>>() == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn only_a_missing_exporter_hides_other_alerts() {
    let others = [
        "VobizDataWithdrawn critical account=a",
        "VobizOutage critical account=a group=pune scope=group",
        "VobizPagedEndpointMissed critical account=a group=pune endpoint_id=1",
        "VobizEndpointMissed warning account=a endpoint_id=3 watch=notice",
    ];
    let shown = [
        "VobizTargetDown critical",
        "VobizRestartLoop warning",
        "VobizOutage critical account=a job=another",
    ];
    for (hiding, hidden) in [(None, 0), (Some("VobizTargetDown critical"), others.len())] {
        let fires: Vec<_> = others
            .into_iter()
            .chain(hiding)
            .chain(shown[1..].iter().copied())
            .collect();
        let started = fired(&fires).await;
        until("the suppressed alerts", || async {
            let alerts = started.api("alerts").await;
            let alerts = alerts.as_array().unwrap();
            let suppressed = alerts
                .iter()
                .filter(|alert| alert["status"]["state"] == "suppressed");
            let is_right =
                |alert: &Value| others.iter().any(|other| labels(other) == alert["labels"]);
            let suppressed: Vec<_> = suppressed.collect();
            let is_complete = alerts.len() == fires.len() && suppressed.len() == hidden;
            (is_complete && suppressed.into_iter().all(is_right)).then_some(())
        })
        .await;
    }
}
