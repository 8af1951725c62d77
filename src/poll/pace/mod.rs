//! The rate limiter: one per vendor and auth id, evenly spaced.
//!
//! Written here rather than taken from a crate because its promises are ours: in any T seconds at
//! most `rate x T + 1` requests start, whoever makes them; a wait that is given up costs nobody a
//! turn; a pause the vendor asked for holds for everybody; what can wait never takes a turn from a
//! walk; and its clock can be paused in tests.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex as StdMutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Mutex, OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep_until},
};
use url::Url;

/// Hands out turns to send a request.
#[derive(Debug)]
pub struct Pace {
    /// Time between two requests; zero when the limiter is off.
    gap: Duration,
    /// When the next request may start. Whoever holds the lock is next in line.
    next: Mutex<Instant>,
    /// The vendor wants no request before this.
    paused_until: StdMutex<Option<Instant>>,
    /// Walks under way at this pace.
    walks: watch::Sender<usize>,
    slots: Slots,
}

/// Requests in flight over the whole process.
#[derive(Debug, Clone)]
struct Slots {
    all: Arc<Semaphore>,
    /// The part of them that requests may retention which can wait.
    spare: Arc<Semaphore>,
}

impl Slots {
    fn new(in_flight: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(in_flight)),
            // One place at least is never spare: a request that hangs must not retention up walks.
            spare: Arc::new(Semaphore::new((in_flight / 4).max(1).min(in_flight - 1))),
        }
    }
}

/// A walk is under way, until this is dropped.
#[derive(Debug)]
pub struct Walking<'a>(&'a Pace);

impl Drop for Walking<'_> {
    fn drop(&mut self) {
        self.0.walks.send_modify(|walks| *walks -= 1);
    }
}

/// The right to make one request, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    _permits: [Option<OwnedSemaphorePermit>; 2],
    /// Time waited.
    pub waited: Waited,
}

/// Time that requests waited before they were sent, by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waited {
    /// For the rate limiter, and for requests before this one.
    pub limiter: Duration,
    /// For one of the requests that the process may have in flight.
    pub in_flight: Duration,
    /// For the end of a pause that the vendor asked for.
    pub vendor: Duration,
}

impl std::ops::AddAssign for Waited {
    fn add_assign(&mut self, more: Self) {
        self.limiter += more.limiter;
        self.in_flight += more.in_flight;
        self.vendor += more.vendor;
    }
}

/// The vendor wants no request before this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paused(pub Instant);

impl Pace {
    /// A pace of `rate` requests per second (`None`: unlimited) with at most `in_flight` at once, which
    /// shares nothing with others.
    pub fn new(rate: Option<f64>, in_flight: usize) -> Self {
        Self::sharing(rate, Slots::new(in_flight))
    }

    fn sharing(rate: Option<f64>, slots: Slots) -> Self {
        let gap = rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate));
        Self {
            gap,
            next: Mutex::new(Instant::now()),
            paused_until: StdMutex::new(None),
            walks: watch::Sender::new(0),
            slots,
        }
    }

    /// Requests per second; `None` when the limiter is off.
    pub fn rate(&self) -> Option<f64> {
        (!self.gap.is_zero()).then(|| 1.0 / self.gap.as_secs_f64())
    }

    /// How long `requests` take at this pace.
    pub fn time_for(&self, requests: u64) -> Duration {
        self.gap
            .saturating_mul(u32::try_from(requests).unwrap_or(u32::MAX))
    }

    /// Waits for the right to make one request now.
    ///
    /// # Errors
    /// The vendor has asked for a pause that lasts longer than `longest_pause` from now.
    pub async fn turn(&self, longest_pause: Duration) -> Result<Turn, Paused> {
        let mut waited = Waited::default();
        loop {
            let begun = Instant::now();
            if let Some(end) = self.pause() {
                if end > begun + longest_pause {
                    return Err(Paused(end));
                }
                sleep_until(end).await;
                waited.vendor += begun.elapsed();
                continue;
            }
            let mut next = self.next.lock().await;
            sleep_until(*next).await;
            waited.limiter += begun.elapsed();
            let allowed = Instant::now();
            let permit = slot(&self.slots.all).await;
            waited.in_flight += allowed.elapsed();
            // Somebody may have been told to pause while this one waited.
            if self.pause().is_some() {
                continue;
            }
            // Counted from the moment of leaving, so that a late timer never brings two requests
            // closer together than the gap.
            *next = Instant::now() + self.gap;
            return Ok(Turn {
                _permits: [Some(permit), None],
                waited,
            });
        }
    }

    /// Begins a walk: while it lasts, nobody gets a [`Self::spare_turn`].
    pub fn walking(&self) -> Walking<'_> {
        self.walks.send_modify(|walks| *walks += 1);
        Walking(self)
    }

    /// Waits for the right to make one request that can wait: between walks, after pauses, and
    /// within the spare part of the process's slots. May be given up at any time.
    pub async fn spare_turn(&self) -> Turn {
        let mut walks = self.walks.subscribe();
        loop {
            if let Some(end) = self.pause() {
                sleep_until(end).await;
                continue;
            }
            // The sender is this pace's own, so it is still there.
            let _ = walks.wait_for(|walks| *walks == 0).await;
            tokio::select! {
                turn = self.spare_turn_now() => if let Some(turn) = turn {
                    return turn;
                },
                // The lock is let go of at once, for the walk to take.
                _ = walks.wait_for(|walks| *walks > 0) => {}
            }
        }
    }

    async fn spare_turn_now(&self) -> Option<Turn> {
        // The limiter first, without the lock: a place is not retained while others could use it.
        let start = *self.next.lock().await;
        sleep_until(start).await;
        let spare = slot(&self.slots.spare).await;
        let mut next = self.next.try_lock().ok()?;
        if *next > Instant::now() {
            return None;
        }
        let permit = slot(&self.slots.all).await;
        if self.pause().is_some() || *self.walks.borrow() > 0 {
            return None;
        }
        *next = Instant::now() + self.gap;
        Some(Turn {
            _permits: [Some(permit), Some(spare)],
            waited: Waited::default(),
        })
    }

    /// Are as many requests in flight as the process may have?
    pub fn is_full(&self) -> bool {
        self.slots.all.available_permits() == 0
    }

    /// Lets nobody start before `until`, because the vendor asked for it.
    pub fn pause_until(&self, until: Instant) {
        let mut paused = self
            .paused_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *paused = Some(paused.map_or(until, |earlier| earlier.max(until)));
    }

    /// Until when nobody may start, while the vendor's pause holds.
    pub fn pause(&self) -> Option<Instant> {
        let paused = self
            .paused_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        paused.filter(|until| *until > Instant::now())
    }
}

/// Every pace of the process.
///
/// Accounts that reach the same vendor with the same auth id share one, because the vendor counts
/// them as one; the slowest of their rates holds.
#[derive(Debug)]
pub struct Paces {
    slots: Slots,
    rates: HashMap<(Url, String), Option<f64>>,
    made: HashMap<(Url, String), Arc<Pace>>,
}

impl Paces {
    /// No pace yet; at most `in_flight` requests at once over all that will be.
    pub fn new(in_flight: usize) -> Self {
        Self {
            slots: Slots::new(in_flight),
            rates: HashMap::new(),
            made: HashMap::new(),
        }
    }

    /// Announces that `auth_id` will be used with `base_url` at this rate. All announcements come
    /// before the first [`Self::pace`].
    pub fn announce(&mut self, base_url: &Url, auth_id: &str, rate: Option<f64>) {
        let known = self
            .rates
            .entry((base_url.clone(), auth_id.to_owned()))
            .or_insert(rate);
        *known = match (*known, rate) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }

    /// The pace for this vendor and auth id.
    pub fn pace(&mut self, base_url: &Url, auth_id: &str) -> Arc<Pace> {
        let key = (base_url.clone(), auth_id.to_owned());
        let rate = self.rates.get(&key).copied().flatten();
        let slots = &self.slots;
        let pace = self
            .made
            .entry(key)
            .or_insert_with(|| Arc::new(Pace::sharing(rate, slots.clone())));
        Arc::clone(pace)
    }
}

async fn slot(of: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    let permit = Arc::clone(of).acquire_owned().await;
    permit.expect("the semaphore is never closed")
}

#[cfg(test)]
mod tests;
