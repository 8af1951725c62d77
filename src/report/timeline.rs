//! The states and the groups of one endpoint over time.

use std::iter;

use super::spans::Period;
use crate::{
    clock::UnixMillis,
    judgement::PastFlapping,
    state::{EventKind, LoggedEndpoint, PastEvent, PastEventKind, StoredRow},
};

/// Stands between the registration and the group of a removed endpoint.
const REMOVED_FROM: &str = ", group ";

const EVER: UnixMillis = UnixMillis(i64::MIN);

/// What the list had of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// Nothing: the endpoint did not exist.
    Absent,
    /// `sip_registered` was true.
    Registered,
    /// `sip_registered` was false.
    Unregistered,
    /// `sip_registered` was never true or false until then.
    Unknown,
}

impl From<Option<bool>> for Presence {
    fn from(last_known: Option<bool>) -> Self {
        match last_known {
            Some(true) => Self::Registered,
            Some(false) => Self::Unregistered,
            None => Self::Unknown,
        }
    }
}

/// A time with one presence and one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) period: Period,
    pub(super) presence: Presence,
    /// The index of the group; the number of groups for none.
    pub(super) group: usize,
}

/// The names of the configured groups.
#[derive(Debug, Clone, Copy)]
pub(super) struct GroupNames<'a>(pub(super) &'a [&'a str]);

impl GroupNames<'_> {
    /// The index of the group with this name in an event. `None` if no group has it.
    fn find(self, name: &str) -> Option<usize> {
        let found = self.0.iter().position(|group| *group == name);
        found.or((name == "none").then_some(self.0.len()))
    }

    fn name(&self, index: usize) -> &str {
        self.0.get(index).copied().unwrap_or("none")
    }

    /// The last group of an endpoint according to its removal, or else to its last move. `None` without both.
    pub(super) fn last(self, events: &[PastEvent]) -> Option<usize> {
        let last = |kind| events.iter().rev().find(|event| is(event, kind));
        let removed = last(EventKind::Removed).and_then(|event| event.detail.as_deref());
        let group = removed.and_then(|detail| detail.split_once(REMOVED_FROM));
        if let Some(found) = group.and_then(|(_, name)| self.find(name)) {
            return Some(found);
        }
        let detail = last(EventKind::Group)?.detail.as_deref()?;
        let is_new = |index: &usize| {
            let before = detail.strip_suffix(self.name(*index));
            before.is_some_and(|before| before.ends_with(" to "))
        };
        (0..=self.0.len()).find(is_new)
    }

    /// The group before a move to the group `after`. `None` if no group has this name any more.
    fn before_move(self, event: &PastEvent, after: usize) -> Option<usize> {
        let detail = event.detail.as_deref()?;
        let before = detail.strip_suffix(self.name(after));
        let before = before.and_then(|before| before.strip_suffix(" to "));
        self.find(before.or_else(|| Some(detail.split_once(" to ")?.0))?)
    }
}

fn is(event: &PastEvent, kind: EventKind) -> bool {
    event.kind == PastEventKind::Known(kind)
}

/// Divides the time of an endpoint within `period`. `group` is its present group. `known_since` is the first known moment of
/// its account.
pub(super) fn parts(
    endpoint: &LoggedEndpoint,
    (names, group): (GroupNames<'_>, usize),
    known_since: UnixMillis,
    period: Period,
) -> Vec<Part> {
    let presences = presences(endpoint, known_since);
    let groups = groups(&endpoint.events, names, group);
    let mut parts = Vec::new();
    for (time, presence) in periods(&presences) {
        if presence == Presence::Absent {
            continue;
        }
        for (of_group, group) in periods(&groups) {
            let period = time.clip(of_group).clip(period);
            if period.from < period.until {
                parts.push(Part {
                    period,
                    presence,
                    group,
                });
            }
        }
    }
    parts
}

/// Each value with the time from its step to the next one.
fn periods<T: Copy>(steps: &[(UnixMillis, T)]) -> impl Iterator<Item = (Period, T)> {
    let ends = steps.iter().skip(1).map(|step| step.0);
    let ends = ends.chain(iter::once(UnixMillis(i64::MAX)));
    let periods = steps.iter().zip(ends);
    periods.map(|((from, value), until)| (Period { from: *from, until }, *value))
}

/// The changes of the registration within `period`, and how often the endpoint began to flap in it.
pub(super) fn changes(events: &[PastEvent], period: Period) -> (u64, u64) {
    let (mut changes, mut times_flapping) = (0, 0);
    let mut flapping = PastFlapping::default();
    for event in events {
        match event.kind {
            PastEventKind::Known(EventKind::Lost | EventKind::Back) if event.at < period.until => {
                let begins = flapping.begins_with(event.at);
                if period.from <= event.at {
                    changes += 1;
                    times_flapping += u64::from(begins);
                }
            }
            // As in the judgement, a removal ends it.
            PastEventKind::Known(EventKind::Removed) => flapping = PastFlapping::default(),
            _ => {}
        }
    }
    (changes, times_flapping)
}

/// The presence from each time on, in the order of times.
fn presences(endpoint: &LoggedEndpoint, known_since: UnixMillis) -> Vec<(UnixMillis, Presence)> {
    let events: Vec<_> = endpoint.events.iter().filter(|one| decides(one)).collect();
    let row = endpoint.row.as_ref();
    let first = match events.first() {
        Some(event) if is(event, EventKind::Added) => Presence::Absent,
        _ => inferred(&events, row),
    };
    let mut steps = vec![(EVER, Presence::Absent)];
    if first != Presence::Absent {
        let end = events
            .first()
            .map_or(UnixMillis(i64::MAX), |event| event.at);
        // An endpoint that returned after more than a week has the first walk of its new life.
        let first_seen = row.map(|row| row.first_seen).filter(|at| *at <= end);
        let begin = first_seen.unwrap_or(known_since).min(end);
        match row.filter(|row| events.is_empty() && row.since > begin) {
            // A change without an event is the first usable value, or it is older than the log.
            Some(row) => steps.extend([(begin, Presence::Unknown), (row.since, first)]),
            None => steps.push((begin, first)),
        }
        let removed_at = row.and_then(|row| row.removed_at);
        if let Some(at) = removed_at.filter(|_| events.is_empty()) {
            steps.push((at, Presence::Absent));
        }
    }
    for (at, event) in events.iter().enumerate() {
        let presence = match event.kind {
            PastEventKind::Known(EventKind::Lost) => Presence::Unregistered,
            PastEventKind::Known(EventKind::Back) => Presence::Registered,
            PastEventKind::Known(EventKind::Removed) => Presence::Absent,
            _ => detail(event).unwrap_or_else(|| inferred(&events[at + 1..], row)),
        };
        let last = steps[steps.len() - 1].0;
        steps.push((event.at.max(last), presence));
    }
    steps
}

/// Whether an event decides about the presence.
fn decides(event: &PastEvent) -> bool {
    use EventKind::{Added, Back, Known, Lost, Removed};
    [Added, Back, Known, Lost, Removed]
        .into_iter()
        .any(|kind| is(event, kind))
}

/// The registration that an event names. Earlier versions did not write it.
fn detail(event: &PastEvent) -> Option<Presence> {
    let detail = event.detail.as_deref()?;
    let registration = detail.split_once(REMOVED_FROM).map_or(detail, |one| one.0);
    match registration {
        "registered" => Some(Presence::Registered),
        "unregistered" => Some(Presence::Unregistered),
        "unknown" => Some(Presence::Unknown),
        _ => None,
    }
}

/// The presence before the events `later`, which are the last ones of the endpoint.
fn inferred(later: &[&PastEvent], row: Option<&StoredRow>) -> Presence {
    let of_row = || Presence::from(row.and_then(|row| row.last_known));
    match later.first() {
        None => of_row(),
        Some(event) if is(event, EventKind::Lost) => Presence::Registered,
        Some(event) if is(event, EventKind::Back) => Presence::Unregistered,
        Some(event) if is(event, EventKind::Removed) => detail(event).unwrap_or_else(|| {
            // The row of a removed endpoint keeps its last value.
            if later.len() == 1 {
                of_row()
            } else {
                Presence::Unknown
            }
        }),
        Some(_) => Presence::Unknown,
    }
}

/// The group from each time on, in the order of times.
fn groups(events: &[PastEvent], names: GroupNames<'_>, present: usize) -> Vec<(UnixMillis, usize)> {
    let moves = events.iter().filter(|event| is(event, EventKind::Group));
    let (mut steps, mut group) = (Vec::new(), present);
    for event in moves.rev() {
        // The group of an earlier configuration has no times of duty, so the time before counts for the later group.
        if let Some(before) = names.before_move(event, group) {
            steps.push((event.at, group));
            group = before;
        }
    }
    steps.push((EVER, group));
    steps.reverse();
    steps
}
