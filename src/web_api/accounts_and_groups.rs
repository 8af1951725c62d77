//! The accounts, and the groups of all accounts.

use std::{collections::BTreeMap, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Context, Refusal, Time, UNKNOWN_ACCOUNT,
    list::{List, Page, first, wrong_cursor},
    parameters::{Text, text},
};
use crate::{
    clock::UnixMillis,
    config::Watch,
    duty::Duty,
    fleet::{Fleet, has_outage},
    snapshot::{AccountState, WalkResult},
    telemetry::Condition,
};

/// Stands between the account and the group in a cursor. No name has this character.
const SEPARATOR: char = '\t';

/// The list of accounts.
pub(super) struct Accounts;

/// Which accounts are wanted.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Query {
    /// Name of the account.
    account: Option<Text>,
}

/// An account.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(rename = "Account")]
pub(super) struct AccountItem {
    /// The name.
    account: String,
    /// Condition of the account, as in `vobiz_account_condition`.
    #[schemars(extend("enum" = Condition::LABELS))]
    condition: &'static str,
    /// Whether a large change waits for a second walk that agrees.
    confirming: bool,
    /// End of the last published walk; `null` if there was none.
    last_success: Option<Time>,
    /// Planned start of the next walk, in whole seconds.
    next_walk_at: Option<Time>,
    /// Why the last walk failed, as the label `reason`; `null` if it did not.
    failure_reason: Option<&'static str>,
    /// HTTP status of the response that ended the failed walk.
    failure_status: Option<u16>,
    /// Text of the error.
    failure_detail: Option<String>,
    /// Number of endpoints; `null` while they are not shown.
    endpoints: Option<u64>,
    /// Those that are registered.
    registered: Option<u64>,
    /// Those that are not registered.
    unregistered: Option<u64>,
    /// Those of which it is not known.
    unknown: Option<u64>,
    /// Number of missed endpoints.
    missed: u64,
    /// Number of open outages.
    outages: u64,
}

impl AccountItem {
    fn new(fleet: &Fleet, state: &AccountState) -> Self {
        let present = fleet.present(state);
        let shown = state.judgements.shown(&present);
        let counts = fleet.snapshot(state).map(|one| one.group_counts(&[]).all);
        let (status, detail) = match state.walks.last().map(|walk| &walk.result) {
            Some(WalkResult::Failed { status, detail, .. }) => (*status, Some(detail.to_string())),
            _ => (None, None),
        };
        let next = state.next_walk_at.map(|at| {
            let left = at.saturating_duration_since(fleet.instant);
            // Whole seconds do not differ between two requests.
            let millis = fleet.now.plus(left + Duration::from_millis(500)).0;
            Time(UnixMillis(millis - millis.rem_euclid(1000)))
        });
        Self {
            account: state.account.to_string(),
            condition: state.condition(fleet.instant).label(),
            confirming: state.confirming,
            last_success: state.last_success.map(|last| Time(last.at)),
            next_walk_at: next,
            failure_reason: state.failure,
            failure_status: status,
            failure_detail: detail,
            endpoints: counts.map(|counts| counts.total()),
            registered: counts.map(|counts| counts.registered),
            unregistered: counts.map(|counts| counts.unregistered),
            unknown: counts.map(|counts| counts.unknown),
            missed: shown.missed.len() as u64,
            outages: shown.outages.len() as u64,
        }
    }
}

impl List for Accounts {
    type Query = Query;
    type Item = AccountItem;

    const PATH: &'static str = "/accounts";
    const CURSOR: &'static str = r"^[^\t]+$";
    const SUMMARY: &'static str = "The accounts, in the order of their names";

    async fn page(
        context: &Context,
        query: &Query,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<AccountItem>, Refusal> {
        let (wanted, after) = (text(query.account.as_ref()), cursor.map(str::to_owned));
        if after.as_ref().is_some_and(|at| at.contains(SEPARATOR)) {
            return Err(wrong_cursor());
        }
        let page = move |fleet: &Fleet| {
            let states = sorted(fleet, &wanted)?.into_iter();
            let rest =
                states.filter(|state| after.as_deref().is_none_or(|at| &*state.account > at));
            let accounts = rest.map(|state| AccountItem::new(fleet, state));
            Ok(first(accounts, limit, |last| last.account.clone()))
        };
        context.run(page).await?
    }

    fn csv_bytes(fleet: &Fleet) -> u64 {
        fleet.states.len() as u64 * 1024
    }
}

/// All accounts, or the one with the name `wanted`, in the order of their names.
pub(super) fn sorted<'f>(fleet: &'f Fleet, wanted: &str) -> Result<Vec<&'f AccountState>, Refusal> {
    let states = fleet.states.iter().map(|state| &**state);
    let mut states: Vec<_> = states
        .filter(|state| wanted.is_empty() || *state.account == *wanted)
        .collect();
    if states.is_empty() && !wanted.is_empty() {
        return Err(Refusal::NotFound(UNKNOWN_ACCOUNT.into()));
    }
    states.sort_unstable_by(|one, other| one.account.cmp(&other.account));
    Ok(states)
}

/// The list of groups.
pub(super) struct Groups;

/// A group of an account.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(rename = "Group")]
pub(super) struct GroupItem {
    /// The account.
    account: String,
    /// The name.
    group: String,
    /// Its importance.
    #[schemars(extend("enum" = Watch::LABELS))]
    watch: &'static str,
    /// Whether the group is on duty.
    on_duty: bool,
    /// The next change of duty, if it is within eight days.
    duty_changes_at: Option<Time>,
    /// Number of endpoints.
    endpoints: u64,
    /// Those that are registered.
    registered: u64,
    /// Those that are not registered.
    unregistered: u64,
    /// Those of which it is not known.
    unknown: u64,
    /// Number of missed endpoints.
    missed: u64,
    /// The least number of registered endpoints, if the group has one.
    min_registered: Option<u64>,
    /// Whether fewer are registered while the group is on duty.
    below_minimum: bool,
    /// Since when that is so.
    below_minimum_since: Option<Time>,
    /// Whether the group or its whole account has an open outage that is not usual.
    outage: bool,
    /// Number of members in the lists of the group that the API does not have; `null` without lists.
    missing_members: Option<u64>,
}

impl List for Groups {
    type Query = Query;
    type Item = GroupItem;

    const PATH: &'static str = "/groups";
    const CURSOR: &'static str = r"^[^\t]+\t[^\t]+$";
    const SUMMARY: &'static str = "The groups, in the order of account names and group names";

    async fn page(
        context: &Context,
        query: &Query,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<GroupItem>, Refusal> {
        let (wanted, after) = (text(query.account.as_ref()), cursor.map(str::to_owned));
        if after.as_ref().is_some_and(|at| !at.contains(SEPARATOR)) {
            return Err(wrong_cursor());
        }
        let page = move |fleet: &Fleet| {
            let states = sorted(fleet, &wanted)?;
            let hidden = states.iter().filter(|state| !state.shown.groups.is_empty());
            let warnings = hidden.filter_map(|state| fleet.hidden(state)).collect();
            let key = |group: &GroupItem| format!("{}{SEPARATOR}{}", group.account, group.group);
            let groups = states.iter().flat_map(|state| groups(fleet, state));
            let rest = groups.filter(|group| after.as_ref().is_none_or(|at| key(group) > *at));
            let found = first(rest, limit, key);
            Ok(Page { warnings, ..found })
        };
        context.run(page).await?
    }

    fn csv_bytes(fleet: &Fleet) -> u64 {
        let groups = fleet.states.iter().map(|state| state.shown.groups.len());
        groups.sum::<usize>() as u64 * 512
    }
}

/// The groups of an account, in the order of their names. None while the endpoints are not shown.
fn groups(fleet: &Fleet, state: &AccountState) -> Vec<GroupItem> {
    let configured = &state.shown.groups;
    let Some(snapshot) = fleet.snapshot(state).filter(|_| !configured.is_empty()) else {
        return Vec::new();
    };
    let present = fleet.present(state);
    let shown = state.judgements.shown(&present);
    let mut missed: BTreeMap<&str, u64> = BTreeMap::new();
    for (one, _) in &shown.missed {
        *missed.entry(&one.present_group).or_default() += 1;
    }
    let counts = snapshot.group_counts(configured);
    let group = |(group, counts): (&crate::config::Group, &crate::snapshot::GroupCounts)| {
        let mut below = shown.below_minimum.iter();
        let below = below.find(|(one, ..)| *one.group == *group.name);
        let (on_duty, duty_changes_at) = duty(fleet, Some(&group.duty));
        GroupItem {
            account: state.account.to_string(),
            group: group.name.clone(),
            watch: group.watch.label(),
            on_duty,
            duty_changes_at,
            endpoints: counts.endpoints.total(),
            registered: counts.endpoints.registered,
            unregistered: counts.endpoints.unregistered,
            unknown: counts.endpoints.unknown,
            missed: missed.get(&*group.name).copied().unwrap_or(0),
            min_registered: counts.min_registered,
            below_minimum: below.is_some(),
            below_minimum_since: below.map(|(.., since)| Time(*since)),
            outage: has_outage(&shown, &group.name),
            missing_members: counts.missing_members,
        }
    };
    let mut groups: Vec<_> = configured.iter().zip(&counts.groups).map(group).collect();
    groups.sort_by(|one, other| one.group.cmp(&other.group));
    groups
}

/// Whether a group with these times of duty is on duty, and when that changes.
pub(super) fn duty(fleet: &Fleet, duty: Option<&Duty>) -> (bool, Option<Time>) {
    let Some(duty) = duty.filter(|duty| duty.is_limited()) else {
        return (true, None);
    };
    let is_on = duty.is_on(fleet.now);
    let until = duty.until(fleet.now);
    let changes = duty.is_on(until) != is_on;
    (is_on, changes.then_some(Time(until)))
}
