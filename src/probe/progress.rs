//! How far a flight is: what somebody is told who stops waiting for it, or asks about its times.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// What a flight is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It waits for the account's share of probes.
    Share,
    /// It waits for its turn in the account's rate limiter, or for the end of the vendor's pause.
    Limiter,
    /// The request is under way.
    Request,
    /// It has ended.
    Landed,
}

/// Time spent so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Times {
    /// Waiting for the share.
    pub(super) share: Duration,
    /// Waiting for the account's rate limiter. While that wait lasts, the vendor's part is in it.
    pub(super) limiter: Duration,
    /// Waiting because the vendor had asked for a pause.
    pub(super) vendor: Duration,
    /// The request itself.
    pub(super) request: Duration,
}

/// Written by the flight, read by everybody who waits for it.
#[derive(Debug)]
pub(super) struct Progress(Mutex<Steps>);

#[derive(Debug)]
struct Steps {
    stage: Stage,
    since: Instant,
    times: Times,
}

impl Progress {
    /// A flight that begins now.
    pub(super) fn new() -> Self {
        Self(Mutex::new(Steps {
            stage: Stage::Share,
            since: Instant::now(),
            times: Times::default(),
        }))
    }

    /// The present stage ends, and this one begins.
    pub(super) fn enter(&self, stage: Stage) {
        let mut steps = self.steps();
        steps.times = steps.until_now();
        steps.stage = stage;
        steps.since = Instant::now();
    }

    /// Of the time that was waited for the limiter, this much was the vendor's.
    pub(super) fn paused(&self, vendor: Duration) {
        let mut steps = self.steps();
        steps.times.vendor += vendor;
        steps.times.limiter = steps.times.limiter.saturating_sub(vendor);
    }

    /// How far it is now.
    pub(super) fn now(&self) -> (Stage, Times) {
        let steps = self.steps();
        (steps.stage, steps.until_now())
    }

    fn steps(&self) -> MutexGuard<'_, Steps> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Steps {
    fn until_now(&self) -> Times {
        let mut times = self.times;
        let spent = self.since.elapsed();
        match self.stage {
            Stage::Share => times.share += spent,
            Stage::Limiter => times.limiter += spent,
            Stage::Request => times.request += spent,
            Stage::Landed => {}
        }
        times
    }
}
