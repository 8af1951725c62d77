//! An account's state in words, for people.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::snapshot::{AccountState, Counts};

/// One account in words, for the landing page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSummary {
    /// Its configured name.
    pub name: String,
    /// Its state in a sentence.
    pub state: String,
    /// The id of an endpoint that the last good walk found, for an example: letters and digits.
    pub endpoint_id: Option<Arc<str>>,
}

/// What the words are made of. Holds no snapshot, so that an old one is not kept in memory.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    account: Arc<str>,
    pub(super) up: Option<bool>,
    failure: Option<&'static str>,
    counts: Option<Counts>,
    endpoint_id: Option<Arc<str>>,
    max_age: Duration,
    pub(super) withdraw_at: Option<Instant>,
}

impl Standing {
    pub(super) fn new(state: &AccountState, counts: Option<Counts>) -> Self {
        // Other ids could not be asked for by a link.
        let is_plain = |id: &str| id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let mut endpoints = state
            .snapshot
            .iter()
            .flat_map(|snapshot| snapshot.endpoints());
        let example = endpoints.find(|endpoint| is_plain(endpoint.id));
        Self {
            account: Arc::clone(&state.account),
            up: state.up,
            failure: state.failure,
            counts,
            endpoint_id: example.map(|endpoint| endpoint.id.into()),
            max_age: state.max_age,
            withdraw_at: state.withdraw_at,
        }
    }

    pub(super) fn summary(&self, now: Instant) -> AccountSummary {
        AccountSummary {
            name: self.account.to_string(),
            state: self.words(now),
            endpoint_id: self.endpoint_id.clone(),
        }
    }

    fn words(&self, now: Instant) -> String {
        let Some(up) = self.up else {
            return "first walk under way".to_owned();
        };
        let withdrawn = self.withdraw_at.is_some_and(|at| now >= at);
        let standing = match (up, &self.counts, self.failure) {
            (true, Some(counts), _) if !withdrawn => {
                let (all, registered) = (counts.total(), counts.registered);
                let noun = if all == 1 { "endpoint" } else { "endpoints" };
                format!("up: {all} {noun}, {registered} registered")
            }
            (true, _, _) => "up".to_owned(),
            (false, _, Some(reason)) => format!("down ({reason})"),
            (false, _, None) => "down".to_owned(),
        };
        let prefix = if withdrawn { "withdrawn: " } else { "" };
        let walked = match self.age(now).map(rounded) {
            Some(age) if up && !withdrawn => format!("walked {age} ago"),
            Some(age) => format!("last good walk {age} ago"),
            None => "no good walk yet".to_owned(),
        };
        format!("{prefix}{standing}, {walked}")
    }

    /// Time since the end of the last good walk: age counts from there, and ends the showing.
    fn age(&self, now: Instant) -> Option<Duration> {
        let walked = self.withdraw_at?.checked_sub(self.max_age)?;
        Some(now.saturating_duration_since(walked))
    }
}

fn rounded(age: Duration) -> String {
    match age.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min", seconds / 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}
