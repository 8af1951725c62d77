//! A message of Alertmanager in its webhook format.

use std::{collections::BTreeMap, fmt::Write};

use serde_json::Value;

type Labels = BTreeMap<String, String>;

/// The shipped configuration groups alerts by these labels. An alert can lack one of the labels.
const GROUPED_BY: [&str; 2] = ["account", "job"];

/// One message for one receiver.
#[derive(Debug, Clone)]
pub struct Message {
    /// The receiver, which the path of the webhook names.
    pub receiver: String,
    /// The key of the Alertmanager group: its route and its labels.
    pub group_key: String,
    pub alerts: Vec<Alert>,
    group_labels: Labels,
    named: String,
    left_out: u64,
}

/// One alert in a message.
#[derive(Debug, Clone)]
pub struct Alert {
    pub fingerprint: String,
    /// Either `firing` or `resolved`.
    pub status: String,
    labels: Labels,
}

impl Message {
    /// Reads the body of a webhook that was sent to this path.
    pub fn read(path: &str, body: &Value) -> Self {
        let alerts = body["alerts"].as_array().expect("it has alerts");
        Self {
            receiver: path.trim_matches('/').to_owned(),
            group_key: text(&body["groupKey"]),
            alerts: alerts.iter().map(Alert::read).collect(),
            group_labels: labels(&body["groupLabels"]),
            named: text(&body["receiver"]),
            left_out: body["truncatedAlerts"].as_u64().unwrap_or_default(),
        }
    }

    /// The receiver and the account, such as `pager main`. The account can be absent.
    pub fn about(&self) -> String {
        let account = self.group_labels.get("account");
        let account = account.map(|account| format!(" {account}"));
        format!("{}{}", self.receiver, account.unwrap_or_default())
    }

    /// The names of the alerts that fire.
    pub fn firing(&self) -> impl Iterator<Item = String> {
        let firing = self.alerts.iter().filter(|alert| alert.status == "firing");
        firing.map(Alert::name)
    }

    /// The first fault: an alert of another group, a wrong group key or receiver, or missing alerts.
    pub fn fault(&self) -> Option<String> {
        for alert in &self.alerts {
            let mut its = alert.labels.clone();
            its.retain(|label, _| GROUPED_BY.contains(&label.as_str()));
            if its != self.group_labels {
                let (name, group) = (alert.name(), &self.group_labels);
                return Some(format!("{name} of {its:?} in the group {group:?}"));
            }
        }
        let mut written = String::new();
        for (label, value) in &self.group_labels {
            let comma = if written.is_empty() { "" } else { ", " };
            write!(written, "{comma}{label}={value:?}").expect("a string takes every write");
        }
        if !self.group_key.ends_with(&format!(":{{{written}}}")) {
            return Some(format!("the group {} has other labels", self.group_key));
        }
        if self.named != self.receiver || self.left_out > 0 || self.alerts.is_empty() {
            return Some(format!("for {}: {self:?}", self.receiver));
        }
        None
    }
}

impl Alert {
    fn read(alert: &Value) -> Self {
        Self {
            fingerprint: text(&alert["fingerprint"]),
            status: text(&alert["status"]),
            labels: labels(&alert["labels"]),
        }
    }

    /// The name of the alert, and the alias of the endpoint if the alert has a label `alias`.
    pub fn name(&self) -> String {
        let alias = self.labels.get("alias").map(|alias| format!(" {alias}"));
        format!("{}{}", self.labels["alertname"], alias.unwrap_or_default())
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn labels(value: &Value) -> Labels {
    let entries = value.as_object().expect("labels are an object").iter();
    entries
        .map(|(name, value)| (name.clone(), text(value)))
        .collect()
}
