//! The texts of notifications. Alertmanager or `amtool` renders them from the shipped templates.

use serde_json::{Value, json};

use crate::{
    harness::{judge, tool},
    rules::{ALERTMANAGER, path},
};

const RUNBOOK: &str =
    "https://git.example.com/vobiz-exporter/blob/main/docs/runbooks/VobizEndpointLost.md";
const DASHBOARD: &str = "https://grafana.example.com/d/vobiz-endpoint";

/// A message in the format of Slack.
#[derive(Debug, Clone)]
pub struct Post {
    pub title: String,
    text: String,
}

impl Post {
    pub fn read(body: &Value) -> Self {
        let part = |name: &str| {
            let text = body["attachments"][0][name].as_str();
            text.unwrap_or_else(|| panic!("no {name}: {body}"))
                .to_owned()
        };
        let (title, text) = (part("title"), part("text"));
        Self { title, text }
    }

    /// Checks the first line (status, alias) and the explanation, which only a firing alert has.
    pub fn begins(&self, status: &str, alias: &str) {
        let alias = alias.replace('&', "&amp;");
        let alias = alias.replace('<', "&lt;").replace('>', "&gt;");
        let begin = format!("*{status}: {alias} (main) is not registered*\n");
        assert!(self.text.starts_with(&begin), "{begin}{self:?}");
        let explained = self.text.contains("\nThe endpoint ");
        assert_eq!(explained, status == "firing", "{self:?}");
    }

    /// Checks that the last line of the text has links with exactly these words. The text must
    /// contain no `<` outside these links, and each `&` must begin an escape.
    pub fn links(&self, words: &[&str]) {
        let last = self.text.trim_end().lines().last().unwrap();
        let links: Vec<_> = last.split("> ").collect();
        assert_eq!(links.len(), words.len(), "{self:?}");
        for (link, word) in links.iter().zip(words) {
            let (address, name) = link.trim_end_matches('>').split_once('|').unwrap();
            assert_eq!(name, *word);
            match *word {
                "dashboard" => assert!(address.starts_with(&format!("<{DASHBOARD}")), "{self:?}"),
                _ => assert_eq!(address, format!("<{RUNBOOK}")),
            }
        }
        assert_eq!(self.text.matches('<').count(), words.len(), "{self:?}");
        for after in self.text.split('&').skip(1) {
            let escaped = ["amp;", "lt;", "gt;"];
            assert!(escaped.iter().any(|one| after.starts_with(one)), "{self:?}");
        }
    }
}

#[tokio::test]
async fn plain_texts_show_names_unchanged_and_instructions_while_firing() {
    let alert = |status: &str, alias: &str| {
        json!({
            "status": status,
            "labels": {"alertname": "VobizEndpointLost", "account": "main"},
            "annotations": {
                "summary": format!("{alias} is not registered"),
                "description": "Calls to it fail.",
                "runbook_url": "docs/runbooks/VobizEndpointLost.md",
                "dashboard_url": "/d/vobiz-endpoint?var-account=main&var-endpoint=1",
            },
        })
    };
    let data = json!({
        "status": "firing",
        "alerts": [alert("firing", "Tom's \"R&D\" <desk>"), alert("resolved", "Phone")],
        "groupLabels": {"account": "main"},
        "commonLabels": {"account": "main"},
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data.json");
    std::fs::write(&file, data.to_string()).unwrap();
    let texts = path(ALERTMANAGER).with_file_name("vobiz.tmpl");
    let arguments = [
        "template",
        "render",
        &format!("--template.glob={}", texts.display()),
        &format!("--template.data={}", file.display()),
        "--template.text={{ template \"vobiz.title\" . }}\n{{ template \"vobiz.text\" . }}",
    ];
    let rendered = judge(&tool("AMTOOL", "amtool"), &arguments, "").await;
    assert_eq!(rendered.code, Some(0), "{rendered:?}");
    let dashboard = format!("dashboard: {DASHBOARD}?var-account=main&var-endpoint=1");
    assert_eq!(
        rendered.out.trim_end(),
        format!(
            "[FIRING 1] Vobiz, account main\n\
             firing: Tom's \"R&D\" <desk> is not registered\n\
             Calls to it fail.\n\
             what to do: {RUNBOOK}\n\
             {dashboard}\n\n\
             resolved: Phone is not registered\n\
             {dashboard}"
        )
    );
}
