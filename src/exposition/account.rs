//! One account, rendered: what it shows while its snapshot is young enough, and what afterwards.

use std::sync::{Arc, Weak};

use tokio::time::Instant;

use super::{
    counts,
    endpoints::{self, Families},
    press::{Fragment, Press},
    walks,
    words::Standing,
};
use crate::{
    snapshot::{AccountState, Counts, Details, Shown, Snapshot},
    telemetry::catalogue::Metric,
};

/// One account's fragments.
#[derive(Debug)]
pub(super) struct Rendered {
    /// For people.
    pub(super) standing: Standing,
    /// What is shown while the snapshot is not withheld.
    snapshot: Option<Arc<RenderedSnapshot>>,
    /// The families about walks beside a snapshot that is shown (or before the first one).
    walks: Families,
    /// The same beside a snapshot that is withheld.
    walks_withdrawn: Families,
}

/// The fragments of a snapshot, which are kept as long as the snapshot is.
#[derive(Debug)]
struct RenderedSnapshot {
    /// Tells whether a later state still has this snapshot, without keeping its endpoints in memory:
    /// the weak pointer holds only the address, so that no other snapshot can get it.
    of: (Weak<Snapshot>, Arc<Shown>),
    /// What the list alone feeds: kept while only details change.
    listed: Arc<Families>,
    /// What the details feed, too, and which details those are.
    detailed: (Weak<Details>, Families),
    samples: u64,
    counts: Counts,
}

impl Rendered {
    /// Renders a state; what the last rendering of this account already has is used again.
    pub(super) fn new(state: &AccountState, last: Option<&Self>, press: &mut Press) -> Self {
        #[cfg(test)]
        assert_ne!(state.failure, Some("rendering panics"), "for a test");
        let last = last.and_then(|last| last.snapshot.as_ref());
        let snapshot = state.snapshot.as_ref().map(|snapshot| {
            match last.filter(|known| known.is_of(snapshot, &state.shown)) {
                Some(known) if known.has(&state.details) => Arc::clone(known),
                Some(known) => Arc::new(known.with_details(state, snapshot, press)),
                None => Arc::new(RenderedSnapshot::new(state, snapshot, press)),
            }
        });
        let samples = snapshot.as_ref().map_or(0, |snapshot| snapshot.samples);
        Self {
            standing: Standing::new(state, snapshot.as_ref().map(|snapshot| snapshot.counts)),
            walks: walks::write(state, Some(samples), press),
            walks_withdrawn: walks::write(state, None, press),
            snapshot,
        }
    }

    /// From when on the snapshot is withheld.
    pub(super) fn withdraw_at(&self) -> Option<Instant> {
        self.snapshot.as_ref().and(self.standing.withdraw_at)
    }

    /// What the account shows of a family at this moment.
    pub(super) fn family(&self, metric: Metric, now: Instant) -> Option<&Fragment> {
        let withdrawn = self.withdraw_at().is_some_and(|at| now >= at);
        let fragment = if withdrawn {
            self.walks_withdrawn.get(&metric)
        } else {
            let snapshot = self.snapshot.as_ref();
            let shown = snapshot.and_then(|snapshot| snapshot.family(metric));
            shown.or_else(|| self.walks.get(&metric))
        };
        fragment.filter(|fragment| !fragment.is_empty())
    }
}

impl RenderedSnapshot {
    fn new(state: &AccountState, snapshot: &Arc<Snapshot>, press: &mut Press) -> Self {
        let (account, shown) = (&state.account, &state.shown);
        let tallies = snapshot.tally(shown.groups.len());
        let mut listed = endpoints::write(account, shown, snapshot, press);
        listed.append(&mut counts::write(
            account, shown, snapshot, &tallies, press,
        ));
        let of = (Arc::downgrade(snapshot), Arc::clone(shown));
        Self::complete(of, Arc::new(listed), tallies.all, state, snapshot, press)
    }

    /// The same snapshot beside other details.
    fn with_details(&self, state: &AccountState, snapshot: &Snapshot, press: &mut Press) -> Self {
        let (of, listed) = (self.of.clone(), Arc::clone(&self.listed));
        Self::complete(of, listed, self.counts, state, snapshot, press)
    }

    fn complete(
        of: (Weak<Snapshot>, Arc<Shown>),
        listed: Arc<Families>,
        counts: Counts,
        state: &AccountState,
        snapshot: &Snapshot,
        press: &mut Press,
    ) -> Self {
        let (account, shown, details) = (&state.account, &state.shown, &state.details);
        let detailed = endpoints::write_detailed(account, shown, snapshot, details, press);
        let fragments = listed.values().chain(detailed.values());
        Self {
            of,
            samples: fragments.map(|fragment| fragment.samples).sum(),
            detailed: (Arc::downgrade(details), detailed),
            listed,
            counts,
        }
    }

    fn family(&self, metric: Metric) -> Option<&Fragment> {
        let detailed = self.detailed.1.get(&metric);
        detailed.or_else(|| self.listed.get(&metric))
    }

    fn has(&self, details: &Arc<Details>) -> bool {
        std::ptr::eq(self.detailed.0.as_ptr(), Arc::as_ptr(details))
    }

    fn is_of(&self, snapshot: &Arc<Snapshot>, shown: &Arc<Shown>) -> bool {
        std::ptr::eq(self.of.0.as_ptr(), Arc::as_ptr(snapshot)) && Arc::ptr_eq(&self.of.1, shown)
    }
}
