//! Retrieves the records of single endpoints between two walks, because rows of the list may lack values.
//!
//! Each record needs its own request. [`DetailQueue`] decides which records are requested, and in which order.
//! [`DetailFetcher`] sends the requests. A budget and the limiter of the account limit the request rate.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, future::OptionFuture};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    fetch::{PollerDeps, Source},
    log,
};
use crate::{
    api::{Endpoint, Error, ErrorKind, Fields, Permit, Retry, RetryPolicy},
    clock::UnixMillis,
    config::{Account, DetailMode, Optional},
    snapshot::{Detail, Details, EndpointView, Snapshot},
    telemetry::Metric,
};

/// When the first record arrives, the poller waits for this time, or until the next walk. Then it publishes all
/// arrived records together. Few publications save CPU time, because each renders whole metric families.
const GATHER: Duration = Duration::from_secs(5);
/// The maximum number of detail requests of one account in flight.
const MAX_IN_FLIGHT: usize = 8;
/// A timer of Tokio can fire this much late.
const TIMER_TICK: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);
/// After a delay, such as a walk, the fetcher sends the delayed requests at twice the usual rate. A delay
/// that is longer than `MADE_UP` counts as `MADE_UP`, so that it does not cause too many requests.
const MADE_UP: Duration = Duration::from_secs(10);

/// Retrieves the records of one account.
#[derive(Debug)]
pub(super) struct DetailFetcher<S> {
    source: Arc<S>,
    deps: PollerDeps,
    account: Arc<str>,
    with_contact: bool,
    budget: RequestBudget,
    /// The average time between two requests, including the delays by walks and the limiter.
    average_gap: Duration,
    queue: DetailQueue,
    in_flight: JoinSet<Response>,
    /// Records that are not published yet.
    arrived: Vec<(Arc<str>, Arc<Detail>)>,
    retry: RetryPolicy,
    /// No request starts before this time. A failed request sets it, but a 429 pauses the limiter instead.
    not_before: Instant,
    warned_too_many: bool,
    warned_unreadable: bool,
}

/// The result of one request.
#[derive(Debug)]
struct Response {
    id: Arc<str>,
    /// The record or an error; `None` after a panic.
    result: Option<Result<Endpoint, Error>>,
    /// The arrival time by the wall clock and by Tokio's clock. A walk may delay the processing.
    at: (UnixMillis, Instant),
}

impl<S: Source> DetailFetcher<S> {
    pub(super) fn new(account: &Account, source: Arc<S>, deps: PollerDeps) -> Self {
        let details = &account.details;
        let budget = RequestBudget::new(details.requests_per_minute);
        Self {
            source,
            account: account.name.as_str().into(),
            with_contact: account.metrics.groups.contains(&Optional::Contact),
            average_gap: budget.gap,
            budget,
            queue: DetailQueue::new(details.mode, details.max_age),
            in_flight: JoinSet::new(),
            arrived: Vec::new(),
            retry: RetryPolicy::default(),
            not_before: Instant::now(),
            warned_too_many: false,
            warned_unreadable: false,
            deps,
        }
    }

    /// Continues the work of a fetcher with other settings. The next published walk fills the queue; until then, no request
    /// starts. The requests in flight are given up.
    pub(super) fn continue_after(&mut self, earlier: Self) {
        self.average_gap = earlier.average_gap;
        self.not_before = earlier.not_before;
        self.retry = earlier.retry;
        self.arrived = earlier.arrived;
        if self.budget.gap == earlier.budget.gap {
            self.budget = earlier.budget;
        }
        self.queue = DetailQueue {
            mode: self.queue.mode,
            max_age: self.queue.max_age,
            snapshot: None,
            ..earlier.queue
        };
        for history in self.queue.histories.values_mut() {
            history.is_in_flight = false;
        }
    }

    /// Fills the queue from `snapshot`, which replaces the snapshot `before`. Walks start every `interval`.
    /// Returns the wanted `details` that are not too old and still belong to their row (see [`Detail::is_of`]).
    pub(super) fn walk_succeeded(
        &mut self,
        snapshot: &Arc<Snapshot>,
        before: Option<&Snapshot>,
        interval: Duration,
        details: &Arc<Details>,
    ) -> Arc<Details> {
        let limiter = self.deps.limiter.gap();
        let walk = snapshot.walk.duration;
        self.average_gap = gap_beside(self.budget.gap, limiter, walk, interval);
        let details = self.without_old(details, interval, |id, detail| {
            let row = snapshot.endpoint(id);
            row.is_some_and(|row| self.queue.wants(&row) && detail.is_of(&row))
        });
        self.queue.start(snapshot, before, &details);
        self.retry.succeeded();
        let round = self.round();
        if round > self.queue.max_age && !self.warned_too_many {
            self.warned_too_many = true;
            log::too_many_details(&self.account, self.queue.wanted, round);
        }
        details
    }

    /// Stops new requests until a walk is published. Returns the `known` details that are not too old.
    pub(super) fn walk_failed(&mut self, interval: Duration, known: &Arc<Details>) -> Arc<Details> {
        self.queue.snapshot = None;
        self.without_old(known, interval, |_, _| true)
    }

    /// The number of wanted records that are missing or have reached `max_age` (see [`DetailQueue::wants`]).
    pub(super) fn pending(&self) -> u64 {
        let now = Instant::now();
        let waiting = self.queue.waiting.iter();
        let fresh = waiting.filter(|(due, rank, _)| *due > now && !matches!(rank, Rank::Failed(_)));
        u64::from(self.queue.wanted).saturating_sub(fresh.count() as u64)
    }

    /// The duration of a *round*, in which every wanted record is retrieved once.
    fn round(&self) -> Duration {
        self.average_gap.saturating_mul(self.queue.wanted)
    }

    /// Returns the details that are not too old and pass the test `may`. If all stay, returns the same `Arc`.
    ///
    /// A detail is kept for `max_age`, or for two rounds if they take longer. Walks delay the requests, so a
    /// detail is kept for two more intervals. This additional time is at most `max_age`.
    fn without_old(
        &self,
        details: &Arc<Details>,
        interval: Duration,
        may: impl Fn(&str, &Detail) -> bool,
    ) -> Arc<Details> {
        let max_age = self.queue.max_age;
        let longest = max_age.max(self.round().saturating_mul(2)) + max_age.min(2 * interval);
        let mut stay = Details::clone(details);
        stay.retain(|id, detail| detail.retrieved.elapsed() < longest && may(id, detail));
        if stay.len() == details.len() {
            Arc::clone(details)
        } else {
            Arc::new(stay)
        }
    }

    /// Sends requests and processes responses until there are records to publish. [`Self::take_arrived`]
    /// returns these records. The caller may cancel this function at any time. The next walk starts at `walk`
    /// or later. No request may delay the first permit of the next walk.
    pub(super) async fn work(&mut self, walk: Instant, known: &Details) {
        loop {
            let first = self.arrived.first();
            let publish = first.map(|(_, detail)| sleep_until(detail.retrieved + GATHER));
            let limiter = Arc::clone(&self.deps.limiter);
            // A permit delays the next permit by the gap. So the wait for it ends one gap before the walk.
            let latest = walk.checked_sub(limiter.gap() + TIMER_TICK);
            let latest = latest.unwrap_or_else(Instant::now);
            let permit = self.next_start(latest).map(|start| async move {
                sleep_until(start).await;
                timeout_at(latest, limiter.acquire_when_idle()).await.ok()
            });
            tokio::select! {
                Some(()) = OptionFuture::from(publish) => return,
                Some(Ok(response)) = self.in_flight.join_next() => self.process(response, known),
                Some(permit) = OptionFuture::from(permit) => permit.into_iter().for_each(|permit| self.send(permit)),
                else => std::future::pending().await,
            }
        }
    }

    /// Returns the records that arrived since the last call.
    pub(super) fn take_arrived(&mut self) -> Vec<(Arc<str>, Arc<Detail>)> {
        std::mem::take(&mut self.arrived)
    }

    /// The start of the next request. `None` if the queue has no endpoint, if the request would start at `latest` or
    /// later, or if too many requests are in flight.
    fn next_start(&self, latest: Instant) -> Option<Instant> {
        // If the computed start is in the past, the request starts now. So `start` is never in the past.
        let start = self.queue.next()?.max(self.budget.next());
        let start = start.max(self.not_before).max(Instant::now());
        // After a failure, one request at a time shows whether the API works again.
        let is_failing = self.retry.failures() > 0;
        let most = if is_failing { 1 } else { MAX_IN_FLIGHT };
        (start < latest && self.in_flight.len() < most).then_some(start)
    }

    fn send(&mut self, permit: Permit) {
        let Some(id) = self.queue.take() else { return };
        self.budget.spend();
        let (source, clock) = (Arc::clone(&self.source), self.deps.clock);
        // During a walk, the poller does not run `work`. So the request runs in a task of its own.
        self.in_flight.spawn(async move {
            let result = AssertUnwindSafe(source.endpoint(&id)).catch_unwind().await;
            drop(permit);
            Response {
                id,
                result: result.ok(),
                at: (clock.now(), Instant::now()),
            }
        });
    }

    fn process(&mut self, Response { id, result, at }: Response, known: &Details) {
        match result {
            Some(Ok(endpoint)) => self.process_record(id, endpoint, at),
            Some(Err(error)) => self.process_error(&id, &error, known),
            None => self.queue.missed(&id, Rank::Failed(Instant::now())),
        }
    }

    fn process_record(&mut self, id: Arc<str>, endpoint: Endpoint, at: (UnixMillis, Instant)) {
        self.retry.succeeded();
        let Some(row) = self.queue.row(&id) else {
            return self.queue.missed(&id, Rank::Failed(Instant::now()));
        };
        // Only the list decides whether an endpoint is registered. A contradicting record is not used.
        if endpoint.registered == Some(false) {
            (self.deps.instruments).count(Metric::DetailDisagreements, &[], 1);
            return self.queue.missed(&id, Rank::Disagreed);
        }
        if endpoint.rejected != Fields::default() && !self.warned_unreadable {
            self.warned_unreadable = true;
            log::unreadable(&self.account, &endpoint);
        }
        let mut detail = Detail::new(endpoint, &row, self.with_contact, at.0);
        detail.retrieved = at.1;
        self.queue.found(&id, &detail);
        self.arrived.push((id, Arc::new(detail)));
    }

    fn process_error(&mut self, id: &str, error: &Error, known: &Details) {
        let worked = self.retry.failures() == 0;
        let retry = self.retry.decide(error, &self.deps.limiter);
        if worked && self.retry.failures() > 0 {
            tracing::warn!(account = %self.account, %error, "an endpoint could not be retrieved");
        }
        match retry {
            // The API asks for a pause of all requests, which is no failure of this endpoint.
            Retry::AfterPause => self.queue.put_back(id, known),
            Retry::After(wait) | Retry::Never(wait) => {
                let now = Instant::now();
                self.not_before = now + wait;
                self.queue.missed(id, Rank::Failed(now));
            }
        }
        if matches!(
            error.kind,
            ErrorKind::Auth | ErrorKind::PaymentRequired | ErrorKind::Forbidden
        ) {
            self.queue.snapshot = None;
        }
    }
}

/// Limits the requests per minute and spaces the requests evenly. After a delay, halves the time between them.
#[derive(Debug)]
pub(super) struct RequestBudget {
    pub(super) gap: Duration,
    /// The planned start of the next request if requests are spaced evenly.
    due: Instant,
    /// The starts of the last `most` requests.
    spent: VecDeque<Instant>,
    most: usize,
}

impl RequestBudget {
    /// An unused budget. `per_minute`, the requests per minute, is 0.1 to 6000.
    pub(super) fn new(per_minute: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "6000 at most, and positive"
        )]
        let most = per_minute.ceil() as usize;
        Self {
            gap: MINUTE.div_f64(per_minute),
            due: Instant::now(),
            spent: VecDeque::new(),
            most,
        }
    }

    /// The earliest start of the next request, which may be in the past.
    pub(super) fn next(&self) -> Instant {
        let is_full = self.spent.len() == self.most;
        let oldest = self.spent.front().filter(|_| is_full);
        let minute = oldest.map(|oldest| *oldest + MINUTE);
        let spacing = self.spent.back().map(|last| *last + self.gap / 2);
        self.due.max(minute.max(spacing).unwrap_or(self.due))
    }

    /// Notes that a request starts now.
    pub(super) fn spend(&mut self) {
        let now = Instant::now();
        let earliest = now.checked_sub(MADE_UP).unwrap_or(now);
        self.due = self.due.max(earliest) + self.gap;
        if self.spent.len() == self.most {
            self.spent.pop_front();
        }
        self.spent.push_back(now);
    }
}

/// The average time between two detail requests. `budget` and `limiter` are the gaps that the budget and the
/// limiter require. A walk starts every `interval` and stops requests for the time `walk`. After the walk, the
/// budget makes up for at most [`MADE_UP`] of this time.
pub(super) fn gap_beside(
    budget: Duration,
    limiter: Duration,
    walk: Duration,
    interval: Duration,
) -> Duration {
    // The fraction of an interval that remains after the time `lost`. It is a divisor, so it is at least 0.01.
    let left = |lost: Duration| (1.0 - lost.div_duration_f64(interval)).clamp(0.01, 1.0);
    let limiter = limiter.div_f64(left(walk));
    limiter.max(budget.div_f64(left(walk.saturating_sub(MADE_UP))))
}

/// The priority of an endpoint in the queue. The first variant has the highest priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// The endpoint is registered in the last snapshot, but not in the previous snapshot.
    NewlyRegistered,
    /// The last record of the endpoint contradicted the list.
    Disagreed,
    /// The exporter has no record of the endpoint.
    Unknown,
    /// The record was retrieved at this time. When it is too old, it is retrieved again.
    Old(UnixMillis),
    /// The last request for the endpoint failed, or two successive requests gave no usable record. This rank is
    /// the lowest, so that endpoints that always fail do not use the whole budget.
    Failed(Instant),
}

/// The request history of one endpoint. The queue keeps the history while the endpoint stays wanted.
#[derive(Debug, Default, Clone, Copy)]
struct History {
    is_in_flight: bool,
    /// The number of successive requests without a usable record.
    misses: u32,
    /// The rank of the endpoint after a miss or a new registration; `None` in other cases.
    rank: Option<Rank>,
}

/// Decides for which endpoints of one account the fetcher requests a record, and in which order.
///
/// A wanted endpoint is in `ready` or in `waiting`. The start of its request removes the endpoint. After a
/// miss, the queue adds the endpoint again when a walk is published; after a record or a 429, immediately.
#[derive(Debug)]
struct DetailQueue {
    mode: DetailMode,
    /// The age at which a record is retrieved again.
    max_age: Duration,
    /// The numbers in `ready` and `waiting` are positions in this snapshot. With `None`, no request may start.
    snapshot: Option<Arc<Snapshot>>,
    /// The number of endpoints whose record is wanted.
    wanted: u32,
    /// Endpoints that may be retrieved now.
    ready: BTreeSet<(Rank, u32)>,
    /// Endpoints that move to `ready` at the given time.
    waiting: BTreeSet<(Instant, Rank, u32)>,
    /// The histories by endpoint id. An endpoint without an entry has the default history.
    histories: HashMap<Arc<str>, History>,
}

impl DetailQueue {
    fn new(mode: DetailMode, max_age: Duration) -> Self {
        Self {
            mode,
            max_age,
            snapshot: None,
            wanted: 0,
            ready: BTreeSet::new(),
            waiting: BTreeSet::new(),
            histories: HashMap::new(),
        }
    }

    /// Fills the queue again from `snapshot`. `before` is the previous snapshot; `details` are known already.
    fn start(&mut self, snapshot: &Arc<Snapshot>, before: Option<&Snapshot>, details: &Details) {
        self.ready.clear();
        self.waiting.clear();
        self.snapshot = Some(Arc::clone(snapshot));
        self.wanted = 0;
        let mut known = std::mem::take(&mut self.histories);
        for (number, row) in (0..).zip(snapshot.endpoints()) {
            if !self.wants(&row) {
                continue;
            }
            self.wanted += 1;
            let was_registered = before.is_none_or(|before| {
                let same = before.endpoint(row.id);
                same.is_some_and(|one| one.registered == Some(true))
            });
            let history = known.remove_entry(row.id);
            if was_registered {
                self.histories.extend(history);
            } else {
                let newly = History {
                    is_in_flight: history.is_some_and(|(_, history)| history.is_in_flight),
                    misses: 0,
                    rank: Some(Rank::NewlyRegistered),
                };
                self.histories.insert(row.id.into(), newly);
            }
            self.place(number, row.id, details.get(row.id).map(Arc::as_ref));
        }
        // The queue keeps the history of each request in flight, to prevent a second request for the record.
        known.retain(|_, history| history.is_in_flight);
        self.histories.extend(known);
    }

    /// Whether the record of this endpoint is *wanted*: the endpoint is registered, and `mode` requires it.
    fn wants(&self, row: &EndpointView<'_>) -> bool {
        row.registered == Some(true)
            && match self.mode {
                DetailMode::Auto => row.expires_at.is_none(),
                DetailMode::Always => true,
                DetailMode::Never => false,
            }
    }

    /// Adds an endpoint with its rank to `ready` or to `waiting`, unless its request is in flight.
    fn place(&mut self, number: u32, id: &str, detail: Option<&Detail>) {
        let history = self.histories.get(id).copied().unwrap_or_default();
        if history.is_in_flight {
            return;
        }
        let (due, rank) = match (history.rank, detail) {
            // After two misses, an endpoint waits for `max_age`, so that it does not use the whole budget.
            (Some(Rank::Failed(at)), _) if history.misses > 1 => {
                (at + self.max_age, Rank::Failed(at + self.max_age))
            }
            (None | Some(Rank::Failed(_)), Some(detail)) => (
                detail.retrieved + self.max_age,
                Rank::Old(detail.retrieved_at),
            ),
            (rank, _) => {
                self.ready.insert((rank.unwrap_or(Rank::Unknown), number));
                return;
            }
        };
        self.waiting.insert((due, rank, number));
    }

    /// The time from which the next endpoint may be retrieved; `None` if no endpoint may be retrieved.
    fn next(&self) -> Option<Instant> {
        self.snapshot.as_ref()?;
        if !self.ready.is_empty() {
            return Some(Instant::now());
        }
        self.waiting.first().map(|(due, ..)| *due)
    }

    /// Takes the endpoint to retrieve now. After the response, the caller must call [`Self::found`],
    /// [`Self::missed`] or [`Self::put_back`].
    fn take(&mut self) -> Option<Arc<str>> {
        let now = Instant::now();
        while let Some(&(due, rank, number)) = self.waiting.first()
            && due <= now
        {
            self.waiting.pop_first();
            self.ready.insert((rank, number));
        }
        let snapshot = self.snapshot.as_ref()?;
        let (_, number) = self.ready.pop_first()?;
        let id: Arc<str> = snapshot.at(number)?.id.into();
        let history = self.histories.entry(Arc::clone(&id)).or_default();
        history.is_in_flight = true;
        Some(id)
    }

    /// The row of an endpoint, if its record is still wanted.
    fn row(&self, id: &str) -> Option<EndpointView<'_>> {
        let snapshot = self.snapshot.as_ref()?;
        snapshot.endpoint(id).filter(|row| self.wants(row))
    }

    /// Notes that the record of an endpoint has arrived.
    fn found(&mut self, id: &str, detail: &Detail) {
        self.histories.remove(id);
        self.place_again(id, Some(detail));
    }

    /// Notes a *miss*: a request that gave no usable record. The endpoint waits for a published walk. After one
    /// miss, its rank is `rank`, unless it is newly registered. After two misses, its rank is `Failed`.
    fn missed(&mut self, id: &str, rank: Rank) {
        let is_wanted = self.row(id).is_some();
        let Some(history) = self.histories.get_mut(id) else {
            return;
        };
        history.is_in_flight = false;
        if is_wanted {
            history.misses += 1;
            if history.misses > 1 {
                history.rank = Some(Rank::Failed(Instant::now()));
            } else if history.rank != Some(Rank::NewlyRegistered) {
                history.rank = Some(rank);
            }
        }
    }

    /// Puts the endpoint back into the queue after a response that only asks for a pause.
    fn put_back(&mut self, id: &str, details: &Details) {
        if let Some(history) = self.histories.get_mut(id) {
            history.is_in_flight = false;
        }
        self.place_again(id, details.get(id).map(Arc::as_ref));
    }

    fn place_again(&mut self, id: &str, detail: Option<&Detail>) {
        let snapshot = self.snapshot.as_ref().filter(|_| self.row(id).is_some());
        if let Some(number) = snapshot.and_then(|snapshot| snapshot.number(id)) {
            self.place(number, id, detail);
        }
    }
}
