//! The endpoints of all accounts, and one of them.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Context, Refusal, Time, UNKNOWN_ENDPOINT,
    accounts_and_groups::{duty, sorted},
    list::{List, Page, first, wrong_cursor},
    parameters::{Flag, Text, WantedWatch, text},
    present,
};
use crate::{
    clock::UnixMillis,
    config::Watch,
    fleet::{
        EndpointFilter, Fleet, Selected, application_name, group_name, registration, user_agent,
        username,
    },
    snapshot::{AccountState, EndpointView},
    telemetry::labels::REGISTRATIONS,
};

/// Stands between the account and the id in a cursor. No account name has this character.
const SEPARATOR: char = '\t';

/// About the length of an endpoint as CSV, in bytes.
const CSV_BYTES: u64 = 256;

/// The list of endpoints.
pub(super) struct Endpoints;

/// Which endpoints are wanted. The text `(none)` stands for no group, application or sub-account.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Query {
    /// A part of the id, the alias or the username, in any case.
    q: Option<Text>,
    /// Name of the account.
    account: Option<Text>,
    /// Name of the group.
    group: Option<Text>,
    /// Importance of the group. Endpoints without a group have `notice`.
    watch: Option<WantedWatch>,
    /// Registration in the last walk.
    registration: Option<WantedRegistration>,
    /// Whether the endpoint is missed.
    missed: Option<Flag>,
    /// Id of the application.
    application: Option<Text>,
    /// Sub-account.
    sub_account: Option<Text>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum WantedRegistration {
    Registered,
    Unregistered,
    Unknown,
}

impl Query {
    fn filter(&self) -> EndpointFilter {
        let [registered, unregistered, unknown] = REGISTRATIONS;
        let registration = self.registration.map_or("", |wanted| match wanted {
            WantedRegistration::Registered => registered,
            WantedRegistration::Unregistered => unregistered,
            WantedRegistration::Unknown => unknown,
        });
        EndpointFilter {
            account: text(self.account.as_ref()),
            group: text(self.group.as_ref()),
            watch: self.watch.map(Watch::from),
            registration: registration.to_owned(),
            application: text(self.application.as_ref()),
            sub_account: text(self.sub_account.as_ref()),
            missed: self.missed.map(|missed| missed.0),
            text: text(self.q.as_ref()).trim().to_lowercase(),
        }
    }
}

/// An endpoint.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(rename = "Endpoint")]
pub(super) struct Item {
    /// The account.
    account: String,
    /// `endpoint_id` of the API.
    endpoint_id: String,
    /// `alias` of the API, or "".
    alias: String,
    /// `username` of the API; `null` if it is empty, or if `metrics.username` is false.
    username: Option<String>,
    /// `sub_account` of the API, or "".
    sub_account: String,
    /// The group that matches; `null` for none.
    group: Option<String>,
    /// Importance of the group; `notice` without a group.
    #[schemars(extend("enum" = Watch::LABELS))]
    watch: &'static str,
    /// `sip_registered` of the API; `unknown` if it is neither true nor false.
    #[schemars(extend("enum" = REGISTRATIONS))]
    registration: &'static str,
    /// Start of the first walk that read the last known registration.
    since: Time,
    /// Start of the first walk that listed the endpoint.
    first_seen: Time,
    /// Start of the last walk that read the endpoint as registered; `null` while it is registered, or if none did.
    last_registered: Option<Time>,
    /// Whether the endpoint is missed: expected to be registered, and not.
    missed: bool,
    /// Since when the endpoint is missed.
    missed_since: Option<Time>,
    /// `sip_expires` of the API, for a registered endpoint.
    expires_at: Option<Time>,
    /// Id of the assigned application.
    application_id: Option<String>,
    /// Name of the assigned application, if the list or the configuration has it.
    application_name: Option<String>,
    /// User agent of the SIP client, or the last known one; `null` if metrics do not show it.
    user_agent: Option<String>,
    /// Whether the last walk was incomplete and did not find the endpoint, so that older values are shown.
    retained: bool,
}

impl Item {
    fn new(
        state: &AccountState,
        endpoint: &EndpointView<'_>,
        missed_since: Option<UnixMillis>,
    ) -> Self {
        let groups = &state.shown.groups;
        let group = endpoint.group.and_then(|at| groups.get(usize::from(at)));
        let history = &endpoint.history;
        let application = endpoint.application.unwrap_or("");
        Self {
            account: state.account.to_string(),
            endpoint_id: endpoint.id.to_owned(),
            alias: endpoint.alias.to_owned(),
            username: present(username(state, endpoint)),
            sub_account: endpoint.sub_account.to_owned(),
            group: present(group_name(state, endpoint.group)),
            watch: group.map_or(Watch::Notice, |group| group.watch).label(),
            registration: registration(endpoint),
            since: Time(history.since),
            first_seen: Time(history.first_seen),
            last_registered: history.last_registered().map(Time),
            missed: missed_since.is_some(),
            missed_since: missed_since.map(Time),
            expires_at: endpoint.expires_at.map(Time),
            application_id: present(application),
            application_name: application_name(state, application).map(str::to_owned),
            user_agent: user_agent(state, endpoint.id).map(str::to_owned),
            retained: endpoint.retained,
        }
    }
}

impl List for Endpoints {
    type Query = Query;
    type Item = Item;

    const PATH: &'static str = "/endpoints";
    const CURSOR: &'static str = r"^[^\t]+\t[^\t]+$";
    const SUMMARY: &'static str =
        "The endpoints of all accounts, in the order of account names and ids";

    async fn page(
        context: &Context,
        query: &Query,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Item>, Refusal> {
        let (filter, cursor) = (query.filter(), cursor.map(str::to_owned));
        context
            .run(move |fleet| page(fleet, &filter, cursor.as_deref(), limit))
            .await?
    }

    fn csv_bytes(fleet: &Fleet) -> u64 {
        let snapshots = fleet.states.iter().filter_map(|one| one.snapshot.as_ref());
        snapshots.map(|one| one.len() as u64).sum::<u64>() * CSV_BYTES
    }
}

fn page(
    fleet: &Fleet,
    filter: &EndpointFilter,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page<Item>, Refusal> {
    let states = sorted(fleet, &filter.account)?;
    let warnings = states.iter().filter_map(|state| fleet.hidden(state));
    let warnings = warnings.collect();
    let after = cursor.map(|cursor| {
        let parts = cursor.split_once(SEPARATOR);
        let parts = parts.filter(|(account, id)| !account.is_empty() && !id.is_empty());
        parts.ok_or_else(wrong_cursor)
    });
    let after = after.transpose()?;
    let account = after.map_or("", |(account, _)| account);
    let rest = states.iter().filter(|state| &*state.account >= account);
    let items = rest.flat_map(|state| {
        let snapshot = fleet.snapshot(state);
        let after = after.filter(|_| *state.account == *account);
        snapshot.into_iter().flat_map(move |snapshot| {
            let number = after.map_or(0, |(_, id)| snapshot.number_after(id));
            let item = |one: &Selected<'_>| Item::new(state, &one.endpoint, one.missed_since);
            filter.select(fleet, state, (snapshot, number), item)
        })
    });
    let found = first(items, limit, |last: &Item| {
        format!("{}{SEPARATOR}{}", last.account, last.endpoint_id)
    });
    Ok(Page { warnings, ..found })
}

/// One endpoint, and what decides about it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "EndpointDetail")]
pub(super) struct Detail {
    /// The endpoint.
    endpoint: Item,
    /// Whether its group is on duty. An endpoint without a group is always on duty.
    on_duty: bool,
    /// The next change of duty, if it is within eight days.
    duty_changes_at: Option<Time>,
    /// The open outage to which its loss belongs.
    outage: Option<OutageOf>,
    /// The number of changes of its registration within the last hour, if it flaps.
    flapping_changes: Option<u64>,
    /// When its own record was retrieved; `null` if the values come from the list alone.
    record_retrieved_at: Option<Time>,
    /// Whether metrics show the endpoint: its data is not too old.
    shown_in_metrics: bool,
}

/// The outage to which a loss belongs.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
struct OutageOf {
    /// The group; `null` for an outage of the whole account.
    group: Option<String>,
    /// The first loss.
    started_at: Time,
    /// Start of the walk that found the outage.
    opened_at: Time,
}

/// One endpoint as JSON.
pub(super) fn detail(fleet: &Fleet, account: &str, id: &str) -> Result<Bytes, Refusal> {
    let found = find(fleet, account, id).ok_or(Refusal::NotFound(UNKNOWN_ENDPOINT.into()))?;
    let text = serde_json::to_vec(&found).map_err(|_| Refusal::Failed)?;
    Ok(text.into())
}

fn find(fleet: &Fleet, account: &str, id: &str) -> Option<Detail> {
    let state = fleet.account(account)?;
    let snapshot = state.snapshot.as_deref()?;
    let endpoint = snapshot.endpoint_with(id, &state.details)?;
    let present = fleet.present(state);
    let shown = state.judgements.shown(&present);
    let mut missed = shown.missed.iter().filter(|(one, _)| *one.id == *id);
    let missed_since = missed.next().map(|(_, since)| *since);
    let groups = &state.shown.groups;
    let group = endpoint.group.and_then(|at| groups.get(usize::from(at)));
    let has = |outage: &&&_| has_member(outage, id);
    let outage = shown.outages.iter().find(has).map(|outage| OutageOf {
        group: outage.scope.as_deref().map(str::to_owned),
        started_at: Time(outage.started_at),
        opened_at: Time(outage.opened_at),
    });
    let mut flapping = shown.flapping.iter().filter(|(one, ..)| *one == id);
    let (on_duty, duty_changes_at) = duty(fleet, group.map(|group| &group.duty));
    Some(Detail {
        endpoint: Item::new(state, &endpoint, missed_since),
        on_duty,
        duty_changes_at,
        outage,
        flapping_changes: flapping.next().map(|(.., changes)| *changes),
        record_retrieved_at: endpoint.detail_at.map(Time),
        shown_in_metrics: fleet.snapshot(state).is_some(),
    })
}

fn has_member(outage: &crate::judgement::Outage, id: &str) -> bool {
    let members = &outage.members;
    members.binary_search_by(|one| (*one.id).cmp(id)).is_ok()
}
