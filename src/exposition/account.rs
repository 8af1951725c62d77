//! One account, rendered: what it shows while its picture is young enough, and what afterwards.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use tokio::time::Instant;

use super::{
    counts, endpoints,
    press::{Fragment, Press},
    walks,
    words::Standing,
};
use crate::{
    snapshot::{AccountState, Counts, Shown, Snapshot},
    telemetry::catalogue::Metric,
};

/// Fragments by family, in the order of the catalogue.
type Families = BTreeMap<Metric, Fragment>;

/// One account's fragments.
#[derive(Debug)]
pub(super) struct Rendered {
    /// For people.
    pub(super) standing: Standing,
    /// What is shown while the picture is not withheld.
    picture: Option<Arc<RenderedPicture>>,
    /// The families about walks beside a picture that is shown (or before the first one).
    walks: Families,
    /// The same beside a picture that is withheld.
    walks_withdrawn: Families,
}

/// The fragments of a picture, which are kept as long as the picture is.
#[derive(Debug)]
struct RenderedPicture {
    /// Tells whether a later state still has this picture, without keeping its endpoints in memory:
    /// the weak pointer holds only the address, so that no other picture can get it.
    of: (Weak<Snapshot>, Arc<Shown>),
    families: Families,
    samples: u64,
    counts: Counts,
}

impl Rendered {
    /// Renders a state; what the last rendering of this account already has is used again.
    pub(super) fn new(state: &AccountState, last: Option<&Self>, press: &mut Press) -> Self {
        let picture = state.picture.as_ref().map(|picture| {
            let known = last
                .and_then(|last| last.picture.as_ref())
                .filter(|known| known.is_of(picture, &state.shown));
            known.map_or_else(
                || Arc::new(RenderedPicture::new(state, picture, press)),
                Arc::clone,
            )
        });
        let samples = picture.as_ref().map_or(0, |picture| picture.samples);
        Self {
            standing: Standing::new(state, picture.as_ref().map(|picture| picture.counts)),
            walks: walks::write(state, Some(samples), press),
            walks_withdrawn: walks::write(state, None, press),
            picture,
        }
    }

    /// From when on the picture is withheld.
    pub(super) fn withdraw_at(&self) -> Option<Instant> {
        self.picture.as_ref().and(self.standing.withdraw_at)
    }

    /// What the account shows of a family at this moment.
    pub(super) fn family(&self, metric: Metric, now: Instant) -> Option<&Fragment> {
        let withdrawn = self.withdraw_at().is_some_and(|at| now >= at);
        let fragment = if withdrawn {
            self.walks_withdrawn.get(&metric)
        } else {
            let picture = self.picture.as_ref();
            let shown = picture.and_then(|picture| picture.families.get(&metric));
            shown.or_else(|| self.walks.get(&metric))
        };
        fragment.filter(|fragment| !fragment.is_empty())
    }
}

impl RenderedPicture {
    fn new(state: &AccountState, picture: &Arc<Snapshot>, press: &mut Press) -> Self {
        let (account, shown) = (&state.account, &state.shown);
        let tallies = picture.tally(shown.groups.len());
        let mut families = endpoints::write(account, shown, picture, press);
        families.append(&mut counts::write(account, shown, picture, &tallies, press));
        Self {
            of: (Arc::downgrade(picture), Arc::clone(shown)),
            samples: families.values().map(|fragment| fragment.samples).sum(),
            families,
            counts: tallies.all,
        }
    }

    fn is_of(&self, picture: &Arc<Snapshot>, shown: &Arc<Shown>) -> bool {
        std::ptr::eq(self.of.0.as_ptr(), Arc::as_ptr(picture)) && Arc::ptr_eq(&self.of.1, shown)
    }
}
