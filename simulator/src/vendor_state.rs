//! The simulated vendor's options, and the state of all its connections: world, faults, clock, log.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::rustls::ServerConfig;

use super::fault::Plan;
use super::request_log::RequestLog;
use super::world::World;

/// The time from the arrival of a request to the start of its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Latency {
    /// No additional time.
    #[default]
    None,
    /// A fixed time. On an idle machine, the latency is accurate to a millisecond.
    Fixed(Duration),
    /// A random time, uniformly distributed in this range.
    Between(Duration, Duration),
}

/// The speed of the simulated time.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Pace {
    /// Time advances only if a caller advances the world.
    #[default]
    Manual,
    /// Time starts at [`World::now`] and has this speed: 1.0 is real time, 2.0 is twice as fast.
    Running(f64),
}

/// The options of a simulated vendor. After its start, [`Vendor::set`](super::Vendor::set) can
/// change all options except `listen`, `tls`, `pace` and `log_capacity`.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address to listen on; port 0 selects a free port.
    pub listen: SocketAddr,
    /// The TLS settings; `None` for plain HTTP.
    pub tls: Option<Arc<ServerConfig>>,
    /// The latency of responses.
    pub latency: Latency,
    /// The speed of the simulated time.
    pub pace: Pace,
    /// Whether to compress responses for clients that accept gzip.
    pub gzip: bool,
    /// Whether one connection may serve several requests. A change applies to new connections.
    pub keep_alive: bool,
    /// Whether to send a `Date` header.
    pub date: bool,
    /// The `Date` header contains the world's time plus this duration.
    pub clock_skew: SignedDuration,
    /// The maximum number of requests in the log; 0 has the same effect as 1.
    pub log_capacity: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: None,
            latency: Latency::None,
            pace: Pace::Manual,
            gzip: true,
            keep_alive: true,
            date: true,
            clock_skew: SignedDuration::ZERO,
            log_capacity: 10_000,
        }
    }
}

/// The world, the faults, the log and the options. No lock is held across an await, and no task of
/// the vendor holds two of these locks at the same time.
#[derive(Debug)]
pub(super) struct State {
    world: Mutex<World>,
    plan: Mutex<Plan>,
    log: Mutex<RequestLog>,
    options: Mutex<Options>,
    pace: Pace,
    started: Instant,
    /// The world's time at the start of the simulated vendor.
    base: Timestamp,
    /// Notifies the subscribers after each change of the log.
    changed: watch::Sender<()>,
}

impl State {
    pub(super) fn new(world: World, options: Options) -> Self {
        Self {
            base: world.now(),
            world: Mutex::new(world),
            plan: Mutex::default(),
            log: Mutex::new(RequestLog::new(options.log_capacity)),
            pace: options.pace,
            options: Mutex::new(options),
            started: Instant::now(),
            changed: watch::Sender::new(()),
        }
    }

    /// Calls `look` with the world. With [`Pace::Running`], advances the world before the call.
    pub(super) fn with_world<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        let mut world = lock(&self.world);
        if let Pace::Running(speed) = self.pace {
            let lived = self.started.elapsed().mul_f64(speed.max(0.0));
            world.advance(self.base.saturating_add(lived).unwrap_or(Timestamp::MAX));
        }
        look(&mut world)
    }

    /// Returns the world and puts an empty world in its place.
    pub(super) fn take_world(&self) -> World {
        self.with_world(|world| {
            let empty = World::new(world.now(), 0);
            std::mem::replace(world, empty)
        })
    }

    pub(super) fn plan(&self) -> MutexGuard<'_, Plan> {
        lock(&self.plan)
    }

    pub(super) fn log(&self) -> MutexGuard<'_, RequestLog> {
        lock(&self.log)
    }

    /// Changes the log and notifies the subscribers of `changed`.
    pub(super) fn note<T>(&self, change: impl FnOnce(&mut RequestLog) -> T) -> T {
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

/// Locks a mutex and ignores poisoning. A panic in an edit of a test poisons the mutex, but the
/// tasks of the vendor must still be able to use the data.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
