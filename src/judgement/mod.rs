//! What the exporter concludes from a walk about the endpoints and groups that operators expect.
//!
//! A judgement holds until a later walk shows its end: also while the data is withdrawn, and over restarts. Whether it is
//! shown depends on the times of duty, too, which the clock decides. All functions here are pure.

mod flapping;
mod losses;
mod minimum;
mod missed;
mod outage;
#[cfg(test)]
mod tests;

use std::{cell::Cell, collections::HashMap, sync::Arc, time::Duration};

pub use flapping::{ChangingEndpoint, Flapping, PastFlapping, ShownFlapping};
pub use losses::Context;
pub use minimum::{BelowMinimum, is_below};
pub use missed::{MissingEndpoint, Observed, Part};
pub use outage::{Begun, Member, Outage, Outages};

use crate::{
    clock::UnixMillis,
    config::{Group, Watch},
};

/// A missing endpoint is no longer missed when no walk has listed it for this time.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 3600);

/// The judgements about one account. A clone is cheap.
#[derive(Debug, Clone, Default)]
pub struct Judgements {
    /// The endpoints that are expected to be registered and are not, sorted by id.
    pub missing: Arc<[Arc<MissingEndpoint>]>,
    /// The groups with too few registered endpoints, sorted by name.
    pub below_minimum: Arc<[BelowMinimum]>,
    /// The outages of groups and of the account.
    pub outages: Outages,
    /// The endpoints whose registration has changed within the last hour, sorted by id.
    pub changing: Arc<[Arc<ChangingEndpoint>]>,
}

/// A walk, as far as judgements depend on it.
#[derive(Debug, Clone, Copy)]
pub struct Walk {
    /// The time of new judgements: the start of the walk.
    pub started_at: UnixMillis,
    /// Whether the walk has received a row for every endpoint.
    pub is_complete: bool,
    /// Whether rows were unreadable, so that their endpoints are not known.
    pub has_unreadable_rows: bool,
    /// Whether these are more rows than in the walk before.
    pub has_more_unreadable_rows: bool,
    /// The end of the last walk before this one that listed the endpoints.
    pub listed_before: UnixMillis,
}

/// The endpoints of a group, as far as judgements depend on them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupFacts {
    /// The number of endpoints.
    pub endpoints: u64,
    /// The number of endpoints whose last known registration is true.
    pub registered: u64,
    /// The least number of registered endpoints, if the group has one.
    pub min_registered: Option<u64>,
}

impl Judgements {
    /// The judgements after a walk. `observed` has all endpoints of its snapshot, sorted by id.
    #[must_use]
    pub fn after<'a>(
        &self,
        context: &Context<'_>,
        observed: impl Iterator<Item = Observed<'a>>,
    ) -> Self {
        let (walk, groups) = (context.walk, context.groups);
        let mut changing = Vec::new();
        let observed = observed.inspect(|one| {
            if one.has_changed(walk) || flapping::is_known(&self.changing, one) {
                changing.push(*one);
            }
        });
        let missing = missed::after(&self.missing, walk, observed, groups);
        let changing = flapping::after(&self.changing, walk, &changing, groups);
        let mut missing = missing.unwrap_or_else(|| self.missing.to_vec());
        let outages = losses::after(&self.outages, &mut missing, context);
        let same = missing.len() == self.missing.len()
            && missing
                .iter()
                .zip(&*self.missing)
                .all(|(new, known)| Arc::ptr_eq(new, known));
        let below = minimum::after(&self.below_minimum, walk, groups, context.facts);
        Self {
            missing: if same {
                Arc::clone(&self.missing)
            } else {
                missing.into()
            },
            below_minimum: below.map_or_else(|| Arc::clone(&self.below_minimum), Into::into),
            outages,
            changing: changing.map_or_else(|| Arc::clone(&self.changing), Into::into),
        }
    }

    /// Whether all are known to be the same without comparing them one by one.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.missing, &other.missing)
            && Arc::ptr_eq(&self.below_minimum, &other.below_minimum)
            && Arc::ptr_eq(&self.changing, &other.changing)
            && self.outages.is_same(&other.outages)
    }

    /// Whether the loss of an endpoint belongs to an open outage.
    pub fn is_in_outage(&self, endpoint_id: &str) -> bool {
        let found = self
            .missing
            .binary_search_by(|one| (*one.id).cmp(endpoint_id));
        found.is_ok_and(|at| matches!(self.missing[at].part, Part::Open | Part::Usual))
    }

    /// The judgements without those about one endpoint, or without any.
    #[must_use]
    pub fn forgetting(&self, endpoint_id: Option<&str>) -> Self {
        let Some(id) = endpoint_id else {
            return Self::default();
        };
        let others = self.missing.iter().filter(|one| *one.id != *id);
        let changing = self.changing.iter().filter(|one| *one.id != *id);
        Self {
            missing: others.cloned().collect(),
            changing: changing.cloned().collect(),
            outages: self.outages.without(id),
            ..self.clone()
        }
    }

    /// The judgements of both, of which `older` ones are kept for the same endpoint or group. `first_walk` is the start of
    /// the first walk of these judgements, if there was one.
    #[must_use]
    pub fn continuing(&self, older: &Self, first_walk: Option<UnixMillis>) -> Self {
        Self {
            missing: missed::union(&older.missing, &self.missing),
            below_minimum: minimum::union(&older.below_minimum, &self.below_minimum, first_walk),
            outages: older.outages.with(&self.outages),
            changing: flapping::union(&older.changing, &self.changing),
        }
    }

    /// The judgements that are shown at a time.
    pub fn shown<'a>(&'a self, present: &Present<'a>) -> Shown<'a> {
        let open = self.outages.open.iter().map(|outage| &**outage);
        let (outages, expired): (Vec<&Outage>, Vec<&Outage>) =
            open.partition(|outage| present.now < outage.end());
        let expired = expired.into_iter().flat_map(Outage::lost);
        let expired = expired.map(|member| &*member.id).collect();
        let ends = outages.iter().map(|outage| outage.end());
        let (flapping, next_number) = flapping::shown(&self.changing, present);
        let ends = ends.chain(next_number);
        let until = ends.chain(missed::next_end(&self.missing, present)).min();
        Shown {
            flapping,
            missed: missed::shown(&self.missing, &expired, present),
            below_minimum: minimum::shown(&self.below_minimum, &outages, present),
            outages,
            until,
        }
    }
}

/// What decides which judgements are shown.
#[derive(Debug)]
pub struct Present<'a> {
    /// The wall time.
    pub now: UnixMillis,
    /// The configured groups by name.
    groups: HashMap<&'a str, PresentGroup<'a>>,
    /// The end of the last published walk; `None` if no walk was ever published.
    last_success: Option<UnixMillis>,
}

/// A configured group at a time.
#[derive(Debug)]
struct PresentGroup<'a> {
    group: &'a Group,
    is_on_duty: bool,
    /// The start of duty, and the time before which it was not searched. A search is long if duty began long ago.
    start: Cell<(Option<UnixMillis>, UnixMillis)>,
}

impl<'a> Present<'a> {
    /// The state of the `groups` at the time `now`.
    pub fn new(
        now: UnixMillis,
        groups: impl IntoIterator<Item = &'a Group>,
        last_success: Option<UnixMillis>,
    ) -> Self {
        let group = |group: &'a Group| {
            let present = PresentGroup {
                group,
                is_on_duty: group.duty.is_on(now),
                start: Cell::new((None, now)),
            };
            (&*group.name, present)
        };
        Self {
            now,
            groups: groups.into_iter().map(group).collect(),
            last_success,
        }
    }

    /// The configured group with this name.
    fn watched(&self, name: &str) -> Option<&'a Group> {
        self.groups.get(name).map(|present| present.group)
    }

    /// Since when a judgement about the group holds that would hold `since` this time without times of duty: the later one
    /// of this time and the start of duty. `None` if the group is off duty or not watched. A group that is not configured
    /// is always on duty.
    fn on_duty_since(&self, name: &str, since: UnixMillis) -> Option<UnixMillis> {
        let Some(present) = self.groups.get(name) else {
            return Some(since);
        };
        if !present.is_on_duty || present.group.watch == Watch::Ignore {
            return None;
        }
        let (mut start, searched) = present.start.get();
        if start.is_none() && since < searched {
            start = present.group.duty.last_change(searched, since);
            present.start.set((start, since));
        }
        Some(start.map_or(since, |start| start.max(since)))
    }
}

/// The judgements that are shown at a time, each with the time since which it holds.
#[derive(Debug)]
pub struct Shown<'a> {
    /// The missed endpoints, sorted by id.
    pub missed: Vec<(&'a MissingEndpoint, UnixMillis)>,
    /// The groups below their minimum, with their importance.
    pub below_minimum: Vec<(&'a BelowMinimum, Watch, UnixMillis)>,
    /// The open outages.
    pub outages: Vec<&'a Outage>,
    /// The endpoints that flap, sorted by id.
    pub flapping: Vec<ShownFlapping<'a>>,
    /// The time at which a judgement ends without a walk or a change of duty.
    pub until: Option<UnixMillis>,
}
