//! The rate limiter: one per vendor and auth id, evenly spaced.
//!
//! Written here rather than taken from a crate because its promises are ours: in any T seconds at
//! most `rate x T + 1` requests start, whoever makes them; a wait that is given up costs nobody a
//! turn; a pause the vendor asked for holds for everybody; and its clock can be paused in tests.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex as StdMutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Mutex, OwnedSemaphorePermit, Semaphore},
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
    /// Requests in flight over the whole process.
    in_flight: Arc<Semaphore>,
}

/// The right to make one request, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    _permit: OwnedSemaphorePermit,
    /// Time waited for our own limits.
    pub limiter: Duration,
    /// Time waited because the vendor had asked for a pause.
    pub vendor: Duration,
}

/// The vendor wants no request before this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paused(pub Instant);

impl Pace {
    /// A pace of `rate` requests per second (`None`: unlimited) that shares `in_flight` with all
    /// others.
    pub fn new(rate: Option<f64>, in_flight: Arc<Semaphore>) -> Self {
        let gap = rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate));
        Self {
            gap,
            next: Mutex::new(Instant::now()),
            paused_until: StdMutex::new(None),
            in_flight,
        }
    }

    /// How long `requests` take at this pace.
    pub fn time_for(&self, requests: u64) -> Duration {
        self.gap
            .saturating_mul(u32::try_from(requests).unwrap_or(u32::MAX))
    }

    /// Waits for the right to make one request now.
    ///
    /// # Errors
    /// The vendor has asked for a pause that ends after `until`: not waited for.
    pub async fn turn(&self, until: Instant) -> Result<Turn, Paused> {
        let asked = Instant::now();
        let mut vendor = Duration::ZERO;
        loop {
            if let Some(end) = self.pause() {
                if end > until {
                    return Err(Paused(end));
                }
                let paused = Instant::now();
                sleep_until(end).await;
                vendor += paused.elapsed();
                continue;
            }
            let mut next = self.next.lock().await;
            sleep_until(*next).await;
            let permit = Arc::clone(&self.in_flight).acquire_owned().await;
            let permit = permit.expect("the semaphore is never closed");
            // Somebody may have been told to pause while this one waited.
            if self.pause().is_some() {
                continue;
            }
            // Counted from the moment of leaving, so that a late timer never brings two requests
            // closer together than the gap.
            *next = Instant::now() + self.gap;
            let limiter = asked.elapsed().saturating_sub(vendor);
            return Ok(Turn {
                _permit: permit,
                limiter,
                vendor,
            });
        }
    }

    /// How much longer than its own requests explain a walk has waited for a turn, when it asks for
    /// `concurrency` pages at a time: for other walks of the same pace, or of the process.
    pub fn excess(&self, turn: &Turn, concurrency: usize) -> Duration {
        let concurrency = u32::try_from(concurrency.max(1)).unwrap_or(u32::MAX);
        (turn.limiter / concurrency).saturating_sub(self.gap)
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
    in_flight: Arc<Semaphore>,
    rates: HashMap<(Url, String), Option<f64>>,
    made: HashMap<(Url, String), Arc<Pace>>,
}

impl Paces {
    /// No pace yet; at most `in_flight` requests at once over all that will be.
    pub fn new(in_flight: usize) -> Self {
        let in_flight = Arc::new(Semaphore::new(in_flight));
        Self {
            in_flight,
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
        let in_flight = &self.in_flight;
        let pace = self
            .made
            .entry(key)
            .or_insert_with(|| Arc::new(Pace::new(rate, in_flight.clone())));
        Arc::clone(pace)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;

    /// Later than anything here.
    fn far() -> Instant {
        Instant::now() + Duration::from_secs(3_600)
    }

    fn pace(rate: Option<f64>) -> Pace {
        Pace::new(rate, Arc::new(Semaphore::new(32)))
    }

    #[tokio::test(start_paused = true)]
    async fn requests_leave_evenly_spaced_however_many_ask_at_once() {
        let pace = pace(Some(5.0));
        let start = Instant::now();
        let left = join_all((0..6).map(|_| async {
            pace.turn(far()).await.unwrap();
            start.elapsed()
        }))
        .await;
        let expected: Vec<_> = (0..6)
            .map(|turn| Duration::from_millis(200 * turn))
            .collect();
        for (left, expected) in left.iter().zip(&expected) {
            // Tokio's timers have steps of a millisecond and are never early.
            assert!(
                left >= expected && *left <= *expected + Duration::from_millis(10),
                "{left:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_is_given_up_costs_nobody_a_turn() {
        let pace = pace(Some(1.0));
        let start = Instant::now();
        pace.turn(far()).await.unwrap();
        let _ = tokio::time::timeout(Duration::from_millis(500), pace.turn(far())).await;
        pace.turn(far()).await.unwrap();
        assert_eq!(start.elapsed().as_secs(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_of_the_vendor_holds_for_everybody_and_is_told_apart() {
        let pace = pace(None);
        pace.pause_until(Instant::now() + Duration::from_secs(30));
        let turn = pace.turn(far()).await.unwrap();
        assert_eq!((turn.vendor.as_secs(), turn.limiter.as_secs()), (30, 0));
        assert_eq!(pace.turn(far()).await.unwrap().vendor, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_beyond_the_walks_time_is_not_waited_for() {
        let pace = pace(None);
        let end = Instant::now() + Duration::from_secs(30);
        pace.pause_until(end);
        let until = Instant::now() + Duration::from_secs(20);
        assert_eq!(pace.turn(until).await.unwrap_err(), Paused(end));
        assert_eq!(until.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn accounts_with_one_auth_id_share_the_slowest_pace() {
        let url = Url::parse("http://127.0.0.1/api/v1").unwrap();
        let mut paces = Paces::new(2);
        paces.announce(&url, "MA_1", Some(5.0));
        paces.announce(&url, "MA_1", Some(2.0));
        paces.announce(&url, "MA_2", None);
        assert!(Arc::ptr_eq(
            &paces.pace(&url, "MA_1"),
            &paces.pace(&url, "MA_1")
        ));
        assert_eq!(
            paces.pace(&url, "MA_1").time_for(10),
            Duration::from_secs(5)
        );
        assert_eq!(paces.pace(&url, "MA_2").time_for(10), Duration::ZERO);
    }
}
