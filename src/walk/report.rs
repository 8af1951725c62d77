//! Log messages about walks and details.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    confirm::Unconfirmed,
    fetch::{WalkError, Work},
};
use crate::{
    api::{Endpoint, Field, Fields, Rejection},
    clock::UnixMillis,
    config::Account,
    snapshot::{Changes, Snapshot, Transition},
};

/// The largest `api.concurrency`.
const MAX_CONCURRENCY: f64 = 64.0;

/// Logs once that an account's walks take longer than its interval.
#[derive(Debug)]
pub(super) struct IntervalNote {
    interval: Duration,
    concurrency: usize,
    /// The longest interval that a warning has named.
    named: Duration,
}

impl IntervalNote {
    pub(super) fn new(account: &Account) -> Self {
        Self {
            interval: account.poll.interval,
            concurrency: account.api.concurrency,
            named: account.poll.interval,
        }
    }

    /// A walk took `took`, so that the next one starts `effective` after it. Names the settings that
    /// would make a walk fit into the interval; `rate` is the limiter's, in requests per second.
    pub(super) fn warning(
        &mut self,
        work: Work,
        took: Duration,
        effective: Duration,
        rate: Option<f64>,
    ) -> Option<String> {
        if effective <= self.named {
            return None;
        }
        self.named = effective;
        let took = took.as_secs_f64().ceil();
        let remedies = self.remedies(work, rate);
        Some(format!(
            "a walk took {took:.0} s for {} requests, longer than poll.interval ({} s), so walks start \
             every {} s; to keep the interval, {remedies}set poll.interval to {:.0}s",
            work.requests,
            self.interval.as_secs_f64(),
            effective.as_secs_f64(),
            1.1 * took,
        ))
    }

    /// The settings that make a walk fit into the interval, with a tenth to spare; ends in ", or ".
    fn remedies(&self, work: Work, rate: Option<f64>) -> String {
        #[expect(clippy::cast_precision_loss, reason = "ten thousand pages at most")]
        let (requests, concurrency) = (work.requests.max(1) as f64, self.concurrency as f64);
        let latency = work.request_time.as_secs_f64() / requests;
        // The first page is read alone.
        let left = (self.interval.as_secs_f64() - latency).max(f64::MIN_POSITIVE);
        let needed = 1.1 * (requests - 1.0) / left;
        let mut settings = Vec::new();
        if rate.is_some_and(|rate| rate < needed) {
            settings.push(format!("api.requests_per_second to {:.0}", needed.ceil()));
        }
        let parallel = (latency * needed).ceil();
        if concurrency < parallel && parallel <= MAX_CONCURRENCY {
            settings.push(format!("api.concurrency to {parallel:.0}"));
        }
        if !settings.is_empty() {
            return format!("set {}, or ", settings.join(" and "));
        }
        // The account's own requests would fit: they waited for something that accounts share.
        let waited = work.waited;
        let longest = waited.limiter.max(waited.in_flight).max(waited.vendor);
        let remedy = if longest.is_zero() {
            return String::new();
        } else if waited.vendor == longest {
            "let the vendor accept more requests (it asked for pauses)"
        } else if waited.in_flight == longest {
            "raise api.max_concurrent_requests, which other accounts use up"
        } else {
            "raise api.requests_per_second, which accounts with the same auth id share"
        };
        format!("{remedy}, or ")
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

    /// The warning about more `wanted` records than `rate` requests per second keep fresh; given once. `rate`
    /// is what walks leave of what is `granted` and of what the `limiter` allows. The warning names the
    /// settings that would be enough, with a fifth to spare.
    pub(super) fn too_many(
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
        transitioned(account, transition);
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
    use crate::walk::rate_limit::Waited;

    fn interval_note(concurrency: usize) -> IntervalNote {
        IntervalNote {
            interval: Duration::from_secs(10),
            concurrency,
            named: Duration::from_secs(10),
        }
    }

    /// A walk of 61 requests of 0.8 s.
    fn work(waited: Waited) -> Work {
        Work {
            pages: 61,
            requests: 61,
            request_time: Duration::from_millis(800) * 61,
            waited,
        }
    }

    /// The remedy that makes that walk fit into ten seconds.
    fn remedy(concurrency: usize, rate: Option<f64>, waited: Waited) -> String {
        interval_note(concurrency).remedies(work(waited), rate)
    }

    #[test]
    fn a_walk_longer_than_the_interval_is_logged_once_until_walks_take_longer_still() {
        let mut note = interval_note(2);
        let mut warn = |took, effective| {
            let [took, effective] = [took, effective].map(Duration::from_secs);
            note.warning(work(Waited::default()), took, effective, None)
        };
        assert_eq!(warn(9, 10), None);
        let warning = warn(25, 30).unwrap();
        assert!(warning.contains("set api.concurrency to 6"), "{warning}");
        assert!(warning.contains("set poll.interval to 28s"), "{warning}");
        assert_eq!(warn(25, 30), None);
        assert!(warn(35, 40).is_some());
    }

    #[test]
    fn the_remedy_for_a_late_walk_is_the_setting_that_holds_it_back() {
        let long = Duration::from_secs(60);
        let nothing = Waited::default();
        assert_eq!(
            remedy(2, Some(10.0), nothing),
            "set api.concurrency to 6, or "
        );
        assert_eq!(
            remedy(8, Some(5.0), nothing),
            "set api.requests_per_second to 8, or "
        );
        assert_eq!(
            remedy(2, Some(5.0), nothing),
            "set api.requests_per_second to 8 and api.concurrency to 6, or "
        );
        let capped = Waited {
            in_flight: long,
            ..nothing
        };
        assert!(remedy(8, None, capped).contains("api.max_concurrent_requests"));
        let shared = Waited {
            limiter: long,
            ..nothing
        };
        assert!(remedy(8, Some(10.0), shared).contains("api.requests_per_second"));
        let paused = Waited {
            vendor: long,
            ..shared
        };
        assert!(remedy(8, Some(10.0), paused).contains("pauses"));
    }

    #[test]
    fn a_budget_that_cannot_keep_up_is_logged_once_with_the_numbers_and_the_settings() {
        let mut note = DetailsNote {
            account: "main".to_owned(),
            max_age: Duration::from_secs(600),
            too_many: false,
            unreadable: false,
        };
        let slow = Some(5.0);
        assert_eq!(
            note.too_many(600, 1.0, 1.0, slow),
            None,
            "that many stay fresh"
        );
        let said = note.too_many(1_500, 1.0, 1.0, slow).unwrap();
        assert_eq!(
            said,
            "1500 endpoints want details, but 60.0 requests per minute beside walks x 10.0 minutes keep \
             600 fresh, so each is retrieved every 25 minutes; to keep up, set \
             details.requests_per_minute to 180, or details.max_age to 30m"
        );
        assert_eq!(note.too_many(1_500, 1.0, 1.0, slow), None, "once");
    }

    #[test]
    fn a_limiter_that_leaves_no_time_for_details_is_named_and_no_value_that_is_set_already() {
        let mut note = DetailsNote {
            account: "main".to_owned(),
            max_age: Duration::from_secs(600),
            too_many: false,
            unreadable: false,
        };
        let said = note.too_many(2_750, 4.1, 100.0, Some(5.0)).unwrap();
        let settings = "to keep up, set api.requests_per_second to 9, or details.max_age to 14m";
        assert!(said.ends_with(settings), "{said}");
    }
}
