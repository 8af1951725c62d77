//! One account's line to the vendor: who may ask when, and the one attempt.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Semaphore, time::Instant};

use super::{
    outcome::{Outcome, ProbeError},
    progress::{Progress, Stage},
};
use crate::{
    api::{Client, Endpoint, Error},
    config::{Account, Optional},
    telemetry::AccountInstruments,
    walk::{RateLimiter, Retry, RetryPolicy},
};

/// Longer than anybody waits: those who wait have deadlines, a flight has none.
const FOR_EVER: Duration = Duration::from_secs(24 * 3600);

/// The vendor, as a probe sees it: [`Client`] in the program.
pub trait Retrieve: Send + Sync + 'static {
    /// One attempt to retrieve the endpoint's own record, and the status of the answer.
    fn retrieve(&self, id: &str) -> impl Future<Output = Result<(Endpoint, u16), Error>> + Send;

    /// That request as it may be shown: method and URL, without credentials.
    fn shown(&self, id: &str) -> String;
}

impl Retrieve for Client {
    async fn retrieve(&self, id: &str) -> Result<(Endpoint, u16), Error> {
        Client::retrieve(self, id).await
    }

    fn shown(&self, id: &str) -> String {
        self.retrieve_shown(id)
    }
}

/// What an account wants shown of its endpoints.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) account: String,
    pub(super) username: bool,
    pub(super) user_agent: bool,
    pub(super) contact: bool,
}

/// One account, as probes use it.
#[derive(Debug)]
pub(super) struct Line<R> {
    pub(super) wanted: Wanted,
    pub(super) source: Arc<R>,
    /// The account's rate limiter, which its walks use, too.
    pub(super) limiter: Arc<RateLimiter>,
    /// What probes may use of it.
    pub(super) share: Arc<RateLimiter>,
    /// Requests of probes in flight over the whole process.
    pub(super) room: Arc<Semaphore>,
    pub(super) instruments: AccountInstruments,
    retry: RetryPolicy,
    /// How long the last answered request took, in milliseconds.
    took: AtomicU64,
}

impl Wanted {
    pub(super) fn of(account: &Account) -> Self {
        let has = |group| account.metrics.groups.contains(&group);
        Self {
            account: account.name.clone(),
            username: account.metrics.username,
            user_agent: has(Optional::UserAgent),
            contact: has(Optional::Contact),
        }
    }
}

impl<R: Retrieve> Line<R> {
    pub(super) fn new(
        wanted: Wanted,
        source: Arc<R>,
        limiters: [Arc<RateLimiter>; 2],
        room: Arc<Semaphore>,
        instruments: AccountInstruments,
    ) -> Self {
        let [limiter, share] = limiters;
        Self {
            wanted,
            source,
            limiter,
            share,
            room,
            instruments,
            retry: RetryPolicy::default(),
            took: AtomicU64::new(0),
        }
    }

    /// Asks for the endpoint in its permit, however long that takes: once, and once more where the
    /// connection turns out to have been closed while it was idle.
    pub(super) async fn ask(self: Arc<Self>, id: String, progress: Arc<Progress>) -> Outcome {
        let share = self.share.acquire(FOR_EVER).await;
        let room = self.room.acquire().await;
        let mut reconnected = false;
        let answer = loop {
            let answer = self.attempt(&id, &progress).await?;
            let Err(error) = &answer else {
                self.retry.succeeded();
                break answer;
            };
            let retry = self.retry.decide(error, &self.limiter);
            if retry != Retry::Now || reconnected {
                break answer;
            }
            reconnected = true;
        };
        drop((room, share));
        Ok(answer?)
    }

    async fn attempt(
        &self,
        id: &str,
        progress: &Progress,
    ) -> Result<Result<(Endpoint, u16), Error>, ProbeError> {
        progress.enter(Stage::Limiter);
        let permit = self.limiter.acquire(FOR_EVER).await;
        let permit = permit.map_err(|_| ProbeError::paused())?;
        progress.enter(Stage::Request);
        progress.paused(permit.waited.vendor);
        permit.waited.count(&self.instruments);
        let left = Instant::now();
        let answer = self.source.retrieve(id).await;
        let took = u64::try_from(left.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.took.store(took, Ordering::Relaxed);
        Ok(answer)
    }

    /// How long a request is likely to take.
    pub(super) fn usual_time(&self) -> Duration {
        Duration::from_millis(self.took.load(Ordering::Relaxed))
    }
}
