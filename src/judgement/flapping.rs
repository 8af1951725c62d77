//! Endpoints whose registration changes again and again.

use std::{sync::Arc, time::Duration};

use super::{Observed, Present, Walk};
use crate::{
    clock::UnixMillis,
    config::{Group, Watch},
};

/// Changes within this time count.
const WINDOW: Duration = Duration::from_secs(3600);
/// An endpoint begins to flap with this many changes within the window, …
const BEGIN: usize = 6;
/// … and ends with fewer than this many.
const END: usize = 3;

/// An endpoint whose registration has changed within the window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangingEndpoint {
    /// The endpoint id.
    pub id: Box<str>,
    /// The starts of the walks that found the changes, in order.
    pub changes: Box<[UnixMillis]>,
    /// Its names, since it began to flap; `None` if it does not flap.
    pub flapping: Option<Box<Flapping>>,
}

/// The names of an endpoint at the walk with which it began to flap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flapping {
    /// The username, or "".
    pub username: Box<str>,
    /// The name of the group, or "".
    pub group: Box<str>,
    /// The importance of the group.
    pub watch: Watch,
}

impl ChangingEndpoint {
    /// The number of changes within the window that ends `now`.
    fn number(&self, now: UnixMillis) -> usize {
        let is_recent = |at: &&UnixMillis| now < at.plus(WINDOW);
        self.changes.iter().filter(is_recent).count()
    }

    /// The endpoint with a change at this walk.
    fn with_change(
        known: Option<&Self>,
        endpoint: &Observed<'_>,
        walk: Walk,
        group: Option<&Group>,
    ) -> Self {
        let now = walk.started_at;
        let flapping = known.and_then(|known| known.flapping.clone());
        let before = known.map_or(&[][..], |known| &known.changes);
        let (changes, flaps) = with_change(before, flapping.is_some(), now);
        let begin = || {
            Box::new(Flapping {
                username: endpoint.username.into(),
                group: group.map_or("", |group| &group.name).into(),
                watch: group.map_or(Watch::Notice, |group| group.watch),
            })
        };
        let flapping = flaps.then(|| flapping.unwrap_or_else(begin));
        Self {
            id: endpoint.id.into(),
            changes,
            flapping,
        }
    }
}

/// The recent changes of an endpoint with one at the time `now`, and whether it flaps after it. `before` has the earlier
/// changes, and `flaps` says whether it flapped after the last of them.
fn with_change(before: &[UnixMillis], flaps: bool, now: UnixMillis) -> (Box<[UnixMillis]>, bool) {
    let recent = before.iter().copied().filter(|at| now < at.plus(WINDOW));
    let changes: Box<[_]> = recent.chain([now]).collect();
    // The clock may have ended it since the change before.
    let continues = flaps && changes.len() > END;
    let flaps = continues || changes.len() >= BEGIN;
    (changes, flaps)
}

/// Finds in the past changes of an endpoint when it began to flap.
#[derive(Debug, Default)]
pub struct PastFlapping {
    changes: Box<[UnixMillis]>,
    flaps: bool,
}

impl PastFlapping {
    /// Adds a change at the time `at`, which is not before the last one. True if the endpoint began to flap with it.
    pub fn begins_with(&mut self, at: UnixMillis) -> bool {
        let (changes, flaps) = with_change(&self.changes, self.flaps, at);
        let continues = self.flaps && changes.len() > END;
        (self.changes, self.flaps) = (changes, flaps);
        flaps && !continues
    }
}

/// Whether the registration of the endpoint has changed within the window before.
pub(super) fn is_known(before: &[Arc<ChangingEndpoint>], endpoint: &Observed<'_>) -> bool {
    let found = before.binary_search_by(|one| (*one.id).cmp(endpoint.id));
    found.is_ok()
}

/// The changing endpoints after a walk, sorted by id; `None` if they are the same as those `before` it. `observed` has the
/// endpoints that are known or have changed with this walk, sorted by id. A complete walk that does not find an endpoint ends
/// its flapping, and so does a group that is ignored.
pub(super) fn after(
    before: &[Arc<ChangingEndpoint>],
    walk: Walk,
    observed: &[Observed<'_>],
    groups: &[Group],
) -> Option<Vec<Arc<ChangingEndpoint>>> {
    let now = walk.started_at;
    // Until its next change, an endpoint keeps changes that are too old, so that it is not stored with each walk.
    let is_recent =
        |one: &ChangingEndpoint| one.changes.last().is_some_and(|at| now < at.plus(WINDOW));
    let mut after = Vec::with_capacity(before.len() + observed.len());
    let mut before = before.iter().peekable();
    let mut is_changed = false;
    let mut keep = |known: &Arc<ChangingEndpoint>, is_found: bool, after: &mut Vec<_>| {
        let stays = is_recent(known) && (is_found || !walk.is_complete);
        is_changed |= !stays;
        after.extend(stays.then(|| Arc::clone(known)));
    };
    let mut has_new = false;
    for endpoint in observed {
        while let Some(known) = before.next_if(|known| *known.id < *endpoint.id) {
            keep(known, false, &mut after);
        }
        let known = before.next_if(|known| *known.id == *endpoint.id);
        let group = endpoint.group.and_then(|at| groups.get(usize::from(at)));
        if group.is_some_and(|group| group.watch == Watch::Ignore) {
            has_new |= known.is_some();
        } else if endpoint.has_changed(walk) {
            has_new = true;
            let known = known.map(|known| &**known);
            after.push(Arc::new(ChangingEndpoint::with_change(
                known, endpoint, walk, group,
            )));
        } else if let Some(known) = known {
            keep(known, true, &mut after);
        }
    }
    for known in before {
        keep(known, false, &mut after);
    }
    (is_changed || has_new).then_some(after)
}

/// The endpoints of both, sorted by id, with the changes of both.
pub(super) fn union(
    first: &[Arc<ChangingEndpoint>],
    second: &[Arc<ChangingEndpoint>],
) -> Arc<[Arc<ChangingEndpoint>]> {
    let find = |all: &[Arc<ChangingEndpoint>], id: &str| {
        let found = all.binary_search_by(|one| (*one.id).cmp(id));
        found.ok().map(|at| Arc::clone(&all[at]))
    };
    let joined = first.iter().map(|one| {
        find(second, &one.id).map_or_else(
            || Arc::clone(one),
            |other| {
                let mut changes = [&*one.changes, &*other.changes].concat();
                changes.sort();
                changes.dedup();
                Arc::new(ChangingEndpoint {
                    changes: changes.into(),
                    flapping: one.flapping.clone().or_else(|| other.flapping.clone()),
                    id: one.id.clone(),
                })
            },
        )
    });
    let others = second.iter().filter(|one| find(first, &one.id).is_none());
    let mut all: Vec<_> = joined.chain(others.cloned()).collect();
    all.sort_by(|a, b| a.id.cmp(&b.id));
    all.into()
}

/// An endpoint that flaps at present, its names, and the number of its changes within the window.
pub type ShownFlapping<'a> = (&'a str, &'a Flapping, u64);

/// The endpoints that flap at present, sorted by id, and the next time at which the clock changes a number. An endpoint whose
/// group is off duty or ignored is not shown.
pub(super) fn shown<'a>(
    changing: &'a [Arc<ChangingEndpoint>],
    present: &Present<'_>,
) -> (Vec<ShownFlapping<'a>>, Option<UnixMillis>) {
    let now = present.now;
    let mut until = None;
    let flaps = |one: &'a Arc<ChangingEndpoint>| {
        let flapping = one.flapping.as_deref()?;
        let number = one.number(now);
        if number < END {
            return None;
        }
        let ends = one.changes.iter().map(|at| at.plus(WINDOW));
        until = until.into_iter().chain(ends.filter(|end| now < *end)).min();
        present.on_duty_since(&flapping.group, now)?;
        Some((&*one.id, flapping, number as u64))
    };
    let shown = changing.iter().filter_map(flaps).collect();
    (shown, until)
}
