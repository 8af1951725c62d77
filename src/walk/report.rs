//! Log messages about walks and details.

use std::time::Duration;

use tokio::time::Instant;

use super::{confirm::Unconfirmed, fetch::WalkError};
use crate::{
    api::{Endpoint, Field, Fields, Rejection},
    clock::UnixMillis,
    config::Account,
    snapshot::{Changes, EndpointView, Snapshot},
};

/// Logs once that an account's walks take longer than its interval.
#[derive(Debug)]
pub(super) struct IntervalNote {
    interval: Duration,
    /// The longest interval that a warning has named.
    named: Duration,
}

impl IntervalNote {
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            named: interval,
        }
    }

    /// The warning about a walk of `requests` that took `took`, so that the next one starts `effective`
    /// after it; given again only for a longer interval.
    pub(super) fn warning(
        &mut self,
        requests: u64,
        took: Duration,
        effective: Duration,
    ) -> Option<String> {
        if effective <= self.named {
            return None;
        }
        self.named = effective;
        let took = took.as_secs_f64().ceil();
        Some(format!(
            "a walk took {took:.0} s for {requests} requests, longer than poll.interval ({} s), so walks \
             start every {} s; raise api.requests_per_second and api.concurrency, or set poll.interval to \
             at least {:.0}s",
            self.interval.as_secs_f64(),
            effective.as_secs_f64(),
            1.1 * took,
        ))
    }
}

/// Logs problems of an account's details, each once.
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

    /// The warning about more `wanted` records than `rate` requests per second beside walks keep fresh;
    /// given once.
    pub(super) fn too_many(&mut self, wanted: u64, rate: f64) -> Option<String> {
        #[expect(clippy::cast_precision_loss, reason = "a million endpoints at most")]
        let takes = wanted as f64 / rate;
        let max_age = self.max_age.as_secs_f64();
        if takes <= max_age || self.too_many {
            return None;
        }
        self.too_many = true;
        Some(format!(
            "{wanted} endpoints want details, but {:.1} requests per minute beside walks keep {:.0} fresh, so \
             each is retrieved every {:.0} minutes; raise details.requests_per_minute and \
             api.requests_per_second, or set details.max_age to {:.0}m",
            rate * 60.0,
            (rate * max_age).floor(),
            (takes / 60.0).ceil(),
            (1.2 * takes / 60.0).ceil(),
        ))
    }

    /// Logs the first record of which not every value could be read.
    pub(super) fn unreadable(&mut self, endpoint: &Endpoint) {
        if endpoint.rejected == Fields::default() || self.unreadable {
            return;
        }
        self.unreadable = true;
        let fields = Field::ALL.into_iter();
        let rejected = fields.filter(|field| endpoint.rejected.contains(*field));
        let fields: Vec<_> = rejected.map(Field::label).collect();
        tracing::warn!(
            account = %self.account, endpoint_id = %endpoint.id, fields = fields.join(","),
            "values of a retrieved record were dropped or cut; further ones are not logged"
        );
    }
}

/// A walk that was published.
pub(super) fn published(account: &Account, snapshot: &Snapshot, changes: &Changes) {
    let registered = snapshot
        .endpoints()
        .filter(|one| one.registered == Some(true))
        .count();
    let walk = &snapshot.walk;
    let outcome = if walk.missing > 0 {
        "incomplete"
    } else {
        "complete"
    };
    tracing::info!(
        account = %account.name,
        outcome,
        pages = walk.pages,
        endpoints = snapshot.len(),
        registered,
        missing = walk.missing,
        retained = walk.retained,
        rejected_rows = counted(Rejection::ALL.map(Rejection::label), &walk.rejected_rows),
        rejected_values = counted(Field::ALL.map(Field::label), &walk.rejected_values),
        duration_s = %format_args!("{:.3}", walk.duration.as_secs_f64()),
        "walk published"
    );
    for transition in &changes.transitions {
        if let Some(endpoint) = snapshot.endpoint(&transition.id) {
            transitioned(account, &endpoint, transition.lost_at);
        }
    }
    let not_listed =
        (changes.lost + changes.gained).saturating_sub(changes.transitions.len() as u64);
    if not_listed > 0 {
        tracing::warn!(
            account = %account.name,
            lost = changes.lost,
            gained = changes.gained,
            not_listed,
            "more endpoints changed their registration than are listed one by one"
        );
    }
}

/// A walk that is published only when a later one agrees.
pub(super) fn unconfirmed(account: &Account, walk: &Unconfirmed) {
    let confirm_in = walk.confirm_at.saturating_duration_since(Instant::now());
    tracing::warn!(
        account = %account.name,
        outcome = "unconfirmed",
        endpoints_before = walk.change.before,
        removed = walk.change.removed,
        registration_changed = walk.change.flipped,
        confirm_in_s = %format_args!("{:.1}", confirm_in.as_secs_f64()),
        "the list changed more than poll.flip_share: the last snapshot stays until a later walk agrees"
    );
}

/// A walk that failed.
pub(super) fn failed(account: &Account, failure: &WalkError, pages: u64, took: Duration) {
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

fn transitioned(account: &Account, endpoint: &EndpointView<'_>, lost_at: Option<UnixMillis>) {
    let named = account.metrics.username;
    let group = endpoint
        .group
        .and_then(|at| account.groups.get(usize::from(at)));
    let group = group.map_or("", |group| group.name.as_str());
    let alias = named.then_some(endpoint.alias);
    let username = named.then_some(endpoint.username);
    let since = lost_at.map(seconds);
    if endpoint.registered == Some(true) {
        tracing::info!(
            account = %account.name, endpoint_id = %endpoint.id, alias, username, group,
            lost_since = since, "endpoint registered again"
        );
    } else {
        tracing::warn!(
            account = %account.name, endpoint_id = %endpoint.id, alias, username, group,
            since, "endpoint lost its registration"
        );
    }
}

/// The counts above zero, such as `no_id 1, duplicate 2`; `None` if there are none.
fn counted<const N: usize>(names: [&str; N], counts: &[u64; N]) -> Option<String> {
    let found = names.into_iter().zip(counts);
    let found = found.filter(|(_, count)| **count > 0);
    let found: Vec<_> = found
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    (!found.is_empty()).then(|| found.join(", "))
}

/// A point in time as RFC 3339, in UTC.
fn seconds(time: UnixMillis) -> String {
    jiff::Timestamp::from_millisecond(time.0)
        .map(|time| time.to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_longer_than_the_interval_is_logged_once_until_walks_take_longer_still() {
        let mut note = IntervalNote::new(Duration::from_secs(10));
        let mut warn = |took, effective| {
            let [took, effective] = [took, effective].map(Duration::from_secs);
            note.warning(61, took, effective)
        };
        assert_eq!(warn(9, 10), None);
        let warning = warn(25, 30).unwrap();
        assert!(
            warning.contains("set poll.interval to at least 28s"),
            "{warning}"
        );
        assert_eq!(warn(25, 30), None);
        assert!(warn(35, 40).is_some());
    }

    #[test]
    fn a_budget_that_cannot_keep_up_is_logged_once_with_the_numbers_and_the_settings() {
        let mut note = DetailsNote {
            account: "main".to_owned(),
            max_age: Duration::from_secs(600),
            too_many: false,
            unreadable: false,
        };
        assert_eq!(note.too_many(600, 1.0), None, "that many stay fresh");
        let warning = note.too_many(1_500, 1.0).unwrap();
        assert_eq!(
            warning,
            "1500 endpoints want details, but 60.0 requests per minute beside walks keep 600 fresh, so \
             each is retrieved every 25 minutes; raise details.requests_per_minute and \
             api.requests_per_second, or set details.max_age to 30m"
        );
        assert_eq!(note.too_many(1_500, 1.0), None, "once");
    }
}
