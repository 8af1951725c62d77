//! The targets of probes, in the format of Prometheus' HTTP service discovery.

use std::collections::BTreeMap;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Refusal,
    accounts_and_groups::sorted,
    parameters::{Text, WantedWatch, text},
};
use crate::{
    config::Watch,
    fleet::{EndpointFilter, Fleet},
    probe::is_endpoint_id,
    snapshot::AccountState,
    telemetry::Condition,
};

/// Which endpoints are targets.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Query {
    /// Name of the account.
    account: Option<Text>,
    /// Name of the group.
    group: Option<Text>,
    /// Importance of the group.
    watch: Option<WantedWatch>,
}

/// Targets with the same labels. A target is the id of an endpoint.
#[derive(Debug, Serialize)]
struct TargetGroup<'f> {
    targets: Vec<&'f str>,
    labels: Labels<'f>,
}

/// Prometheus keeps the label `account`, and drops those with `__meta_` after relabelling.
#[derive(Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
struct Labels<'f> {
    account: &'f str,
    /// The name of the group, or "".
    #[serde(rename = "__meta_vobiz_group")]
    group: &'f str,
    #[serde(rename = "__meta_vobiz_watch")]
    watch: &'static str,
}

/// The target groups as JSON. Data that is too old for metrics still tells which endpoints there are.
///
/// An error makes Prometheus keep the targets that it has. So a restart while the API fails ends no probe, for as long as
/// metrics would bridge a failure. After that, the other accounts must not wait any longer.
pub(super) fn targets(fleet: &Fleet, query: &Query) -> Result<Bytes, Refusal> {
    let filter = EndpointFilter {
        account: text(query.account.as_ref()),
        group: text(query.group.as_ref()),
        watch: query.watch.map(Watch::from),
        ..EndpointFilter::default()
    };
    let states = sorted(fleet, &filter.account)?;
    let mut groups: BTreeMap<Labels<'_>, Vec<&str>> = BTreeMap::new();
    for state in states {
        let Some(snapshot) = &state.snapshot else {
            if !is_awaited(fleet, state) {
                continue;
            }
            let account = &state.account;
            return Err(Refusal::Unavailable(
                format!("no walk of the account {account} has succeeded since the start").into(),
            ));
        };
        let targets = filter.select(fleet, state, (snapshot, 0), |one| {
            (one.endpoint.group, one.endpoint.id)
        });
        for (at, id) in targets.filter(|(_, id)| is_endpoint_id(id)) {
            let at = at.map(usize::from);
            let group = at.and_then(|at| state.shown.groups.get(at));
            let labels = Labels {
                account: &state.account,
                group: group.map_or("", |group| &group.name),
                watch: group.map_or(Watch::Notice, |group| group.watch).label(),
            };
            groups.entry(labels).or_default().push(id);
        }
    }
    let groups = groups.into_iter();
    let groups: Vec<_> = groups
        .map(|(labels, targets)| TargetGroup { targets, labels })
        .collect();
    let text = serde_json::to_vec(&groups).map_err(|_| Refusal::Failed)?;
    Ok(text.into())
}

/// Whether the first list of the account can still come soon: no walk has ended, or the first one began less than
/// `poll.max_age` ago, and the API does not refuse the credentials.
fn is_awaited(fleet: &Fleet, state: &AccountState) -> bool {
    if state.condition(fleet.instant) == Condition::Refused {
        return false;
    }
    let first = state.walks.failures().chain(state.walks.recent()).next();
    first.is_none_or(|walk| fleet.now.since(walk.started_at) < state.max_age)
}
