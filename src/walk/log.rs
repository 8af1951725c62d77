//! Log messages about walks and details.

use std::time::Duration;

use tokio::time::Instant;

use super::{confirm::Change, fetch::WalkError};
use crate::{
    api::{Endpoint, Field, Rejection},
    clock::UnixMillis,
    config::Account,
    judgement::Judgements,
    snapshot::{Changes, EndpointView, Snapshot},
};

/// The maximum number of changed registrations per walk that the poller logs one by one.
const MAX_LISTED: usize = 50;

/// Logs that a walk took longer than the interval. `effective` is the new time between the starts of walks.
pub(super) fn slow(account: &Account, requests: u64, took: Duration, effective: Duration) {
    let took = took.as_secs_f64().ceil();
    tracing::warn!(
        account = %account.name,
        "a walk took {took:.0} s for {requests} requests, longer than poll.interval ({} s), so walks start \
         every {} s; raise api.requests_per_second and api.concurrency, or set poll.interval to at least \
         {:.0}s",
        account.poll.interval.as_secs_f64(),
        effective.as_secs_f64(),
        1.1 * took,
    );
}

/// Logs that the request rate is too low. The retrieval of all `wanted` records takes the time `round`.
pub(super) fn too_many_details(account: &str, wanted: u32, round: Duration) {
    let minutes = round.as_secs_f64() / 60.0;
    tracing::warn!(
        account,
        "{wanted} endpoints want details, but the requests beside walks retrieve each only every {:.0} \
         minutes; raise details.requests_per_minute and api.requests_per_second, or set details.max_age to \
         {:.0}m",
        minutes.ceil(),
        (1.2 * minutes).ceil(),
    );
}

/// Logs the first record that has a dropped or cut value.
pub(super) fn unreadable(account: &str, endpoint: &Endpoint) {
    let fields = Field::ALL.into_iter();
    let rejected = fields.filter(|field| endpoint.rejected.contains(*field));
    let fields: Vec<_> = rejected.map(Field::label).collect();
    tracing::warn!(
        account, endpoint_id = %endpoint.id, fields = fields.join(","),
        "values of a retrieved record were dropped or cut; further ones are not logged"
    );
}

/// Logs a published walk and up to [`MAX_LISTED`] changed registrations. `judgements` are those after the walk.
pub(super) fn published(
    account: &Account,
    snapshot: &Snapshot,
    changes: &Changes,
    judgements: &Judgements,
) {
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
    for transition in changes.transitions.iter().take(MAX_LISTED) {
        if let Some(endpoint) = snapshot.endpoint(&transition.id) {
            let is_in_outage = judgements.is_in_outage(&transition.id);
            transitioned(account, &endpoint, transition.lost_at, is_in_outage);
        }
    }
    let not_listed = changes.transitions.len().saturating_sub(MAX_LISTED);
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

/// Logs the ids and usernames in the lists of groups that no endpoint has, if they differ from those of the snapshot `before`.
pub(super) fn missing_members(account: &Account, before: Option<&Snapshot>, after: &Snapshot) {
    let known = before.map(|before| before.missing_members(&account.groups));
    let missing = after.missing_members(&account.groups);
    for (at, (group, missing)) in account.groups.iter().zip(missing).enumerate() {
        let missing = missing.unwrap_or_default();
        let known = known.as_ref().and_then(|known| known[at].as_ref());
        let is_known = known.map_or(missing.is_empty(), |known| *known == missing);
        if is_known {
            continue;
        }
        let mut names = missing[..missing.len().min(MAX_LISTED)].join(" ");
        if missing.len() > MAX_LISTED {
            names += " …";
        }
        tracing::warn!(
            account = %account.name,
            group = %group.name,
            missing = missing.len(),
            names,
            "members of a group are not in the list of the API"
        );
    }
}

/// Logs that a walk with a large `change` waits for confirmation. The next walk starts at `confirm_at`.
pub(super) fn unconfirmed(account: &Account, change: Change, confirm_at: Instant) {
    let confirm_in = confirm_at.saturating_duration_since(Instant::now());
    tracing::warn!(
        account = %account.name,
        outcome = "unconfirmed",
        endpoints_before = change.before,
        removed = change.removed,
        registration_changed = change.flipped,
        confirm_in_s = %format_args!("{:.1}", confirm_in.as_secs_f64()),
        "the list changed more than poll.flip_share: the last snapshot stays until a later walk agrees"
    );
}

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

/// Logs the outages that have begun or ended since the judgements `before`.
pub(super) fn outages(account: &Account, before: &Judgements, after: &Judgements) {
    let account = &*account.name;
    for outage in after.outages.begun_since(&before.outages) {
        let (lost, _) = outage.counts();
        tracing::warn!(
            account,
            group = outage.scope.as_deref(),
            lost,
            since = outage.started_at.to_rfc3339(),
            is_major = outage.is_major,
            is_usual = outage.is_usual,
            "an outage has begun: many endpoints lost their registrations together"
        );
    }
    for outage in before.outages.begun_since(&after.outages) {
        tracing::info!(
            account,
            group = outage.scope.as_deref(),
            since = outage.started_at.to_rfc3339(),
            "an outage has ended"
        );
    }
}

fn transitioned(
    account: &Account,
    endpoint: &EndpointView<'_>,
    lost_at: Option<UnixMillis>,
    is_in_outage: bool,
) {
    let named = account.metrics.username;
    let group = endpoint
        .group
        .and_then(|at| account.groups.get(usize::from(at)));
    let group = group.map_or("", |group| group.name.as_str());
    let alias = named.then_some(endpoint.alias);
    let username = named.then_some(endpoint.username);
    let since = lost_at.map(UnixMillis::to_rfc3339);
    if endpoint.registered == Some(true) {
        tracing::info!(
            account = %account.name, endpoint_id = %endpoint.id, alias, username, group,
            lost_since = since, "endpoint registered again"
        );
    } else if is_in_outage {
        // The outage has a line of its own.
        tracing::debug!(
            account = %account.name, endpoint_id = %endpoint.id, alias, username, group,
            since, "endpoint lost its registration in an outage"
        );
    } else {
        tracing::warn!(
            account = %account.name, endpoint_id = %endpoint.id, alias, username, group,
            since, "endpoint lost its registration"
        );
    }
}

/// The counts above zero, such as `no_id 1, duplicate 2`; `None` if all counts are zero.
fn counted<const N: usize>(names: [&str; N], counts: &[u64; N]) -> Option<String> {
    let found = names.into_iter().zip(counts);
    let found = found.filter(|(_, count)| **count > 0);
    let found: Vec<_> = found
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    (!found.is_empty()).then(|| found.join(", "))
}
