//! Whose record is wanted, and whose tells the most: no requests, no waiting.
//!
//! The order: endpoints that just turned registered; those whose last record contradicted the list;
//! those of which no record is known; then, of those that are too old, those whose known expiry has
//! passed or is nearest before the oldest; at last those that were asked in vain. What is fresh is
//! left alone, but where nobody waits, fresh records are renewed once the expiry they told has passed.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    clock::UnixMillis,
    config::DetailMode,
    snapshot::{Detail, Details, EndpointView, Snapshot},
};

/// Why an endpoint's record is wanted; what stands first goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// The last walk found it registered and the one before did not.
    Turned,
    /// Its last record contradicted the list.
    Disagreed,
    /// No record is known.
    Unknown,
    /// The expiry that its record told has passed or comes first.
    Expiring(UnixMillis),
    /// Retrieved this long ago.
    Old(UnixMillis),
    /// Asked in vain before: after everybody else, or those who never answer would use up the budget.
    InVain(Instant),
}

/// Why an attempt brought no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Miss {
    /// The record contradicted the list.
    Disagreed,
    /// It is gone, or the request failed.
    Failed,
}

/// An endpoint whose last attempts brought nothing.
#[derive(Debug)]
struct Missed {
    why: Miss,
    /// Attempts in a row.
    times: u32,
    at: Instant,
}

/// The endpoints of one account whose records are wanted.
#[derive(Debug)]
pub(super) struct DetailQueue {
    mode: DetailMode,
    max_age: Duration,
    interval: Duration,
    /// The snapshot that the numbers below count in; none while nobody is asked.
    snapshot: Option<Arc<Snapshot>>,
    wanted: u64,
    /// Whoever may be asked now.
    queue: BTreeSet<(Rank, u32)>,
    /// Whose record is fresh, the first to be too old in front.
    fresh: BTreeSet<Fresh>,
    /// Of these, those whose expiry passes before: by when it does.
    lapsing: BTreeSet<(Instant, Fresh)>,
    /// Who was asked in vain too often, and is left alone until then.
    left_alone: BTreeSet<(Instant, u32)>,
    /// Who just turned registered and was not asked since.
    turned: HashSet<Arc<str>>,
    missed: HashMap<Arc<str>, Missed>,
    /// Who is being asked, and why.
    asked: HashMap<Arc<str>, Asked>,
}

/// An endpoint whose record is fresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Fresh {
    until: Instant,
    /// What it is worth afterwards.
    rank: Rank,
    number: u32,
    /// When the expiry that it told has passed, if that is before.
    lapses: Option<Instant>,
}

/// What an endpoint was when it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// It had just turned registered.
    Turned,
    /// Its record is still fresh.
    Fresh,
    Other,
}

impl DetailQueue {
    /// Nobody is wanted yet. A record is fresh for `max_age`; `interval` is the time between walks.
    pub(super) fn new(mode: DetailMode, max_age: Duration, interval: Duration) -> Self {
        Self {
            mode,
            max_age,
            interval,
            snapshot: None,
            wanted: 0,
            queue: BTreeSet::new(),
            fresh: BTreeSet::new(),
            lapsing: BTreeSet::new(),
            left_alone: BTreeSet::new(),
            turned: HashSet::new(),
            missed: HashMap::new(),
            asked: HashMap::new(),
        }
    }

    /// Endpoints of the snapshot.
    pub(super) fn endpoints(&self) -> u32 {
        let endpoints = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.len());
        u32::try_from(endpoints).unwrap_or(u32::MAX)
    }

    /// Endpoints whose records are wanted.
    pub(super) fn wanted(&self) -> u64 {
        self.wanted
    }

    /// Of these, those whose record is missing or too old.
    pub(super) fn pending(&mut self) -> u64 {
        self.ripen();
        let renewed = self.asked.values().filter(|why| **why == Asked::Fresh);
        let fresh = self.fresh.len() + renewed.count();
        self.wanted.saturating_sub(fresh as u64)
    }

    /// Nobody is asked until the next snapshot. Whose record is fresh is still known, for those who count.
    pub(super) fn close(&mut self) {
        self.snapshot = None;
        self.queue.clear();
        self.left_alone.clear();
    }

    /// Begins anew with a snapshot and the one before it.
    pub(super) fn open(
        &mut self,
        snapshot: &Arc<Snapshot>,
        before: Option<&Snapshot>,
        details: &Details,
    ) {
        self.close();
        self.fresh.clear();
        self.lapsing.clear();
        self.snapshot = Some(Arc::clone(snapshot));
        self.wanted = 0;
        let mut old = before.map(|before| before.endpoints().peekable());
        let (mut turned, mut missed) = (HashSet::new(), HashMap::new());
        for (number, row) in (0..).zip(snapshot.endpoints()) {
            let was_registered = old.as_mut().is_none_or(|old| {
                while old.next_if(|one| one.id < row.id).is_some() {}
                let same = old.next_if(|one| one.id == row.id);
                same.is_some_and(|one| one.registered == Some(true))
            });
            if !self.wants(&row) {
                continue;
            }
            self.wanted += 1;
            if let Some(id) = self.turned.take(row.id) {
                turned.insert(id);
            } else if !was_registered {
                turned.insert(row.id.into());
            }
            if let Some((id, miss)) = self.missed.remove_entry(row.id)
                && was_registered
            {
                missed.insert(id, miss);
            }
            if !self.asked.contains_key(row.id) {
                let is_turned = turned.contains(row.id);
                let miss = missed.get(row.id);
                self.place(number, is_turned, miss, details.get(row.id));
            }
        }
        self.turned = turned;
        self.missed = missed;
    }

    /// Is the record of this endpoint wanted?
    pub(super) fn wants(&self, row: &EndpointView<'_>) -> bool {
        row.registered == Some(true)
            && match self.mode {
                DetailMode::Auto => row.expires_at.is_none(),
                DetailMode::Always => true,
                DetailMode::Never => false,
            }
    }

    /// Puts an endpoint where it belongs.
    fn place(
        &mut self,
        number: u32,
        is_turned: bool,
        miss: Option<&Missed>,
        detail: Option<&Detail>,
    ) {
        let rank = detail.map_or(Rank::Unknown, rank);
        match (miss, detail) {
            _ if is_turned => {
                self.queue.insert((Rank::Turned, number));
            }
            // One that was asked in vain again waits as long as a record stays fresh, so that a
            // vendor who always answers so does not take the budget from the others.
            (Some(miss), _) if miss.times > 1 => {
                self.left_alone.insert((miss.at + self.max_age, number));
            }
            (Some(miss), _) if miss.why == Miss::Disagreed => {
                self.queue.insert((Rank::Disagreed, number));
            }
            (_, Some(detail)) => {
                let until = detail.retrieved + self.max_age;
                let lapses = lapse(detail, self.interval).filter(|lapse| *lapse < until);
                let fresh = Fresh {
                    until,
                    rank,
                    number,
                    lapses,
                };
                self.fresh.insert(fresh);
                self.lapsing.extend(lapses.map(|at| (at, fresh)));
            }
            (Some(miss), None) => {
                self.queue.insert((Rank::InVain(miss.at), number));
            }
            (None, None) => {
                self.queue.insert((rank, number));
            }
        }
    }

    /// Moves into the queue who is not fresh, or was left alone for long enough.
    fn ripen(&mut self) {
        let now = Instant::now();
        while let Some(&fresh) = self.fresh.first()
            && fresh.until <= now
        {
            self.forget(fresh);
            self.queue.insert((fresh.rank, fresh.number));
        }
        while let Some(&(due, number)) = self.left_alone.first()
            && due <= now
        {
            self.left_alone.pop_first();
            self.queue.insert((Rank::InVain(due), number));
        }
    }

    fn forget(&mut self, fresh: Fresh) {
        self.fresh.remove(&fresh);
        if let Some(at) = fresh.lapses {
            self.lapsing.remove(&(at, fresh));
        }
    }

    /// When somebody is next to be asked, perhaps already; `None` without anybody.
    pub(super) fn next(&self) -> Option<Instant> {
        self.snapshot.as_ref()?;
        if !self.queue.is_empty() {
            return Some(Instant::now());
        }
        let fresh = self.fresh.first().map(|first| first.until);
        let lapsing = self.lapsing.first().map(|first| first.0);
        let left_alone = self.left_alone.first().map(|first| first.0);
        [fresh, lapsing, left_alone].into_iter().flatten().min()
    }

    /// Whoever tells the most now; to be followed by [`Self::found`], [`Self::missed`] or
    /// [`Self::put_back`].
    pub(super) fn take(&mut self) -> Option<Arc<str>> {
        self.ripen();
        let (number, is_fresh) = match self.queue.pop_first() {
            Some((_, number)) => (number, false),
            None => (self.renew()?, true),
        };
        let id: Arc<str> = self.snapshot.as_ref()?.at(number)?.id.into();
        let why = if self.turned.remove(&id) {
            Asked::Turned
        } else if is_fresh {
            Asked::Fresh
        } else {
            Asked::Other
        };
        self.asked.insert(Arc::clone(&id), why);
        Some(id)
    }

    /// Whose fresh record told the expiry that has passed first.
    fn renew(&mut self) -> Option<u32> {
        let now = Instant::now();
        let (_, fresh) = *self.lapsing.first().filter(|(at, _)| *at <= now)?;
        self.forget(fresh);
        Some(fresh.number)
    }

    /// The row of an endpoint that was asked, if its record is still wanted.
    pub(super) fn row(&self, id: &str) -> Option<EndpointView<'_>> {
        let snapshot = self.snapshot.as_ref()?;
        snapshot.endpoint(id).filter(|row| self.wants(row))
    }

    /// An endpoint's record has arrived and is kept.
    pub(super) fn found(&mut self, id: &str, detail: &Detail) {
        self.asked.remove(id);
        self.missed.remove(id);
        if let Some(number) = self.number(id) {
            self.place(number, false, None, Some(detail));
        }
    }

    /// An attempt has brought nothing; the endpoint is not asked again before the next walk. One that
    /// had just turned registered keeps its place for a second attempt.
    pub(super) fn missed(&mut self, id: Arc<str>, why: Miss) {
        let is_turned = self.asked.remove(&id) == Some(Asked::Turned);
        if is_turned && !self.missed.contains_key(&id) {
            self.turned.insert(Arc::clone(&id));
        }
        if self.row(&id).is_none() {
            return;
        }
        let at = Instant::now();
        let missed = self.missed.entry(id);
        let missed = missed.or_insert(Missed { why, times: 0, at });
        *missed = Missed {
            why,
            times: missed.times + 1,
            at,
        };
    }

    /// The attempt says nothing about the endpoint: it is asked again when it can be.
    pub(super) fn put_back(&mut self, id: &str, detail: Option<&Detail>) {
        let asked = self.asked.remove_entry(id);
        let is_turned = asked.as_ref().is_some_and(|(_, why)| *why == Asked::Turned);
        if let Some(number) = self.number(id) {
            let rank = match detail {
                _ if is_turned => Rank::Turned,
                Some(detail) => rank(detail),
                None => Rank::Unknown,
            };
            self.queue.insert((rank, number));
        }
        self.turned
            .extend(asked.filter(|_| is_turned).map(|(id, _)| id));
    }

    fn number(&self, id: &str) -> Option<u32> {
        let snapshot = self.snapshot.as_ref()?;
        self.row(id)?;
        snapshot.number(id)
    }
}

/// What an endpoint's known record makes of it among those that wait.
fn rank(detail: &Detail) -> Rank {
    match usable_expiry(detail) {
        Some(expiry) => Rank::Expiring(expiry),
        None => Rank::Old(detail.retrieved_at),
    }
}

/// An expiry that had passed when it was read tells nothing about when to read again.
fn usable_expiry(detail: &Detail) -> Option<UnixMillis> {
    detail
        .expires_at
        .filter(|expiry| *expiry > detail.retrieved_at)
}

/// When the expiry that a record told has passed: not less than an `interval` after it was read, lest
/// short registrations take the budget from the others.
fn lapse(detail: &Detail, interval: Duration) -> Option<Instant> {
    let lasts = usable_expiry(detail)?.since(detail.retrieved_at);
    Some(detail.retrieved + lasts.max(interval))
}
