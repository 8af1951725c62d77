//! A message of Alertmanager in its webhook format.

use std::collections::BTreeMap;

use serde_json::Value;

/// One message for one receiver.
#[derive(Debug, Clone)]
pub struct Message {
    /// The receiver, which the path of the webhook names.
    pub receiver: String,
    pub alerts: Vec<Alert>,
}

/// One alert in a message.
#[derive(Debug, Clone)]
pub struct Alert {
    pub fingerprint: String,
    /// Either `firing` or `resolved`.
    pub status: String,
    pub annotations: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
}

impl Message {
    /// Reads the body of a webhook that was sent to this path.
    pub fn read(path: &str, body: &Value) -> Self {
        let alerts = body["alerts"].as_array().expect("it has alerts");
        Self {
            receiver: path.trim_matches('/').to_owned(),
            alerts: alerts.iter().map(Alert::read).collect(),
        }
    }
}

impl Alert {
    fn read(alert: &Value) -> Self {
        Self {
            fingerprint: alert["fingerprint"].as_str().unwrap().to_owned(),
            status: alert["status"].as_str().unwrap().to_owned(),
            annotations: texts(&alert["annotations"]),
            labels: texts(&alert["labels"]),
        }
    }

    /// The name of the alert and what it is about: account, group, endpoint id.
    pub fn name(&self) -> String {
        let labels = ["alertname", "account", "group", "endpoint_id"];
        let values = labels
            .into_iter()
            .filter_map(|label| self.labels.get(label));
        values.map(String::as_str).collect::<Vec<_>>().join(" ")
    }
}

fn texts(value: &Value) -> BTreeMap<String, String> {
    let entries = value.as_object().expect("an object").iter();
    let text =
        |(name, value): (&String, &Value)| (name.clone(), value.as_str().unwrap().to_owned());
    entries.map(text).collect()
}
