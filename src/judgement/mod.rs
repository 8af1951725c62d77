//! What the exporter concludes from a walk about the endpoints and groups that operators expect.
//!
//! A judgement holds until a later walk shows its end: also while the data is withdrawn, and over restarts. Whether it is
//! shown depends on the times of duty, too, which the clock decides. All functions here are pure.

mod minimum;
mod missed;
#[cfg(test)]
mod tests;

use std::{cell::OnceCell, collections::HashMap, sync::Arc, time::Duration};

pub use minimum::{BelowMinimum, GroupFacts};
pub use missed::{MissingEndpoint, Observed};

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
}

/// A walk, as far as judgements depend on it.
#[derive(Debug, Clone, Copy)]
pub struct Walk {
    /// The time of new judgements: the start of the walk.
    pub started_at: UnixMillis,
    /// Whether the walk is known to have listed every endpoint.
    pub is_complete: bool,
    /// The end of the last walk before this one that listed the endpoints.
    pub listed_before: UnixMillis,
}

impl Judgements {
    /// The judgements after a walk. `observed` has all endpoints of its snapshot, sorted by id. `facts` are those of each
    /// of the `groups`.
    #[must_use]
    pub fn after<'a>(
        &self,
        walk: Walk,
        observed: impl Iterator<Item = Observed<'a>>,
        groups: &[Group],
        facts: &[GroupFacts],
    ) -> Self {
        let missing = missed::after(&self.missing, walk, observed, groups);
        let below_minimum = minimum::after(&self.below_minimum, walk.started_at, groups, facts);
        Self {
            missing: missing.map_or_else(|| Arc::clone(&self.missing), Into::into),
            below_minimum: below_minimum
                .map_or_else(|| Arc::clone(&self.below_minimum), Into::into),
        }
    }

    /// Whether both are known to be the same without comparing them one by one.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.missing, &other.missing)
            && Arc::ptr_eq(&self.below_minimum, &other.below_minimum)
    }

    /// The judgements without those about one endpoint, or without any.
    #[must_use]
    pub fn forgetting(&self, endpoint_id: Option<&str>) -> Self {
        let Some(id) = endpoint_id else {
            return Self::default();
        };
        let others = self.missing.iter().filter(|one| *one.id != *id);
        Self {
            missing: others.cloned().collect(),
            below_minimum: Arc::clone(&self.below_minimum),
        }
    }

    /// The judgements of both, of which `older` ones are kept for the same endpoint or group.
    #[must_use]
    pub fn continuing(&self, older: &Self) -> Self {
        Self {
            missing: missed::union(&older.missing, &self.missing),
            below_minimum: minimum::union(&older.below_minimum, &self.below_minimum),
        }
    }

    /// The judgements that are shown at a time.
    pub fn shown<'a>(&'a self, present: &Present<'a>) -> Shown<'a> {
        Shown {
            missed: missed::shown(&self.missing, present),
            below_minimum: minimum::shown(&self.below_minimum, present),
            until: missed::next_end(&self.missing, present),
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
    /// The start of the present state. The search for it is long, and most groups need none.
    since: OnceCell<Option<UnixMillis>>,
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
                since: OnceCell::new(),
            };
            (&*group.name, present)
        };
        Self {
            now,
            groups: groups.into_iter().map(group).collect(),
            last_success,
        }
    }

    /// The watched group with this name, if it is on duty. A group that is not configured is always on duty.
    fn on_duty(&self, name: &str) -> Option<OnDuty> {
        let Some(present) = self.groups.get(name) else {
            return Some(OnDuty {
                since: None,
                watch: None,
            });
        };
        let PresentGroup {
            group,
            is_on_duty,
            since,
        } = present;
        let is_watched = group.watch != Watch::Ignore;
        (*is_on_duty && is_watched).then(|| OnDuty {
            since: *since.get_or_init(|| group.duty.since(self.now)),
            watch: Some(group.watch),
        })
    }
}

/// A watched group that is on duty.
struct OnDuty {
    since: Option<UnixMillis>,
    watch: Option<Watch>,
}

impl OnDuty {
    /// The later one of `since` and the start of duty.
    fn later(&self, since: UnixMillis) -> UnixMillis {
        self.since.map_or(since, |start| start.max(since))
    }
}

/// The judgements that are shown at a time, each with the time since which it holds.
#[derive(Debug)]
pub struct Shown<'a> {
    /// The missed endpoints, sorted by id.
    pub missed: Vec<(&'a MissingEndpoint, UnixMillis)>,
    /// The groups below their minimum, with their importance.
    pub below_minimum: Vec<(&'a BelowMinimum, Watch, UnixMillis)>,
    /// The time at which a judgement ends without a walk or a change of duty.
    pub until: Option<UnixMillis>,
}
