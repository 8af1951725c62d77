//! Equal questions that come together are one request, and a request for nobody is none.

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};

use super::{
    outcome::{Outcome, ProbeError},
    progress::{Progress, Stage},
};

/// The account, by its number, and the endpoint's id.
type Key = (usize, String);

type Landing = BoxFuture<'static, Arc<Outcome>>;

/// A request on behalf of everybody who holds one of these. When the last is dropped, the request
/// is given up.
#[derive(Debug, Clone)]
pub(super) struct Flight {
    /// Its end, which all of them wait for.
    pub(super) landing: Shared<Landing>,
    pub(super) progress: Arc<Progress>,
}

/// The flights under way. As many as there are probes at most; each leaves when it ends or is given up.
#[derive(Debug, Default)]
pub(super) struct Flights {
    under_way: Arc<UnderWay>,
    count: AtomicU64,
}

#[derive(Debug, Default)]
struct UnderWay(Mutex<HashMap<Key, Known>>);

#[derive(Debug)]
struct Known {
    number: u64,
    /// Weak, so that nobody flies because of this list.
    landing: WeakShared<Landing>,
    progress: Arc<Progress>,
}

/// Takes its flight off the list when it is dropped.
struct Entry {
    under_way: Arc<UnderWay>,
    key: Key,
    number: u64,
}

impl Flights {
    /// The flight under way with this key (then `true`), or a new one that does what `begin` says. Nothing
    /// happens until somebody waits for it.
    pub(super) fn join<F>(&self, key: Key, begin: impl FnOnce(Arc<Progress>) -> F) -> (Flight, bool)
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let mut flights = self.under_way.lock();
        let known = flights.get(&key).and_then(Known::flight);
        // One that has landed is news of the past.
        if let Some(flight) = known.as_ref()
            && flight.landing.peek().is_none()
        {
            let flight = flight.clone();
            drop(flights);
            return (flight, true);
        }
        let progress = Arc::new(Progress::new());
        let entry = Entry {
            under_way: Arc::clone(&self.under_way),
            key: key.clone(),
            number,
        };
        let work = begin(Arc::clone(&progress));
        let watched = Arc::clone(&progress);
        let landing = async move {
            let _entry = entry;
            let outcome = AssertUnwindSafe(work).catch_unwind().await;
            watched.enter(Stage::Landed);
            Arc::new(outcome.unwrap_or_else(|_| Err(ProbeError::bug())))
        };
        let landing = landing.boxed().shared();
        let new = Known {
            number,
            landing: landing.downgrade().expect("it has not been waited for"),
            progress: Arc::clone(&progress),
        };
        flights.insert(key, new);
        // What is dropped behind this line may take an entry off the list.
        drop(flights);
        drop(known);
        (Flight { landing, progress }, false)
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.under_way.lock().len()
    }
}

impl UnderWay {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn flight(&self) -> Option<Flight> {
        Some(Flight {
            landing: self.landing.upgrade()?,
            progress: Arc::clone(&self.progress),
        })
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut flights = self.under_way.lock();
        // A successor with the same key stays.
        if flights
            .get(&self.key)
            .is_some_and(|known| known.number == self.number)
        {
            flights.remove(&self.key);
        }
    }
}
