//! Where single records are asked for and taken in, in the time between two walks.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, future::OptionFuture, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{
    budget::{self, RequestBudget},
    queue::{DetailQueue, Miss},
};
use crate::{
    api::{self, Endpoint, ErrorKind},
    clock::UnixMillis,
    config::{Account, Optional},
    snapshot::{Detail, Details, Snapshot},
    walk::{
        PollerDeps, Source,
        rate_limit::{Permit, backoff},
        report::DetailsNote,
    },
};

/// Records that arrive are gathered for this long before they are published together, because each
/// time some families are written anew;
const GATHER: Duration = Duration::from_secs(2);
/// and for this much longer for every endpoint: with 100,000 of them, for five seconds.
const GATHER_EACH: Duration = Duration::from_micros(30);

/// Requests of one account under way at the same time.
const UNDER_WAY: usize = 8;

/// What came of one request.
#[derive(Debug)]
pub(in crate::walk) struct Arrival {
    id: Arc<str>,
    /// None is a bug of ours.
    answer: Option<Result<Endpoint, api::Error>>,
    /// When it came, by both clocks: beside a walk it is taken in later.
    at: (UnixMillis, Instant),
}

/// Requests under way.
pub(in crate::walk) type UnderWay = FuturesUnordered<Pin<Box<dyn Future<Output = Arrival> + Send>>>;

/// Retrieves the records of one account.
#[derive(Debug)]
pub(in crate::walk) struct DetailFetcher<S> {
    source: Arc<S>,
    deps: PollerDeps,
    account: Arc<str>,
    max_age: Duration,
    with_contact: bool,
    /// Requests per second that budget, limiter and walks leave.
    rate: f64,
    /// What the operator grants of that, in requests per second.
    granted: f64,
    /// Time between the starts of two walks.
    interval: Duration,
    budget: RequestBudget,
    queue: DetailQueue,
    under_way: UnderWay,
    /// What has arrived since the last publication.
    arrived: Vec<(Arc<str>, Detail)>,
    /// When that is to be published.
    publish_at: Option<Instant>,
    /// Requests that failed in a row.
    failures: u32,
    /// Nobody is asked before this, because of them.
    not_before: Instant,
    note: DetailsNote,
}

impl<S: Source> DetailFetcher<S> {
    pub(in crate::walk) fn new(account: &Account, source: Arc<S>, deps: PollerDeps) -> Self {
        let details = &account.details;
        let granted = details.requests_per_minute / 60.0;
        Self {
            source,
            account: account.name.as_str().into(),
            max_age: details.max_age,
            with_contact: account.metrics.groups.contains(&Optional::Contact),
            rate: granted,
            granted,
            interval: account.poll.interval,
            budget: RequestBudget::new(details.requests_per_minute),
            queue: DetailQueue::new(details.mode, details.max_age, account.poll.interval),
            under_way: UnderWay::new(),
            arrived: Vec::new(),
            publish_at: None,
            failures: 0,
            not_before: Instant::now(),
            note: DetailsNote::new(account),
            deps,
        }
    }

    /// A good walk has given `snapshot`, `before` is the one it replaces, and one walk starts every
    /// `interval`. Returns the details that stay: whose endpoint is still registered and the same, as
    /// long as they are not too old.
    pub(in crate::walk) fn open(
        &mut self,
        snapshot: &Arc<Snapshot>,
        before: Option<&Snapshot>,
        interval: Duration,
        details: &Arc<Details>,
    ) -> Arc<Details> {
        let limiter = self.deps.limiter.rate();
        self.interval = interval;
        self.rate = budget::rate_beside(self.granted, limiter, snapshot.walk.duration, interval);
        let details = self.only_young(details, |id, detail| {
            let row = snapshot.endpoint(id);
            row.is_some_and(|row| self.queue.wants(&row) && detail.is_of(&row))
        });
        self.queue.open(snapshot, before, &details);
        self.failures = 0;
        let wanted = self.queue.wanted();
        if let Some(warning) = self.note.foresee(wanted, self.rate, self.granted, limiter) {
            tracing::warn!(account = %self.account, "{warning}");
        }
        details
    }

    /// A walk has failed: nobody is asked until one is good again. Returns the details that stay.
    pub(in crate::walk) fn close(&mut self, details: &Arc<Details>) -> Arc<Details> {
        self.queue.close();
        self.only_young(details, |_, _| true)
    }

    /// Details that are wanted and not fresh.
    pub(in crate::walk) fn pending(&mut self) -> u64 {
        self.queue.pending()
    }

    /// The details that `may` stay and are not too old; the same ones, if all do.
    ///
    /// A budget that cannot keep `max_age` renews every record within `wanted / rate`, and records are
    /// kept for twice that. No record is renewed during a walk or after a failed one. So a record is kept
    /// for two intervals more, but never for more than `max_age` more.
    fn only_young(
        &self,
        details: &Arc<Details>,
        may: impl Fn(&str, &Detail) -> bool,
    ) -> Arc<Details> {
        #[expect(clippy::cast_precision_loss, reason = "a million endpoints at most")]
        let round = Duration::from_secs_f64(self.queue.wanted() as f64 / self.rate);
        let longest = self.max_age.max(2 * round) + self.max_age.min(2 * self.interval);
        let stay =
            details.only(|id, detail| detail.retrieved.elapsed() < longest && may(id, detail));
        if stay.len() == details.len() {
            Arc::clone(details)
        } else {
            Arc::new(stay)
        }
    }

    /// Asks and takes in until there is something to publish, which [`Self::arrived`] gives. May be
    /// given up at any time. Nothing is asked so shortly before the next `walk` that it would wait.
    pub(in crate::walk) async fn work(&mut self, walk: Instant, known: &Details) {
        loop {
            let publish = OptionFuture::from(self.publish_at.map(sleep_until));
            let limiter = Arc::clone(&self.deps.limiter);
            let permit = self.next_start(walk).map(|start| async move {
                sleep_until(start).await;
                // The limiter, a pause or a place may take so long that the walk would wait.
                let latest = walk.checked_sub(limiter.time_for(1)).unwrap_or(walk);
                timeout_at(latest, limiter.acquire_when_idle()).await.ok()
            });
            tokio::select! {
                Some(()) = publish => return,
                Some(arrival) = self.under_way.next() => self.take_in(arrival, known),
                Some(permit) = OptionFuture::from(permit) => permit.into_iter().for_each(|permit| self.ask(permit)),
                else => std::future::pending().await,
            }
        }
    }

    /// What has arrived since the last call.
    pub(in crate::walk) fn arrived(&mut self) -> Vec<(Arc<str>, Detail)> {
        self.publish_at = None;
        std::mem::take(&mut self.arrived)
    }

    /// Hands out the requests under way, to be carried on beside a walk; see [`beside`].
    pub(in crate::walk) fn lend(&mut self) -> UnderWay {
        std::mem::take(&mut self.under_way)
    }

    /// Takes them back with what has arrived meanwhile.
    pub(in crate::walk) fn take_back(
        &mut self,
        under_way: UnderWay,
        arrivals: Vec<Arrival>,
        known: &Details,
    ) {
        self.under_way = under_way;
        for arrival in arrivals {
            self.take_in(arrival, known);
        }
    }

    /// When to ask next; `None` if that is not before the walk, or when something else happens.
    fn next_start(&self, walk: Instant) -> Option<Instant> {
        let wanted = self.queue.next()?;
        // Never in the past: a start that has passed would look early enough until the walk begins.
        let start = wanted.max(self.budget.next()).max(self.not_before);
        let start = start.max(Instant::now());
        let is_in_time = start + self.deps.limiter.time_for(1) < walk;
        // Whoever has just failed is asked by one request at a time.
        let most = if self.failures > 0 { 1 } else { UNDER_WAY };
        (is_in_time && self.under_way.len() < most).then_some(start)
    }

    fn ask(&mut self, permit: Permit) {
        let Some(id) = self.queue.take() else { return };
        self.budget.spend();
        let (source, clock) = (Arc::clone(&self.source), self.deps.clock);
        self.under_way.push(Box::pin(async move {
            let answer = AssertUnwindSafe(source.endpoint(&id)).catch_unwind().await;
            drop(permit);
            Arrival {
                id,
                answer: answer.ok(),
                at: (clock.now(), Instant::now()),
            }
        }));
    }

    fn take_in(&mut self, Arrival { id, answer, at }: Arrival, known: &Details) {
        match answer {
            Some(Ok(endpoint)) => self.take_record(id, endpoint, at),
            Some(Err(error)) => self.take_error(id, &error, known),
            None => self.queue.missed(id, Miss::Failed),
        }
    }

    fn take_record(&mut self, id: Arc<str>, endpoint: Endpoint, at: (UnixMillis, Instant)) {
        self.failures = 0;
        // Only the list decides who is registered: a record that says otherwise is of another moment.
        let disagrees = endpoint.registered == Some(false);
        let Some(row) = self.queue.row(&id).filter(|_| !disagrees) else {
            if disagrees && self.queue.row(&id).is_some() {
                self.deps.instruments.detail_disagreed();
            }
            return self.queue.missed(id, Miss::Disagreed);
        };
        self.note.unreadable(&endpoint);
        let mut detail = Detail::new(endpoint, &row, self.with_contact, at.0);
        detail.retrieved = at.1;
        self.queue.found(&id, &detail);
        self.arrived.push((id, detail));
        let gather = GATHER + GATHER_EACH * self.queue.endpoints();
        self.publish_at.get_or_insert(Instant::now() + gather);
    }

    fn take_error(&mut self, id: Arc<str>, error: &api::Error, known: &Details) {
        if error.stale_connection {
            return self.queue.put_back(&id, known.get(&id));
        }
        if error.kind == ErrorKind::NotFound {
            // Deleted since the walk: the next one will say so.
            self.failures = 0;
            return self.queue.missed(id, Miss::Failed);
        }
        // One burst that the vendor refuses is one refusal: nobody leaves while a pause holds.
        let is_known = error.kind == ErrorKind::RateLimited && self.deps.limiter.pause().is_some();
        self.failures = self.failures.saturating_add(u32::from(!is_known));
        if self.failures == 1 && !is_known {
            tracing::warn!(account = %self.account, %error, "an endpoint could not be retrieved");
        }
        let wait = backoff(self.failures, fastrand::f64());
        if let Some(wait) = error.retry_after {
            self.deps.limiter.apply_retry_after(wait);
        }
        match error.kind {
            // It concerns every request of the account, and says nothing about this endpoint.
            ErrorKind::RateLimited => {
                self.deps.limiter.back_off(self.failures);
                self.queue.put_back(&id, known.get(&id));
            }
            ErrorKind::Auth | ErrorKind::PaymentRequired | ErrorKind::Forbidden => {
                self.queue.missed(id, Miss::Failed);
                self.queue.close();
            }
            _ => {
                self.not_before = Instant::now() + wait;
                self.queue.missed(id, Miss::Failed);
            }
        }
    }
}

/// Carries requests on while a walk is under way; gives the walk's result and what has arrived.
pub(in crate::walk) async fn beside<T>(
    under_way: &mut UnderWay,
    walk: impl Future<Output = T>,
) -> (T, Vec<Arrival>) {
    let mut walk = pin!(walk);
    let mut arrivals = Vec::new();
    loop {
        tokio::select! {
            result = &mut walk => return (result, arrivals),
            Some(arrival) = under_way.next() => arrivals.push(arrival),
        }
    }
}
