//! The shared state of all connections of a vendor.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::log::Log;
use super::plan::Plan;
use super::vendor::{Latency, Options, Pace};
use super::world::World;

/// The world, the faults, the log and the options. No lock is held across an await, and no task
/// holds two locks at the same time.
#[derive(Debug)]
pub(super) struct State {
    world: Mutex<World>,
    plan: Mutex<Plan>,
    log: Mutex<Log>,
    options: Mutex<Options>,
    pace: Pace,
    started: Instant,
    /// The world's time at the vendor's start.
    base: Timestamp,
    /// Notified when the counts of the log have changed.
    changed: watch::Sender<()>,
}

impl State {
    pub(super) fn new(world: World, options: Options) -> Self {
        Self {
            base: world.now(),
            world: Mutex::new(world),
            plan: Mutex::default(),
            log: Mutex::new(Log::new(options.log_capacity)),
            pace: options.pace,
            options: Mutex::new(options),
            started: Instant::now(),
            changed: watch::Sender::new(()),
        }
    }

    /// Calls `look` with the world, after advancing it to its current time.
    pub(super) fn with_world<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        let mut world = lock(&self.world);
        if let Pace::Running(speed) = self.pace {
            let lived = self.started.elapsed().mul_f64(speed.max(0.0));
            world.advance(self.base.saturating_add(lived).unwrap_or(Timestamp::MAX));
        }
        look(&mut world)
    }

    /// Takes the world and leaves an empty world.
    pub(super) fn take_world(&self) -> World {
        self.with_world(|world| {
            let empty = World::new(world.now(), 0);
            std::mem::replace(world, empty)
        })
    }

    pub(super) fn plan(&self) -> MutexGuard<'_, Plan> {
        lock(&self.plan)
    }

    pub(super) fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.log)
    }

    /// Changes the log and notifies its subscribers.
    pub(super) fn note<T>(&self, change: impl FnOnce(&mut Log) -> T) -> T {
        let result = change(&mut self.log());
        self.changed.send_replace(());
        result
    }

    pub(super) fn options(&self) -> MutexGuard<'_, Options> {
        lock(&self.options)
    }

    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(super) fn since_start(&self) -> Duration {
        self.started.elapsed()
    }

    /// The latency of the next response.
    pub(super) fn latency(&self) -> Duration {
        match self.options().latency {
            Latency::None => Duration::ZERO,
            Latency::Fixed(latency) => latency,
            Latency::Between(least, most) => {
                let (least, most) = (least.as_secs_f64(), most.as_secs_f64());
                let drawn = least + (most - least).max(0.0) * fastrand::f64();
                Duration::try_from_secs_f64(drawn).unwrap_or_default()
            }
        }
    }
}

/// Locks a mutex even if it is poisoned. A panic in an edit fails its own test, and the data stays
/// usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
