//! Decides which losses are an outage.
//!
//! A loss is an interval: from the last walk that read the endpoint as registered to the first one that did not. A loss
//! belongs to at most one outage, ever.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use super::{
    GroupFacts, MissingEndpoint, Part, Walk,
    outage::{Begun, Member, Outage, Outages, Scope, next_slot},
};
use crate::{
    clock::UnixMillis,
    config::{self, Group, Watch},
};

/// The window of a group with times of duty, whose registrations run out one by one when its site fails.
const WINDOW_ON_DUTY: Duration = Duration::from_secs(3600);
/// The window of other groups and of accounts.
const WINDOW: Duration = Duration::from_secs(600);
/// A window has at least this many effective intervals.
const WINDOW_INTERVALS: u32 = 3;
/// Endpoints that were lost within this time count for the base.
const BASE_FOR: Duration = Duration::from_secs(4 * 3600);
/// Two outages began at the same time of the day if their times differ by at most this.
const SAME_TIME: Duration = Duration::from_secs(90 * 60);
const DAY: Duration = Duration::from_secs(24 * 3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// What decides about outages after a walk.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The walk, or the last walk before a change of the settings.
    pub walk: Walk,
    /// False after a change of the settings. It can end outages, but begins none.
    pub is_walk: bool,
    /// The configured groups.
    pub groups: &'a [Group],
    /// The facts about each group, and at last those about the endpoints without a group.
    pub facts: &'a [GroupFacts],
    /// The settings of the account.
    pub settings: config::Outage,
    /// The effective interval between two walks.
    pub interval: Duration,
    /// The first walk that listed an endpoint of the account.
    pub known_since: UnixMillis,
}

/// The outages after a walk. Notes in `missing` which endpoints belong to one.
pub(super) fn after(
    before: &Outages,
    missing: &mut [Arc<MissingEndpoint>],
    context: &Context<'_>,
) -> Outages {
    let mut judge = Judge::new(missing, context);
    let open = before.open.iter().filter_map(|one| judge.refreshed(one));
    let mut open: Vec<Outage> = open.collect();
    judge.release(&open);
    let mut pending = before.pending.to_vec();
    let mut begun = Vec::new();
    if context.is_walk {
        judge.join(&mut open);
        pending.clear();
        for scope in judge.scopes_with_criterion(&open) {
            if before.pending.contains(&scope) {
                judge.begin(scope, before, &mut open, &mut begun);
            } else {
                pending.push(scope);
            }
        }
    }
    let now = context.walk.started_at;
    let is_recent = |one: &&Begun| now.since(one.at) < WEEK + DAY;
    begun.splice(0..0, before.begun.iter().filter(is_recent).cloned());
    let same = |one: Outage| {
        let known = before.open.iter().find(|known| ***known == one);
        known.map_or_else(|| Arc::new(one), Arc::clone)
    };
    Outages {
        open: open.into_iter().map(same).collect(),
        begun: begun.into(),
        pending: pending.into(),
    }
}

/// The recent losses of one group, or of the endpoints without a group, as indices of the missing endpoints.
#[derive(Debug, Default)]
struct Losses {
    /// The number of registered endpoints, and of those that were lost within four hours.
    base: u64,
    /// The losses within the window of the group that belong to no outage or to an open one.
    of_group: Vec<usize>,
    /// Those within the window of the account.
    of_account: Vec<usize>,
}

struct Judge<'a> {
    missing: &'a mut [Arc<MissingEndpoint>],
    context: &'a Context<'a>,
    /// The index of each group by its name.
    names: HashMap<&'a str, usize>,
    /// The losses of each group, and at last those without a group.
    losses: Vec<Losses>,
}

impl<'a> Judge<'a> {
    fn new(missing: &'a mut [Arc<MissingEndpoint>], context: &'a Context<'a>) -> Self {
        let (walk, groups) = (context.walk, context.groups);
        let names = groups.iter().map(|group| &*group.name).zip(0..);
        let mut judge = Self {
            missing,
            context,
            names: names.collect(),
            losses: Vec::new(),
        };
        // Off duty, nobody expects the endpoints to be registered.
        let counts = |group: Option<&Group>, at| {
            group.is_none_or(|group| group.watch != Watch::Ignore && group.duty.is_on(at))
        };
        let is_counted: Vec<_> = (0..=groups.len())
            .map(|at| counts(groups.get(at), walk.started_at))
            .collect();
        let losses = is_counted.iter().zip(context.facts);
        let losses = losses.map(|(is_counted, facts)| Losses {
            base: if *is_counted { facts.registered } else { 0 },
            ..Losses::default()
        });
        judge.losses = losses.collect();
        // A window does not pass while no walk succeeds.
        let seen = walk.listed_before.plus(context.interval);
        let seen = seen.min(walk.started_at);
        let account_window = window(context, None);
        for (index, one) in judge.missing.iter().enumerate() {
            let scope = judge.group(&one.present_group).unwrap_or(groups.len());
            let is_expected = is_counted[scope] && counts(groups.get(scope), one.since);
            let Some(last_registered) = one.last_registered.filter(|_| is_expected) else {
                continue;
            };
            let (age, took) = (seen.since(one.since), one.since.since(last_registered));
            let losses = &mut judge.losses[scope];
            losses.base += u64::from(age <= BASE_FOR);
            let is_within =
                |window: Duration| one.part != Part::Past && age <= window && took <= window;
            if is_within(window(context, groups.get(scope))) {
                losses.of_group.push(index);
            }
            if is_within(account_window) {
                losses.of_account.push(index);
            }
        }
        judge
    }
}

impl Judge<'_> {
    fn now(&self) -> UnixMillis {
        self.context.walk.started_at
    }

    /// Whether so many losses of a scope with this base are an outage.
    #[expect(
        clippy::cast_precision_loss,
        reason = "an account has far fewer than 2^52 endpoints"
    )]
    fn is_outage(&self, losses: usize, base: u64) -> bool {
        let settings = self.context.settings;
        losses as u64 >= settings.min_endpoints && losses as f64 >= settings.share * base as f64
    }

    /// The index of the configured group with this name.
    fn group(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    fn position(&self, id: &str) -> Option<usize> {
        let found = self.missing.binary_search_by(|one| (*one.id).cmp(id));
        found.ok()
    }

    fn mark(&mut self, index: usize, part: Part) {
        if self.missing[index].part != part {
            Arc::make_mut(&mut self.missing[index]).part = part;
        }
    }

    /// Those of the `losses` that belong to no outage.
    fn free(&self, losses: &[usize]) -> Vec<usize> {
        let is_free = |index: &usize| self.missing[*index].part == Part::None;
        losses.iter().copied().filter(is_free).collect()
    }

    /// The outage with what the walk has found about its members; `None` if the outage has ended.
    fn refreshed(&self, outage: &Outage) -> Option<Outage> {
        let mut members = Vec::with_capacity(outage.members.len());
        for member in &*outage.members {
            let found = self.position(&member.id).map(|at| &self.missing[at]);
            let found = found.filter(|one| member.is_lost && one.part == outage.part());
            let Some(found) = found else {
                members.push(Member {
                    is_lost: false,
                    ..member.clone()
                });
                continue;
            };
            let has_moved = found.present_group != member.group;
            if has_moved && self.group(&member.group).is_some() {
                // It has moved to another group, and leaves the outage.
                continue;
            }
            // A group that is renamed keeps its outage.
            members.push(Member {
                group: found.present_group.clone(),
                ..member.clone()
            });
        }
        let refreshed = Outage {
            members: members.into(),
            ..outage.clone()
        };
        let (lost, recovered) = refreshed.counts();
        let has_ended = recovered >= 3 * lost || self.now() >= outage.end();
        (!has_ended).then_some(refreshed)
    }

    /// Marks the losses that belong to an open outage no longer.
    fn release(&mut self, open: &[Outage]) {
        let members = open.iter().flat_map(|outage| &*outage.members);
        let lost = members
            .filter(|member| member.is_lost)
            .map(|member| &*member.id);
        let lost: HashSet<&str> = lost.collect();
        for one in self.missing.iter_mut() {
            if matches!(one.part, Part::Open | Part::Usual) && !lost.contains(&*one.id) {
                Arc::make_mut(one).part = Part::Past;
            }
        }
    }

    /// Adds new losses to the open outages for which the criterion still holds.
    fn join(&mut self, open: &mut [Outage]) {
        // An outage of the whole account takes precedence.
        open.sort_by(|a, b| (&a.scope, a.slot).cmp(&(&b.scope, b.slot)));
        for outage in open.iter_mut().filter(|outage| outage.is_growing) {
            let (losses, base) = match &outage.scope {
                None => (self.all_of_account(), self.base()),
                Some(scope) => {
                    // A renamed group has the name that its endpoints have now.
                    let renamed = outage.lost().next().map(|member| &*member.group);
                    let group = self.group(scope).or_else(|| self.group(renamed?));
                    let losses = group.map(|at| &self.losses[at]);
                    losses.map_or((Vec::new(), 0), |one| (one.of_group.clone(), one.base))
                }
            };
            let own = losses
                .iter()
                .filter(|at| outage.has_lost(&self.missing[**at].id));
            let own = own.count();
            let new = self.free(&losses);
            outage.is_growing = self.is_outage(own + new.len(), base);
            if outage.is_growing {
                self.add(outage, &new);
            }
        }
    }

    /// The losses within the window of the account, of all groups.
    fn all_of_account(&self) -> Vec<usize> {
        let losses = self.losses.iter().flat_map(|losses| &losses.of_account);
        losses.copied().collect()
    }

    /// The base of the account.
    fn base(&self) -> u64 {
        self.losses.iter().map(|losses| losses.base).sum()
    }

    /// Adds missing endpoints to an outage.
    fn add(&mut self, outage: &mut Outage, indices: &[usize]) {
        if indices.is_empty() {
            return;
        }
        let mut members: BTreeMap<_, _> = (outage.members.iter().cloned())
            .map(|member| (member.id.clone(), member))
            .collect();
        for index in indices {
            self.mark(*index, outage.part());
            let one = &self.missing[*index];
            let member = Member {
                id: one.id.clone(),
                group: one.present_group.clone(),
                is_lost: true,
            };
            members.insert(one.id.clone(), member);
        }
        outage.members = members.into_values().collect();
    }

    /// The scopes for which losses without an outage satisfy the criterion. The account is first.
    fn scopes_with_criterion(&self, open: &[Outage]) -> Vec<Scope> {
        let groups = self.context.groups;
        let is_open = open.iter().any(|outage| outage.scope.is_none());
        let losses = self.losses.iter().map(|losses| {
            let of_account = if is_open {
                self.free(&losses.of_account).len()
            } else {
                losses.of_account.len()
            };
            (of_account, losses.base)
        });
        let losses: Vec<_> = losses.collect();
        let sum = |losses: &[(usize, u64)]| {
            losses
                .iter()
                .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
        };
        let all = sum(&losses);
        // Endpoints without a group may be anywhere, so they are never the group that lost most.
        let most = losses[..groups.len()]
            .iter()
            .max()
            .copied()
            .unwrap_or_default();
        let mut scopes = Vec::new();
        if self.is_outage(all.0, all.1) && self.is_outage(all.0 - most.0, all.1 - most.1) {
            scopes.push(None);
        }
        for (group, losses) in groups.iter().zip(&self.losses) {
            if self.is_outage(self.free(&losses.of_group).len(), losses.base) {
                scopes.push(Some(group.name.as_str().into()));
            }
        }
        scopes
    }

    /// Begins an outage of the scope with all losses that belong to none. One of the account absorbs those of groups.
    fn begin(
        &mut self,
        scope: Scope,
        before: &Outages,
        open: &mut Vec<Outage>,
        begun: &mut Vec<Begun>,
    ) {
        let now = self.now();
        let mut outage = Outage {
            slot: next_slot(open.iter(), scope.as_deref()),
            started_at: now,
            opened_at: now,
            is_major: false,
            is_usual: self.is_usual(&scope, before),
            is_growing: true,
            members: Arc::default(),
            scope,
        };
        let mut losses = match &outage.scope {
            None => self.free(&self.all_of_account()),
            Some(name) => {
                let losses = self.group(name).map(|at| &self.losses[at]);
                let free = losses.map_or_else(Vec::new, |losses| self.free(&losses.of_group));
                // An outage of the account may have taken the others.
                if !self.is_outage(free.len(), losses.map_or(0, |losses| losses.base)) {
                    return;
                }
                free
            }
        };
        if outage.scope.is_none() {
            let recent: HashSet<_> = self.all_of_account().into_iter().collect();
            let is_recent = |member: &Member| {
                let at = self.position(&member.id);
                at.is_some_and(|at| recent.contains(&at))
            };
            let (absorbed, others) = open.drain(..).partition::<Vec<Outage>, _>(|one| {
                one.scope.is_some() && one.lost().any(is_recent)
            });
            *open = others;
            let lost = absorbed.iter().flat_map(Outage::lost);
            losses.extend(lost.filter_map(|member| self.position(&member.id)));
        }
        let is_half = outage.scope.is_none() && 2 * losses.len() as u64 >= self.base();
        self.add(&mut outage, &losses);
        let times = losses.iter().map(|index| self.missing[*index].since);
        outage.started_at = times.min().unwrap_or(now);
        outage.is_major = is_half || self.is_expected(&outage);
        begun.push(Begun {
            scope: outage.scope.clone(),
            at: now,
        });
        open.push(outage);
    }

    /// Whether the scope had an outage at the same time a week before, or a day before if the account is not known for
    /// longer. The end of a shift looks like that.
    fn is_usual(&self, scope: &Scope, before: &Outages) -> bool {
        let is_new = self.now().since(self.context.known_since) < WEEK;
        let was = |period: Duration, begun: &Begun| {
            self.now().since(begun.at).abs_diff(period) <= SAME_TIME
        };
        let begun = before.begun.iter().filter(|begun| begun.scope == *scope);
        begun
            .into_iter()
            .any(|begun| was(WEEK, begun) || is_new && was(DAY, begun))
    }

    /// Whether endpoints of the outage belong to a group that is paged or has times of duty.
    fn is_expected(&self, outage: &Outage) -> bool {
        let is_expected = |member: &Member| {
            let group = self.group(&member.group).map(|at| &self.context.groups[at]);
            group.is_some_and(|group| group.watch == Watch::Page || group.duty.is_limited())
        };
        outage.members.iter().any(is_expected)
    }
}
/// The time within which endpoints are lost together, in a group or in the account.
fn window(context: &Context<'_>, group: Option<&Group>) -> Duration {
    let default = match group {
        Some(group) if group.duty.is_limited() => WINDOW_ON_DUTY,
        _ => WINDOW,
    };
    let window = context.settings.window.unwrap_or(default);
    window.max(context.interval * WINDOW_INTERVALS)
}
