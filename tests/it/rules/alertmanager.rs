//! The example configuration of Alertmanager: its receivers and inhibition rules.

use super::shipped::{ALERTMANAGER, alerts, path, read};
use crate::harness::{judge, tool};

async fn amtool(arguments: &[&str]) -> String {
    let ended = judge(&tool("AMTOOL", "amtool"), arguments, "").await;
    assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
    ended.out
}

#[tokio::test]
async fn amtool_accepts_the_example() {
    let file = path(ALERTMANAGER).display().to_string();
    let said = amtool(&["check-config", &file]).await;
    assert!(
        said.contains("SUCCESS") && said.contains("1 templates"),
        "{said}"
    );
}

#[tokio::test]
async fn only_criticals_go_to_a_pager() {
    let file = path(ALERTMANAGER).display().to_string();
    let file = format!("--config.file={file}");
    for alert in alerts() {
        let mut labels = vec![
            format!("alertname={}", alert.name),
            "account=main".to_owned(),
        ];
        labels.extend(
            alert
                .labels
                .iter()
                .map(|(name, value)| format!("{name}={value}")),
        );
        for watch in ["page", "notice"] {
            let watch = format!("watch={watch}");
            let mut arguments = vec!["config", "routes", "test", &file];
            arguments.extend(labels.iter().map(String::as_str));
            arguments.push(&watch);
            let receiver = match alert.tells("severity") {
                "critical" => "pager",
                "warning" => "chat",
                _ => "log",
            };
            let said = amtool(&arguments).await;
            assert_eq!(said.trim(), receiver, "{} {watch}", alert.name);
        }
    }
}

#[test]
fn alerts_that_routes_and_inhibitions_name_are_alerts() {
    let text = read(ALERTMANAGER);
    let names = regex::Regex::new(r"\bVobiz[A-Za-z]+").unwrap();
    let alerts = alerts();
    let mut found = 0;
    for name in names.find_iter(&text).map(|found| found.as_str()) {
        assert!(alerts.iter().any(|alert| alert.name == name), "{name}");
        found += 1;
    }
    assert!(found > 10, "{found}");
    // Operators need a notification for each endpoint with `watch: page`. So an alert about a drop
    // of registrations must not suppress this notification.
    for rule in text.split("  - source_matchers:").skip(1) {
        let (source, target) = rule.split_once("target_matchers:").unwrap();
        if source.contains("Dropped") && target.contains("endpoint") {
            assert!(target.contains("watch=\"notice\""), "{rule}");
        }
    }
}
