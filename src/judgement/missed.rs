//! Endpoints that are missed: expected to be registered, and not registered.

use std::{collections::HashSet, sync::Arc};

use super::{FORGOTTEN_AFTER, Present, Walk};
use crate::{
    clock::UnixMillis,
    config::{Group, Watch},
};

/// An endpoint of a snapshot, as far as judgements depend on it.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    /// The endpoint id.
    pub id: &'a str,
    /// The username, or "".
    pub username: &'a str,
    /// The index of the configured group; `None` if no group matches.
    pub group: Option<u16>,
    /// The last value of `sip_registered` that was true or false.
    pub last_known: Option<bool>,
    /// The first walk that read the value `last_known`.
    pub since: UnixMillis,
    /// The walk that found the loss of the registration; `None` if the endpoint was never seen registered.
    pub lost_at: Option<UnixMillis>,
    /// The last walk that read the endpoint as registered; `None` while it is, and if no walk did.
    pub last_registered: Option<UnixMillis>,
    /// The first walk that listed the endpoint.
    pub first_seen: UnixMillis,
    /// False for a retained endpoint, which the walk did not find.
    pub is_listed: bool,
}

impl Observed<'_> {
    /// Whether this walk is the first one that read the present registration, after another one.
    pub(super) fn has_changed(&self, walk: Walk) -> bool {
        let is_new = self.first_seen >= walk.started_at;
        self.is_listed && self.last_known.is_some() && self.since == walk.started_at && !is_new
    }
}

/// An endpoint that is expected to be registered and is not. While its group is on duty, it is missed.
///
/// The username, the group and its `watch` are those at the loss, so a rename or a move does not change the labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingEndpoint {
    /// The endpoint id.
    pub id: Box<str>,
    /// The username at the loss, or "".
    pub username: Box<str>,
    /// The name of the group at the loss, or "".
    pub group: Box<str>,
    /// The importance of the group at the loss.
    pub watch: Watch,
    /// The name of the present group, whose times of duty apply.
    pub present_group: Box<str>,
    /// The walk that found the loss. For a paged endpoint that was never registered, the first walk that listed it.
    pub since: UnixMillis,
    /// The last walk that read it as registered; `None` if no walk did. The loss is between this walk and `since`.
    pub last_registered: Option<UnixMillis>,
    /// Whether the loss belongs to an outage.
    pub part: Part,
    /// The last time at which a walk listed the endpoint; `None` if the account's last walk did.
    pub last_listed: Option<UnixMillis>,
}

/// Whether a loss belongs to an outage. It belongs to at most one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It belongs to none.
    None,
    /// It belongs to an open outage that is not usual.
    Open,
    /// It belongs to an open outage that is usual at this time.
    Usual,
    /// It belonged to an outage, which has ended or which the endpoint has left.
    Past,
}

/// The missing endpoints after a walk, sorted by id; `None` if they are the same as those `before` it.
pub(super) fn after<'a>(
    before: &[Arc<MissingEndpoint>],
    walk: Walk,
    observed: impl Iterator<Item = Observed<'a>>,
    groups: &[Group],
) -> Option<Vec<Arc<MissingEndpoint>>> {
    let mut merged = Merged::default();
    let mut before = before.iter().peekable();
    for endpoint in observed {
        while let Some(known) = before.next_if(|known| *known.id < *endpoint.id) {
            merged.add(Some(known), unlisted(known, walk));
        }
        let known = before.next_if(|known| *known.id == *endpoint.id);
        merged.add(known, judged(known, &endpoint, walk, groups));
    }
    for known in before {
        merged.add(Some(known), unlisted(known, walk));
    }
    merged.is_changed.then_some(merged.missing)
}

/// Collects the missing endpoints. Equal endpoints share their memory with those before the walk.
#[derive(Default)]
struct Merged {
    missing: Vec<Arc<MissingEndpoint>>,
    is_changed: bool,
}

impl Merged {
    fn add(&mut self, known: Option<&Arc<MissingEndpoint>>, new: Option<MissingEndpoint>) {
        match (known, new) {
            (None, None) => {}
            (Some(known), Some(new)) if **known == new => self.missing.push(Arc::clone(known)),
            (_, new) => {
                self.is_changed = true;
                self.missing.extend(new.map(Arc::new));
            }
        }
    }
}

/// The missing endpoint after a walk that did not list it; `None` if it no longer exists, or is forgotten.
fn unlisted(known: &MissingEndpoint, walk: Walk) -> Option<MissingEndpoint> {
    let last_listed = known.last_listed.unwrap_or(walk.listed_before);
    let is_forgotten = walk.started_at >= last_listed.plus(FORGOTTEN_AFTER);
    // An unreadable row may belong to the endpoint. A row that was unreadable while the endpoint was listed does not.
    let was_listed = known.last_listed.is_none();
    let may_be_unreadable =
        walk.has_unreadable_rows && (!was_listed || walk.has_more_unreadable_rows);
    let is_gone = walk.is_complete && !may_be_unreadable;
    (!is_gone && !is_forgotten).then(|| MissingEndpoint {
        last_listed: Some(last_listed),
        ..known.clone()
    })
}

/// The missing endpoint `endpoint`; `None` if it is registered, or not expected to be. `known` is the same endpoint before
/// the walk, if it was missing.
fn judged(
    known: Option<&Arc<MissingEndpoint>>,
    endpoint: &Observed<'_>,
    walk: Walk,
    groups: &[Group],
) -> Option<MissingEndpoint> {
    if endpoint.last_known != Some(false) {
        return None;
    }
    if !endpoint.is_listed {
        // It is retained. After a restart, the names that decide about its group may not be stored.
        return unlisted(known?, walk);
    }
    let group = endpoint.group.and_then(|at| groups.get(usize::from(at)));
    let (name, watch) = group.map_or(("", Watch::Notice), |group| (&*group.name, group.watch));
    if watch == Watch::Ignore {
        // It is hidden, but still belongs to its outage, which it leaves.
        return known.map(|known| MissingEndpoint {
            present_group: name.into(),
            last_listed: None,
            ..MissingEndpoint::clone(known)
        });
    }
    // A paged endpoint that was never registered stays missed when it is no longer paged.
    let never_registered = (watch == Watch::Page).then_some(endpoint.first_seen);
    let known_since = known.map(|known| known.since);
    let since = endpoint.lost_at.or(known_since).or(never_registered)?;
    let last_registered = endpoint.lost_at.and(endpoint.last_registered);
    let new = || MissingEndpoint {
        id: endpoint.id.into(),
        username: endpoint.username.into(),
        group: name.into(),
        watch,
        present_group: name.into(),
        since,
        last_registered,
        // A loss of an earlier walk may have belonged to an outage.
        part: if endpoint.lost_at == Some(walk.started_at) {
            Part::None
        } else {
            Part::Past
        },
        last_listed: None,
    };
    let base = known.map_or_else(new, |known| MissingEndpoint::clone(known));
    Some(MissingEndpoint {
        // Hidden usernames are not stored.
        username: if base.username.is_empty() {
            endpoint.username.into()
        } else {
            base.username
        },
        present_group: name.into(),
        since,
        last_registered,
        last_listed: None,
        ..base
    })
}

/// The endpoints of both, sorted by id. Those of `first` take precedence, but the later loss decides about its outage.
pub(super) fn union(
    first: &[Arc<MissingEndpoint>],
    second: &[Arc<MissingEndpoint>],
) -> Arc<[Arc<MissingEndpoint>]> {
    let find = |all: &[Arc<MissingEndpoint>], id: &str| {
        let found = all.binary_search_by(|one| (*one.id).cmp(id));
        found.ok().map(|at| Arc::clone(&all[at]))
    };
    let joined = first.iter().map(|one| {
        let later =
            find(second, &one.id).filter(|other| other.since > one.since && other.part != one.part);
        later.map_or_else(
            || Arc::clone(one),
            |later| {
                Arc::new(MissingEndpoint {
                    part: later.part,
                    ..MissingEndpoint::clone(one)
                })
            },
        )
    });
    let others = second.iter().filter(|one| find(first, &one.id).is_none());
    let mut all: Vec<_> = joined.chain(others.cloned()).collect();
    all.sort_by(|a, b| a.id.cmp(&b.id));
    all.into()
}

/// The endpoints that are missed at present, each with the time since which it is. `expired` has the members of outages
/// that the clock has ended.
pub(super) fn shown<'a>(
    missing: &'a [Arc<MissingEndpoint>],
    expired: &HashSet<&str>,
    present: &Present<'_>,
) -> Vec<(&'a MissingEndpoint, UnixMillis)> {
    let missed = |one: &'a Arc<MissingEndpoint>| {
        // A usual outage may be the end of a shift, but a paged endpoint is expected all the same.
        let is_hidden = match one.part {
            Part::None | Part::Past => false,
            Part::Open => true,
            Part::Usual => one.watch != Watch::Page,
        };
        if is_hidden && !expired.contains(&*one.id) {
            return None;
        }
        let since = present.on_duty_since(&one.present_group, one.since)?;
        let end = end(one, present)?;
        (present.now < end).then_some((&**one, since))
    };
    missing.iter().filter_map(missed).collect()
}

/// The next time at which an endpoint is forgotten.
pub(super) fn next_end(
    missing: &[Arc<MissingEndpoint>],
    present: &Present<'_>,
) -> Option<UnixMillis> {
    let ends = missing.iter().filter_map(|one| end(one, present));
    ends.filter(|end| present.now < *end).min()
}

/// The time at which the endpoint is forgotten, unless a walk lists it before.
fn end(endpoint: &MissingEndpoint, present: &Present<'_>) -> Option<UnixMillis> {
    let last_listed = endpoint.last_listed.or(present.last_success)?;
    Some(last_listed.plus(FORGOTTEN_AFTER))
}
