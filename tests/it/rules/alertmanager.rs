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

/// The routes of the example send each alert to the receiver of its severity.
#[tokio::test]
async fn only_criticals_go_to_a_pager() {
    let file = path(ALERTMANAGER).display().to_string();
    let file = format!("--config.file={file}");
    for alert in alerts() {
        let severities = match alert.tells("severity") {
            // A template: critical or warning.
            template if template.starts_with("{{") => vec!["critical", "warning"],
            severity => vec![severity],
        };
        for (severity, watch) in severities.into_iter().zip(["page", "notice"]) {
            let labels = [
                format!("alertname={}", alert.name),
                format!("severity={severity}"),
                format!("watch={watch}"),
                "job=vobiz-exporter".to_owned(),
                "account=main".to_owned(),
            ];
            let mut arguments = vec!["config", "routes", "test", &file];
            arguments.extend(labels.iter().map(String::as_str));
            let receiver = match severity {
                "critical" => "pager",
                "warning" => "chat",
                _ => "log",
            };
            let said = amtool(&arguments).await;
            assert_eq!(said.trim(), receiver, "{} {severity}", alert.name);
        }
    }
}

/// A name in the example that no alert has would make its route or inhibition rule useless.
#[test]
fn alerts_that_the_example_names_exist() {
    let text = read(ALERTMANAGER);
    let lists = regex::Regex::new(r"Vobiz\(([A-Za-z|]+)\)").unwrap();
    let lists: Vec<_> = lists.captures_iter(&text).collect();
    let listed = lists
        .iter()
        .flat_map(|list| list[1].split('|').map(|name| format!("Vobiz{name}")));
    let names = regex::Regex::new(r"\bVobiz[A-Za-z]+").unwrap();
    let named = names
        .find_iter(&text)
        .map(|found| found.as_str().to_owned());
    let alerts = alerts();
    let mut found = 0;
    for name in listed.chain(named) {
        assert!(alerts.iter().any(|alert| alert.name == name), "{name}");
        found += 1;
    }
    assert!(found > 8, "{found}");
}
