//! The texts of notifications, as `amtool` renders them from the shipped templates.

use serde_json::{Value, json};

use crate::{
    harness::{judge, tool},
    rules::{ALERTMANAGER, path},
};

const RUNBOOK: &str = "https://git.example.com/runbooks/VobizEndpointMissed.md";
const DASHBOARD: &str =
    "https://grafana.example.com/d/vobiz-endpoint?var-account=main&var-endpoint=1";

/// Renders a template for a message with these alerts.
async fn rendered(template: &str, alerts: Vec<Value>) -> String {
    let data = json!({
        "status": "firing",
        "alerts": alerts,
        "groupLabels": {"account": "main", "group": "pune"},
        "commonLabels": {"account": "main", "group": "pune"},
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
        &format!(
            "--template.text={{{{ template \"vobiz.title\" . }}}}\n{{{{ template \"{template}\" . }}}}"
        ),
    ];
    let rendered = judge(&tool("AMTOOL", "amtool"), &arguments, "").await;
    assert_eq!(rendered.code, Some(0), "{rendered:?}");
    rendered.out.trim_end().to_owned()
}

fn alert(status: &str, alias: &str) -> Value {
    json!({
        "status": status,
        "labels": {"alertname": "VobizEndpointMissed", "account": "main"},
        "annotations": {
            "summary": format!("{alias} is not registered"),
            "description": "Calls to it fail.",
            "ended": "It is registered again",
            "runbook_url": RUNBOOK,
            "dashboard_url": DASHBOARD,
        },
    })
}

#[tokio::test]
async fn plain_texts_say_what_to_do_and_what_may_have_ended_an_alert() {
    let alerts = vec![
        alert("firing", "Tom's \"R&D\" <desk>"),
        alert("resolved", "Phone"),
    ];
    assert_eq!(
        rendered("vobiz.text", alerts).await,
        format!(
            "[FIRING 1] Vobiz, account main, group pune\n\
             firing: Tom's \"R&D\" <desk> is not registered\n\
             Calls to it fail.\n\
             runbook: {RUNBOOK}\n\
             dashboard: {DASHBOARD}\n\n\
             resolved: Phone is not registered\n\
             It is registered again.\n\
             dashboard: {DASHBOARD}"
        )
    );
}

/// An alias must not become a link, or mention all members of a channel.
#[tokio::test]
async fn texts_for_slack_escape_names() {
    let text = rendered(
        "vobiz.slack",
        vec![alert("firing", "<!here> & <https://example.com|desk>")],
    )
    .await;
    let dashboard = DASHBOARD.replace('&', "&amp;");
    assert_eq!(
        text,
        format!(
            "[FIRING 1] Vobiz, account main, group pune\n\
             *firing: &lt;!here&gt; &amp; &lt;https://example.com|desk&gt; is not registered*\n\
             Calls to it fail.\n\
             <{RUNBOOK}|runbook> <{dashboard}|dashboard>"
        )
    );
}

#[tokio::test]
async fn a_message_describes_twenty_of_many_alerts_and_counts_all() {
    let alerts: Vec<_> = (1..=300)
        .map(|number| alert("firing", &format!("Phone {number}")))
        .collect();
    for template in ["vobiz.text", "vobiz.slack"] {
        let text = rendered(template, alerts.clone()).await;
        assert!(text.starts_with("[FIRING 300]"), "{text}");
        assert_eq!(text.matches("Phone").count(), 20);
        assert!(text.ends_with("300 alerts in all."), "{text}");
    }
}
