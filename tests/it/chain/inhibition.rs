//! Tests which alerts a real Alertmanager suppresses with the shipped configuration, and how it
//! groups alerts. Also tests that each inhibition rule of the configuration is needed.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::alertmanager::Alertmanager;
use crate::{
    harness::until,
    rules::{ALERTMANAGER, groups, read},
};

/// The effect of one inhibition rule. Each string has the name of an alert and its labels. An alert
/// without a `job` label gets a job that no other case has.
struct Case {
    /// Each of these alerts suppresses all `quiet` alerts.
    sources: &'static [&'static str],
    quiet: &'static [&'static str],
    expected: &'static [&'static str],
}

/// One case for each inhibition rule, in the order of the rules in the shipped configuration. The
/// `quiet` alerts of a case suppress no other alert of this case.
const CASES: [Case; 7] = [
    Case {
        sources: &["VobizTargetAbsent", "VobizTargetDown"],
        quiet: &[
            "VobizDataWithdrawn account=a",
            "VobizFleetDropped account=b",
            "VobizWatchedEndpointLost account=b endpoint_id=1 watch=page",
        ],
        expected: &[
            "VobizRestartLoop",
            "VobizFleetDropped account=a job=elsewhere",
        ],
    },
    Case {
        sources: &[
            "VobizNeverSucceeded account=a",
            "VobizDataWithdrawn account=a",
            "VobizCredentialsRefused account=a",
        ],
        quiet: &[
            "VobizFleetBelowUsual account=a",
            "VobizWatchedGroupDropped account=a group=g watch=page",
            "VobizApplicationDropped account=a application=x",
            "VobizWatchedEndpointLost account=a endpoint_id=1 watch=page",
        ],
        expected: &["VobizClockOff account=a", "VobizFleetDropped account=b"],
    },
    Case {
        sources: &["VobizFleetDropped account=a"],
        quiet: &[
            "VobizEndpointLost account=a endpoint_id=1 watch=notice",
            "VobizEndpointFlapping account=a endpoint_id=1 watch=notice",
        ],
        expected: &[
            "VobizWatchedEndpointLost account=a endpoint_id=2 watch=page",
            "VobizEndpointLost account=b endpoint_id=3 watch=notice",
        ],
    },
    Case {
        sources: &["VobizFleetDropped account=a"],
        quiet: &[
            "VobizGroupDropped account=a group=g watch=notice",
            "VobizApplicationDropped account=a application=x",
            "VobizFleetBelowUsual account=a",
        ],
        expected: &[
            "VobizWatchedGroupDropped account=a group=h watch=page",
            "VobizGroupDropped account=b group=g watch=notice",
        ],
    },
    Case {
        sources: &["VobizGroupDropped account=a group=g watch=notice"],
        quiet: &["VobizEndpointLost account=a endpoint_id=1 group=g watch=notice"],
        expected: &[
            "VobizEndpointLost account=a endpoint_id=2 group=h watch=notice",
            "VobizWatchedEndpointLost account=a endpoint_id=3 group=g watch=page",
        ],
    },
    Case {
        sources: &["VobizEndpointNotReturned account=a endpoint_id=1 watch=notice"],
        quiet: &["VobizEndpointLost account=a endpoint_id=1 watch=notice"],
        expected: &[
            "VobizEndpointLost account=a endpoint_id=2 watch=notice",
            "VobizWatchedEndpointLost account=a endpoint_id=1 watch=page",
        ],
    },
    Case {
        sources: &[
            "VobizAccountEmpty account=a",
            "VobizEndpointsShrank account=a",
        ],
        quiet: &["VobizEndpointDisappeared account=a endpoint_id=1 watch=notice"],
        expected: &[
            "VobizEndpointLost account=a endpoint_id=1 watch=notice",
            "VobizEndpointDisappeared account=b endpoint_id=1 watch=notice",
        ],
    },
];

#[tokio::test]
async fn each_inhibition_rule_suppresses_its_alerts_and_no_other_rule_does() {
    let example = read(ALERTMANAGER);
    let mark = "  - source_matchers:";
    let (before, rest) = example.split_once(mark).unwrap();
    let (rules, after) = rest.split_once("\nreceivers:").unwrap();
    let rules: Vec<_> = rules.split(mark).collect();
    assert_eq!(rules.len(), CASES.len(), "a case for each rule");
    // The first round uses all rules. Each further round leaves out one rule.
    for left_out in [None].into_iter().chain((0..rules.len()).map(Some)) {
        let kept = rules.iter().enumerate();
        let kept = kept.filter(|(place, _)| Some(*place) != left_out);
        let kept: String = kept.flat_map(|(_, rule)| [mark, rule]).collect();
        let started = Alertmanager::start(&format!("{before}{kept}\nreceivers:{after}")).await;
        let mut expected = BTreeSet::new();
        for (place, case) in CASES.iter().enumerate() {
            for source in 0..case.sources.len() {
                let fires = fire(case, place, source);
                started.fire(&fires).await;
                if left_out != Some(place) {
                    let quiet = fires.iter().skip(1).take(case.quiet.len());
                    expected.extend(quiet.map(ToString::to_string));
                }
            }
        }
        let what = format!("without the rule {left_out:?}, these are kept back: {expected:#?}");
        until(&what, || async {
            let alerts = started.api("alerts").await;
            let alerts = alerts.as_array().unwrap().iter();
            let kept_back = alerts.filter(|alert| alert["status"]["state"] == "suppressed");
            let kept_back: BTreeSet<_> =
                kept_back.map(|alert| alert["labels"].to_string()).collect();
            (kept_back == expected).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn every_receiver_groups_alerts_by_account_and_job() {
    let example = read(ALERTMANAGER);
    let grouped = "  group_by: [job, account]\n";
    assert_eq!(example.matches("group_by").count(), 1, "for all routes");
    for (written, good) in [
        (grouped, true),
        ("  group_by: [alertname]\n", false),
        ("  group_by: ['...']\n", false),
        ("  group_by: [job]\n", false),
        ("", false),
    ] {
        let started = Alertmanager::start(&example.replace(grouped, written)).await;
        let mut fires = Vec::new();
        for (place, case) in CASES.iter().enumerate() {
            fires.extend(fire(case, place, 0));
        }
        started.fire(&fires).await;
        let all = until("Alertmanager has grouped all", || async {
            let all = started.api("alerts/groups").await;
            let grouped = all.as_array().unwrap().iter();
            let grouped = grouped.map(|group| group["alerts"].as_array().unwrap().len());
            (grouped.sum::<usize>() >= fires.len()).then_some(all)
        })
        .await;
        let right = all.as_array().unwrap().iter().all(|group| {
            let alerts = group["alerts"].as_array().unwrap().iter();
            alerts.clone().count() > 0
                && alerts.into_iter().all(|alert| {
                    let mut its = alert["labels"].clone();
                    let labels = its.as_object_mut().unwrap();
                    labels.retain(|label, _| ["job", "account"].contains(&label.as_str()));
                    its == group["labels"]
                })
        });
        assert_eq!(right, good, "{written}: {all:#}");
    }
}

/// The alerts of a case: the source with this index, then the quiet alerts and the expected alerts.
fn fire(case: &Case, place: usize, source: usize) -> Vec<Value> {
    let alerts = [case.sources[source]];
    let alerts = alerts.iter().chain(case.quiet).chain(case.expected);
    alerts
        .map(|alert| labels(alert, &format!("job-{place}-{source}")))
        .collect()
}

/// The labels of an alert, including the labels that the alert rule sets.
fn labels(written: &str, job: &str) -> Value {
    let mut words = written.split(' ');
    let name = words.next().unwrap();
    let mut labels = json!({"alertname": name, "job": job});
    let rules = groups().into_iter().flat_map(|group| group.alerts);
    let rule = rules.into_iter().find(|rule| rule.name == name);
    for (label, value) in rule.unwrap_or_else(|| panic!("no alert {name}")).labels {
        labels[label] = value.into();
    }
    for word in words {
        let (label, value) = word.split_once('=').unwrap();
        // `job=elsewhere` means a job that differs from the job of this case.
        let value = if value == "elsewhere" {
            format!("not-{job}")
        } else {
            value.to_owned()
        };
        labels[label] = value.into();
    }
    labels
}
