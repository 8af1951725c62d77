//! Outages: many endpoints of a group, or of an account, that lost their registrations within a short time.

use std::{collections::HashSet, sync::Arc, time::Duration};

use super::Part;
use crate::clock::UnixMillis;

/// An outage ends after this time in any case.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The outages of an account.
#[derive(Debug, Clone, Default)]
pub struct Outages {
    /// The open outages.
    pub open: Arc<[Arc<Outage>]>,
    /// The beginnings of the outages of the last eight days, open ones included.
    pub begun: Arc<[Begun]>,
    /// The scopes for which the criterion held at the last walk, without an outage yet. A scope is as [`Outage::scope`].
    pub pending: Arc<[Option<Box<str>>]>,
}

impl Outages {
    /// Whether both have the same outages, without comparing their members one by one.
    pub fn is_same(&self, other: &Self) -> bool {
        let pairs = self.open.iter().zip(&*other.open);
        self.open.len() == other.open.len()
            && pairs
                .into_iter()
                .all(|(one, other)| Arc::ptr_eq(one, other))
            && self.begun == other.begun
            && self.pending == other.pending
    }

    /// The open outages that are not among those `before`.
    pub fn begun_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = &'a Arc<Outage>> {
        let is_new = |outage: &&Arc<Outage>| before.find(outage).is_none();
        self.open.iter().filter(is_new)
    }

    /// The same outage as `outage`, before or after a change.
    pub fn find(&self, outage: &Outage) -> Option<&Arc<Outage>> {
        let key = |one: &Outage| (one.opened_at, one.slot);
        let is_same = |one: &&Arc<Outage>| key(one) == key(outage) && one.scope == outage.scope;
        self.open.iter().find(is_same)
    }

    /// These outages and those of `newer`, with other slots and without members that these outages have.
    #[must_use]
    pub(super) fn with(&self, newer: &Self) -> Self {
        let members = self.open.iter().flat_map(|outage| outage.lost());
        let known: HashSet<&str> = members.map(|member| &*member.id).collect();
        let mut open = self.open.to_vec();
        for outage in newer.open.iter().filter(|one| self.find(one).is_none()) {
            let others = outage
                .members
                .iter()
                .filter(|one| !known.contains(&*one.id));
            open.push(Arc::new(Outage {
                slot: next_slot(open.iter().map(|one| &**one), outage.scope.as_deref()),
                members: others.cloned().collect(),
                ..Outage::clone(outage)
            }));
        }
        let mut begun = self.begun.to_vec();
        begun.extend(
            newer
                .begun
                .iter()
                .filter(|one| !self.begun.contains(one))
                .cloned(),
        );
        begun.sort_by_key(|one| one.at);
        Self {
            open: open.into(),
            begun: begun.into(),
            pending: Arc::clone(&newer.pending),
        }
    }

    /// The outages without one endpoint.
    pub(super) fn without(&self, endpoint_id: &str) -> Self {
        let has = |outage: &Outage| outage.members.iter().any(|one| *one.id == *endpoint_id);
        let open = self.open.iter().map(|outage| {
            if !has(outage) {
                return Arc::clone(outage);
            }
            let others = outage.members.iter().filter(|one| *one.id != *endpoint_id);
            Arc::new(Outage {
                members: others.cloned().collect(),
                ..Outage::clone(outage)
            })
        });
        Self {
            open: open.collect(),
            ..self.clone()
        }
    }

    /// The outages that were stored.
    pub fn stored(open: Vec<Outage>, begun: Vec<Begun>, pending: Vec<Option<Box<str>>>) -> Self {
        Self {
            open: open.into_iter().map(Arc::new).collect(),
            begun: begun.into(),
            pending: pending.into(),
        }
    }
}

/// The name of a group; `None` for the whole account.
pub(super) type Scope = Option<Box<str>>;

/// An open outage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// The group that lost its endpoints, by its name at the beginning; `None` for the whole account.
    pub scope: Option<Box<str>>,
    /// Distinguishes the open outages of a scope, from 1.
    pub slot: u32,
    /// The first loss.
    pub started_at: UnixMillis,
    /// The walk that found the outage.
    pub opened_at: UnixMillis,
    /// Whether endpoints were lost that are expected, or at least half of the account.
    pub is_major: bool,
    /// Whether the same scope had an outage at the same time a week or a day before.
    pub is_usual: bool,
    /// Whether new losses belong to the outage: the criterion has held at each walk since the beginning.
    pub is_growing: bool,
    /// The endpoints, sorted by id.
    pub members: Arc<[Member]>,
}

/// An endpoint of an outage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The endpoint id.
    pub id: Box<str>,
    /// The name of its group at the loss, or "".
    pub group: Box<str>,
    /// False after the endpoint has registered again or is gone from the list.
    pub is_lost: bool,
}

/// The beginning of an outage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// As [`Outage::scope`].
    pub scope: Option<Box<str>>,
    /// As [`Outage::opened_at`].
    pub at: UnixMillis,
}

impl Outage {
    /// The number of members that are lost, and of those that are not any more.
    pub fn counts(&self) -> (u64, u64) {
        let lost = self.lost().count() as u64;
        (lost, self.members.len() as u64 - lost)
    }

    /// The time at which the outage ends in any case.
    pub(super) fn end(&self) -> UnixMillis {
        self.opened_at.plus(LONGEST)
    }

    /// The members that are lost.
    pub(super) fn lost(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.is_lost)
    }

    /// Whether this endpoint is a lost member.
    pub(super) fn has_lost(&self, id: &str) -> bool {
        let found = self.members.binary_search_by(|member| (*member.id).cmp(id));
        found.is_ok_and(|at| self.members[at].is_lost)
    }

    pub(super) fn part(&self) -> Part {
        if self.is_usual {
            Part::Usual
        } else {
            Part::Open
        }
    }
}
/// A slot that no outage of the scope has.
pub(super) fn next_slot<'a>(open: impl Iterator<Item = &'a Outage>, scope: Option<&str>) -> u32 {
    let same = open.filter(|one| one.scope.as_deref() == scope);
    same.map(|one| one.slot).max().unwrap_or(0) + 1
}
