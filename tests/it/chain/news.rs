//! Changes in messages: alerts that start to fire or are resolved.

use std::collections::BTreeMap;

use super::message::Message;

/// The newest status and the newest Alertmanager group of each alert, for each receiver.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    states: BTreeMap<(String, String), State>,
}

#[derive(Debug, Clone)]
struct State {
    status: String,
    group_key: String,
}

impl Memory {
    /// Records a message and returns the new alerts and the alerts whose status has changed.
    /// The message also has the unchanged alerts of its group, which the function does not return.
    pub fn take(&mut self, message: &Message) -> Vec<String> {
        let mut news = Vec::new();
        for alert in &message.alerts {
            let key = (message.receiver.clone(), alert.fingerprint.clone());
            let state = State {
                status: alert.status.clone(),
                group_key: message.group_key.clone(),
            };
            let known = self.states.insert(key, state);
            if known.is_none_or(|known| known.status != alert.status) {
                news.push(format!("{} {}", alert.status, alert.name()));
            }
        }
        news
    }

    /// Finds an alert that the receiver of this message got earlier in another Alertmanager group.
    pub fn elsewhere(&self, message: &Message) -> Option<String> {
        message.alerts.iter().find_map(|alert| {
            let key = (message.receiver.clone(), alert.fingerprint.clone());
            let before = self.states.get(&key)?;
            let (name, old, new) = (alert.name(), &before.group_key, &message.group_key);
            (old != new).then(|| format!("{name} in two groups: {old} and {new}"))
        })
    }
}
