//! Selects the endpoints of an account by their values.

use super::{Fleet, registration};
use crate::{
    clock::UnixMillis,
    config::Watch,
    snapshot::{AccountState, EndpointView, Snapshot},
};

/// The group, application or sub-account of endpoints without one.
pub const NONE: &str = "(none)";

/// Which endpoints are selected. Empty texts and `None` select all endpoints.
#[derive(Debug, Clone, Default)]
pub struct EndpointFilter {
    /// The name of the account.
    pub account: String,
    /// The name of the group, or [`NONE`].
    pub group: String,
    /// The importance of the group. Endpoints without a group have `notice`.
    pub watch: Option<Watch>,
    /// The value of the `registration` label.
    pub registration: String,
    /// The id of the application, or [`NONE`].
    pub application: String,
    /// The sub-account, or [`NONE`].
    pub sub_account: String,
    /// Whether the endpoint is missed.
    pub missed: Option<bool>,
    /// A part of the id, the alias or the username, in lower case.
    pub text: String,
}

/// A selected endpoint.
#[derive(Debug, Clone, Copy)]
pub struct Selected<'a> {
    /// The position of the endpoint in the snapshot.
    pub number: u32,
    /// The endpoint, with the values that its detail adds.
    pub endpoint: EndpointView<'a>,
    /// Since when the endpoint is missed.
    pub missed_since: Option<UnixMillis>,
}

impl EndpointFilter {
    /// Whether endpoints of the account are selected.
    pub fn is_account(&self, state: &AccountState) -> bool {
        self.account.is_empty() || *self.account == *state.account
    }

    /// What `map` makes of the selected endpoints of a snapshot from the position `first` on, in the order of ids. An
    /// endpoint is large, so it is not passed on by value.
    pub fn select<'a, T>(
        &'a self,
        fleet: &Fleet,
        state: &'a AccountState,
        (snapshot, first): (&'a Snapshot, u32),
        map: impl Fn(&Selected<'a>) -> T + 'a,
    ) -> impl Iterator<Item = T> {
        let present = fleet.present(state);
        // The missed endpoints and those of the snapshot are sorted by id, so one pass over both finds all pairs.
        let missed = state.judgements.shown(&present).missed;
        let mut missed = missed.into_iter().peekable();
        let group = self.group(state);
        let endpoints = snapshot.endpoints_from(first, &state.details);
        let select = move |(number, endpoint): (u32, EndpointView<'a>)| {
            while missed.next_if(|(one, _)| *one.id < *endpoint.id).is_some() {}
            let missed_since = missed.next_if(|(one, _)| *one.id == *endpoint.id);
            let missed_since = missed_since.map(|(_, since)| since);
            let selected = Selected {
                number,
                endpoint,
                missed_since,
            };
            self.has(state, group, &selected).then(|| map(&selected))
        };
        (first..).zip(endpoints).filter_map(select)
    }

    /// Whether the endpoint has all wanted values.
    fn has(&self, state: &AccountState, group: Option<usize>, selected: &Selected<'_>) -> bool {
        let endpoint = &selected.endpoint;
        let groups = &state.shown.groups;
        let index = endpoint.group.map_or(groups.len(), usize::from);
        let watch = || groups.get(index).map_or(Watch::Notice, |group| group.watch);
        let has = |wanted: &str, value: &str| {
            wanted.is_empty() || wanted == if value.is_empty() { NONE } else { value }
        };
        group.is_none_or(|group| group == index)
            && self.watch.is_none_or(|wanted| wanted == watch())
            && (self.missed).is_none_or(|wanted| wanted == selected.missed_since.is_some())
            && has(&self.registration, registration(endpoint))
            && has(&self.application, endpoint.application.unwrap_or(""))
            && has(&self.sub_account, endpoint.sub_account)
            && self.has_text(state, endpoint)
    }

    /// The index of the wanted group, if there is one. The number of groups is for endpoints without a group.
    fn group(&self, state: &AccountState) -> Option<usize> {
        let groups = &state.shown.groups;
        match &*self.group {
            "" => None,
            NONE => Some(groups.len()),
            // No endpoint has the last possible index.
            name => Some(
                groups
                    .iter()
                    .position(|one| one.name == name)
                    .unwrap_or(usize::MAX),
            ),
        }
    }

    /// Whether the id, the alias or the username contains the wanted text.
    fn has_text(&self, state: &AccountState, endpoint: &EndpointView<'_>) -> bool {
        let contains = |text: &str| contains(text, &self.text);
        self.text.is_empty()
            || contains(endpoint.alias)
            || contains(endpoint.id)
            || (state.shown.username && contains(endpoint.username))
    }
}

/// Whether `text` contains `part`, which is in lower case and not empty.
pub fn contains(text: &str, part: &str) -> bool {
    if !text.is_ascii() {
        return text.to_lowercase().contains(part);
    }
    let windows = text.as_bytes().windows(part.len());
    windows
        .into_iter()
        .any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
}
