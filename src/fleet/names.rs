//! The names of endpoints, and of what belongs to them.

use crate::{
    judgement::Shown,
    snapshot::{AccountState, EndpointView},
    telemetry::labels::REGISTRATIONS,
};

/// The alias, or else the id.
pub fn name<'a>(endpoint: &EndpointView<'a>) -> &'a str {
    if endpoint.alias.is_empty() {
        endpoint.id
    } else {
        endpoint.alias
    }
}

/// The username, or "" if the account hides usernames.
pub fn username<'a>(state: &AccountState, endpoint: &EndpointView<'a>) -> &'a str {
    if state.shown.username {
        endpoint.username
    } else {
        ""
    }
}

/// The value of the `registration` label.
pub fn registration(endpoint: &EndpointView<'_>) -> &'static str {
    let [registered, unregistered, unknown] = REGISTRATIONS;
    match endpoint.registered {
        Some(true) => registered,
        Some(false) => unregistered,
        None => unknown,
    }
}

/// The last known user agent of an endpoint, if metrics may show it.
pub fn user_agent<'a>(state: &'a AccountState, id: &str) -> Option<&'a str> {
    if !state.shown.user_agent {
        return None;
    }
    let endpoint = state.snapshot.as_deref().and_then(|one| one.endpoint(id));
    let present = endpoint.and_then(|endpoint| endpoint.user_agent);
    let last = || state.last_seen.get(id)?.user_agent.as_deref();
    present.or_else(last)
}

/// The name of the group with this index, or "".
pub fn group_name(state: &AccountState, group: Option<u16>) -> &str {
    let group = group.and_then(|at| state.shown.groups.get(usize::from(at)));
    group.map_or("", |group| &group.name)
}

/// The name of an application, from a row of the list or from the configuration.
pub fn application_name<'a>(state: &'a AccountState, id: &str) -> Option<&'a str> {
    let snapshot = state.snapshot.as_deref();
    let listed = snapshot.and_then(|one| one.application_names().get(id));
    let name = listed.or_else(|| state.shown.applications.get(id));
    name.map(String::as_str)
}

/// Whether the group or its whole account has an open outage that is not usual.
pub fn has_outage(shown: &Shown<'_>, group: &str) -> bool {
    let mut outages = shown.outages.iter().filter(|outage| !outage.is_usual);
    outages.any(|outage| outage.scope.as_deref().is_none_or(|scope| scope == group))
}
