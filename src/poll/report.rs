//! What the log says of a walk.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use super::Failure;
use crate::{
    api::{Endpoint, Field, Fields, Rejection},
    clock::UnixMillis,
    config::Account,
    snapshot::{Changes, Snapshot, Transition},
};

/// Tells once that an account's walks take longer than its interval at the limiter's pace.
#[derive(Debug)]
pub(super) struct PaceNote {
    account: String,
    interval: Duration,
    requests_per_second: Option<f64>,
    told: AtomicBool,
}

impl PaceNote {
    pub(super) fn new(account: &Account) -> Self {
        Self {
            account: account.name.clone(),
            interval: account.poll.interval,
            requests_per_second: account.api.requests_per_second,
            told: AtomicBool::new(false),
        }
    }

    /// A reading will take this many requests: too many for the interval is said with the numbers
    /// and the settings that would change it.
    pub(super) fn foresee(&self, requests: u64) {
        let Some(rate) = self.requests_per_second else {
            return;
        };
        let interval = self.interval.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "ten thousand at most")]
        let count = requests as f64;
        let takes = count / rate;
        if takes <= interval || self.told.swap(true, Ordering::Relaxed) {
            return;
        }
        tracing::warn!(
            account = %self.account,
            "{requests} requests at {rate}/s take {:.0} s, longer than the interval of {interval} s, \
             so walks start less often; set api.requests_per_second to {:.0} or poll.interval to \
             {:.0}m to keep up",
            takes.ceil(),
            (count / interval).ceil(),
            (takes / 60.0).ceil(),
        );
    }
}

/// Tells, each once, what is to be known about an account's details.
#[derive(Debug)]
pub(super) struct DetailsNote {
    account: String,
    max_age: Duration,
    too_many: bool,
    unreadable: bool,
}

impl DetailsNote {
    pub(super) fn new(account: &Account) -> Self {
        Self {
            account: account.name.clone(),
            max_age: account.details.max_age,
            too_many: false,
            unreadable: false,
        }
    }

    /// So many endpoints want details at `rate` requests per second, which is what walks leave of what
    /// is `granted` and of what the `limiter` allows. More than stay fresh at that rate is said once, with
    /// the numbers and the settings that would change it, for a fleet that is a fifth larger.
    pub(super) fn foresee(
        &mut self,
        wanted: u64,
        rate: f64,
        granted: f64,
        limiter: Option<f64>,
    ) -> Option<String> {
        #[expect(clippy::cast_precision_loss, reason = "a million endpoints at most")]
        let count = wanted as f64;
        let (max_age, takes) = (self.max_age.as_secs_f64(), count / rate);
        if takes <= max_age || self.too_many {
            return None;
        }
        self.too_many = true;
        let needed = 1.2 * count / max_age;
        let mut settings = Vec::new();
        if granted < needed {
            let per_minute = (needed * 60.0).ceil();
            settings.push(format!("details.requests_per_minute to {per_minute}"));
        }
        // Half as much again is left for walks.
        if limiter.is_some_and(|limiter| limiter < 1.5 * needed) {
            let per_second = (1.5 * needed).ceil();
            settings.push(format!("api.requests_per_second to {per_second}"));
        }
        Some(format!(
            "{wanted} endpoints want details, but {:.1} requests per minute beside walks x {:.1} minutes \
             keep {:.0} fresh, so each is retrieved every {:.0} minutes; to keep up, set {}, or \
             details.max_age to {:.0}m",
            rate * 60.0,
            max_age / 60.0,
            (rate * max_age).floor(),
            (takes / 60.0).ceil(),
            settings.join(" and "),
            (1.2 * takes / 60.0).ceil(),
        ))
    }

    /// A record of which not every value could be read.
    pub(super) fn unreadable(&mut self, endpoint: &Endpoint) {
        if endpoint.rejected == Fields::default() || self.unreadable {
            return;
        }
        self.unreadable = true;
        let fields = Field::ALL.into_iter();
        let fields: Vec<_> = fields
            .filter(|field| endpoint.rejected.contains(*field))
            .map(Field::label)
            .collect();
        tracing::warn!(
            account = %self.account, endpoint_id = %endpoint.id, fields = fields.join(","),
            "values of a retrieved record were dropped or cut; further ones are not told"
        );
    }
}

/// A walk that was published.
pub(super) fn published(account: &Account, picture: &Snapshot, changes: &Changes) {
    let registered = picture
        .endpoints()
        .filter(|one| one.registered == Some(true))
        .count();
    let walk = &picture.walk;
    let outcome = if walk.missing > 0 { "short" } else { "proven" };
    tracing::info!(
        account = %account.name,
        outcome,
        pages = walk.pages,
        endpoints = picture.len(),
        registered,
        missing = walk.missing,
        held = walk.held,
        rejected_rows = counted(Rejection::ALL.map(Rejection::label), &walk.rejected_rows),
        rejected_values = counted(Field::ALL.map(Field::label), &walk.rejected_values),
        duration_s = %format_args!("{:.3}", walk.duration.as_secs_f64()),
        "walk published"
    );
    for transition in &changes.transitions {
        transitioned(account, transition);
    }
    let untold = (changes.lost + changes.gained).saturating_sub(changes.transitions.len() as u64);
    if untold > 0 {
        tracing::warn!(
            account = %account.name,
            lost = changes.lost,
            gained = changes.gained,
            not_listed = untold,
            "more endpoints changed their registration than are listed one by one"
        );
    }
}

/// A walk that failed.
pub(super) fn failed(account: &Account, failure: &Failure, pages: u64, took: Duration) {
    tracing::warn!(
        account = %account.name,
        outcome = "failed",
        reason = failure.reason.label(),
        detail = %failure.detail,
        pages,
        duration_s = %format_args!("{:.3}", took.as_secs_f64()),
        "walk failed"
    );
}

fn transitioned(account: &Account, transition: &Transition) {
    let named = account.metrics.username;
    let group = transition
        .group
        .and_then(|at| account.groups.get(usize::from(at)));
    let group = group.map_or("", |group| group.name.as_str());
    let alias = named.then_some(transition.alias.as_str());
    let username = named.then_some(transition.username.as_str());
    let since = transition.lost_at.map(seconds);
    if transition.registered {
        tracing::info!(
            account = %account.name, endpoint_id = %transition.id, alias, username, group,
            lost_since = since, "endpoint registered again"
        );
    } else {
        tracing::warn!(
            account = %account.name, endpoint_id = %transition.id, alias, username, group,
            since, "endpoint lost its registration"
        );
    }
}

/// What there was any of, such as `no_id 1, duplicate 2`; nothing where all went well.
fn counted<const N: usize>(names: [&str; N], counts: &[u64; N]) -> Option<String> {
    let found = names.into_iter().zip(counts);
    let found = found.filter(|(_, count)| **count > 0);
    let found: Vec<_> = found
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    (!found.is_empty()).then(|| found.join(", "))
}

/// A point in time as people read it: RFC 3339, UTC.
fn seconds(time: UnixMillis) -> String {
    jiff::Timestamp::from_millisecond(time.0)
        .map(|time| time.to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_that_cannot_keep_up_is_told_once_with_the_numbers_and_the_settings() {
        let mut note = DetailsNote {
            account: "main".to_owned(),
            max_age: Duration::from_secs(600),
            too_many: false,
            unreadable: false,
        };
        let slow = Some(5.0);
        assert_eq!(
            note.foresee(600, 1.0, 1.0, slow),
            None,
            "that many stay fresh"
        );
        let said = note.foresee(1_500, 1.0, 1.0, slow).unwrap();
        assert_eq!(
            said,
            "1500 endpoints want details, but 60.0 requests per minute beside walks x 10.0 minutes keep \
             600 fresh, so each is retrieved every 25 minutes; to keep up, set \
             details.requests_per_minute to 180, or details.max_age to 30m"
        );
        assert_eq!(note.foresee(1_500, 1.0, 1.0, slow), None, "once");
    }

    #[test]
    fn a_limiter_that_leaves_no_time_for_details_is_named_and_no_value_that_is_set_already() {
        let mut note = DetailsNote {
            account: "main".to_owned(),
            max_age: Duration::from_secs(600),
            too_many: false,
            unreadable: false,
        };
        let said = note.foresee(2_750, 4.1, 100.0, Some(5.0)).unwrap();
        let settings = "to keep up, set api.requests_per_second to 9, or details.max_age to 14m";
        assert!(said.ends_with(settings), "{said}");
    }
}
