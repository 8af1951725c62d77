//! The activity of one connection: its place, its bytes of the last seconds, and its responses in progress.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use crate::{shutdown::CancellationToken, telemetry::labels::ConnectionOutcome};

/// The number of seconds over which the bytes of a connection are added.
const WINDOW: usize = 10;

/// The shortest and the longest interval of a scraper. Prometheus drops samples that are older than five minutes.
const MIN_INTERVAL: Duration = Duration::from_secs(5);
const MAX_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// A scraper that reads no byte of its response for this time goes before other scrapers. It is longer than most pauses
/// of a distant network.
const SCRAPER_STALLED_AFTER: Duration = Duration::from_secs(1);

/// A connection is new for this time. It is long enough for a TLS handshake and a scrape over a distant network.
const NEW_FOR: Duration = Duration::from_secs(1);

/// A new client that reads no byte of its response for this time counts as one without a response.
const NEW_STALLED_AFTER: Duration = Duration::from_millis(100);

/// A new connection counts as served for this time, until its first answer. Its client had no time to send a request,
/// while many others may have opened their connections in the same second, and have had their answers.
const UNANSWERED_FOR: Duration = Duration::from_millis(100);

/// The time of an answer of any size, and the lowest rate of bytes that is allowed besides.
const ANSWER_TIME: Duration = Duration::from_secs(10);
const ANSWER_RATE: u64 = 64 * 1024;

/// The activity of one connection. The connection, its responses and the table of all connections share it.
#[derive(Debug)]
pub(super) struct Activity {
    opened: Instant,
    counts: Mutex<Counts>,
    /// Whether the connection may be served everything, and not only health checks.
    has_place: AtomicBool,
    /// Ends the connection at once, in favour of another one.
    evicted: CancellationToken,
    /// Ends the connection after its responses in progress.
    closed: CancellationToken,
}

#[derive(Debug)]
struct Counts {
    /// The bytes of each of the last seconds, the present one first.
    bytes: [u64; WINDOW],
    /// The present second, counted from the opening of the connection.
    second: u64,
    last_byte: Instant,
    /// The start or the end of the last response, or the opening.
    idle_since: Instant,
    /// The number of responses in progress.
    responses: usize,
    /// The number of them that wait for a page or another answer that is made for the request.
    pages: usize,
    /// The permits of the scrapes among them.
    permits: Vec<OwnedSemaphorePermit>,
    /// Whether bytes for the client wait, because it does not read now.
    is_blocked: bool,
    /// The end of the time for each answer in progress, with its number. A response that waits for the API has none.
    answer_ends: Vec<(u64, Instant)>,
    /// The number of answers so far.
    answers: u64,
    /// The start of the last scrape whose response has ended, and the time between the last two of them.
    scrape: Option<(Instant, Option<Duration>)>,
    outcome: Option<ConnectionOutcome>,
}

/// What decides which connection is closed when all places are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rank {
    /// Whether a client that scrapes again and again began a scrape within its last two intervals.
    pub(super) is_scraper: bool,
    /// Whether the connection is new. It has moved few bytes because it had no time.
    pub(super) is_new: bool,
    /// Whether the connection is new, and either has just opened without an answer so far, or has a response in progress
    /// that its client reads. A response that waits for a page does not count: hundreds of clients can wait for pages.
    pub(super) is_served: bool,
    /// The bytes of the last ten seconds.
    pub(super) bytes: u64,
    pub(super) last_byte: Instant,
}

impl Activity {
    /// The activity of a connection that opens now.
    pub(super) fn new(has_place: bool) -> Self {
        let now = Instant::now();
        Self {
            opened: now,
            counts: Mutex::new(Counts {
                bytes: [0; WINDOW],
                second: 0,
                last_byte: now,
                idle_since: now,
                responses: 0,
                pages: 0,
                permits: Vec::new(),
                is_blocked: false,
                answer_ends: Vec::new(),
                answers: 0,
                scrape: None,
                outcome: None,
            }),
            has_place: AtomicBool::new(has_place),
            evicted: CancellationToken::new(),
            closed: CancellationToken::new(),
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Each change is complete in itself, so a panic elsewhere leaves usable counts.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts bytes that were received from or sent to the client.
    pub(super) fn moved(&self, bytes: usize) {
        let now = Instant::now();
        let mut counts = self.counts();
        counts.forget_before(now.duration_since(self.opened).as_secs());
        counts.bytes[0] += bytes as u64;
        counts.last_byte = now;
    }

    /// Whether a byte has moved since the opening.
    pub(super) fn has_moved(&self) -> bool {
        self.counts().last_byte > self.opened
    }

    /// Begins a response.
    pub(super) fn begin_response(&self) {
        let mut counts = self.counts();
        counts.responses += 1;
        counts.idle_since = Instant::now();
    }

    /// Records that a response waits for a page, until the returned value is dropped.
    pub(super) fn wait_for_page(&self) -> PageWait<'_> {
        self.counts().pages += 1;
        PageWait(self)
    }

    /// Keeps the permit of a scrape until its response ends, or until [`Self::release_permits`].
    pub(super) fn hold_permit(&self, permit: OwnedSemaphorePermit) {
        self.counts().permits.push(permit);
    }

    /// Gives the permits of scrapes to other clients.
    pub(super) fn release_permits(&self) {
        self.counts().permits.clear();
    }

    /// Records whether the client does not read now. Its scrapes then hold no permits.
    pub(super) fn set_blocked(&self, is_blocked: bool) {
        self.counts().is_blocked = is_blocked;
        if is_blocked {
            self.release_permits();
        }
    }

    /// Begins to send the answer of a response that has begun. It must end in 10 s and the time that its `length` in
    /// bytes takes at 64 KiB/s. Returns the number of the answer.
    pub(super) fn begin_answer(&self, length: u64) -> u64 {
        let end = Instant::now() + ANSWER_TIME + Duration::from_secs(length / ANSWER_RATE);
        let mut counts = self.counts();
        counts.answers += 1;
        let number = counts.answers;
        counts.answer_ends.push((number, end));
        number
    }

    /// Ends a response, with the number of its answer if that had begun.
    pub(super) fn end_response(&self, answer: Option<u64>) {
        let mut counts = self.counts();
        counts.responses -= 1;
        counts.idle_since = Instant::now();
        counts
            .answer_ends
            .retain(|(number, _)| Some(*number) != answer);
        // Connections with several responses at the same time are rare, so no permit has a response of its own.
        let responses = counts.responses;
        counts.permits.truncate(responses);
    }

    /// Records a scrape that began at `start` and whose response has ended.
    pub(super) fn end_scrape(&self, start: Instant) {
        let mut counts = self.counts();
        let before = counts
            .scrape
            .map(|(before, _)| start.duration_since(before));
        let interval = before.map(|interval| interval.clamp(MIN_INTERVAL, MAX_INTERVAL));
        counts.scrape = Some((start, interval));
    }

    /// The number of responses in progress. With HTTP/1, at most one.
    pub(super) fn responses(&self) -> usize {
        self.counts().responses
    }

    /// Whether a response is in progress.
    pub(super) fn has_response(&self) -> bool {
        self.responses() > 0
    }

    /// The time since which the client has had no response in progress. Other bytes, such as pings of HTTP/2, change
    /// nothing.
    pub(super) fn idle_since(&self) -> Instant {
        self.counts().idle_since
    }

    /// Whether the client has not received all bytes of its responses. With TLS, bytes can wait after the last response.
    pub(super) fn is_sending(&self) -> bool {
        let counts = self.counts();
        counts.responses > 0 || counts.is_blocked
    }

    /// The first end of the time for an answer in progress.
    pub(super) fn answer_end(&self) -> Option<Instant> {
        let counts = self.counts();
        counts.answer_ends.iter().map(|(_, end)| *end).min()
    }

    /// Whether the connection may be served everything, and not only health checks.
    pub(super) fn has_place(&self) -> bool {
        self.has_place.load(Ordering::Relaxed)
    }

    pub(super) fn give_place(&self) {
        self.has_place.store(true, Ordering::Relaxed);
    }

    /// The rank of the connection in the order of evictions.
    pub(super) fn rank(&self) -> Rank {
        let now = Instant::now();
        let age = now.duration_since(self.opened);
        let mut counts = self.counts();
        counts.forget_before(age.as_secs());
        // A client that does not read the metrics that it asked for is no scraper.
        let is_scraper = counts.scrape.is_some_and(|(start, interval)| {
            let is_read = counts.responses == 0 || !counts.is_stalled(now, SCRAPER_STALLED_AFTER);
            is_read && interval.is_some_and(|interval| now.duration_since(start) <= 2 * interval)
        });
        let is_new = age < NEW_FOR;
        let is_read = !counts.is_blocked || !counts.is_stalled(now, NEW_STALLED_AFTER);
        let is_unanswered = age < UNANSWERED_FOR && counts.answers == 0;
        Rank {
            is_scraper,
            is_new,
            is_served: is_new
                && counts.pages == 0
                && (counts.responses > 0 && is_read || is_unanswered),
            bytes: counts.bytes.iter().sum(),
            last_byte: counts.last_byte,
        }
    }

    /// Ends the connection at once, in favour of another one.
    pub(super) fn evict(&self) {
        self.end_as(ConnectionOutcome::Evicted);
        self.evicted.cancel();
    }

    /// Waits for the eviction.
    pub(super) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }

    /// Ends the connection after its responses in progress.
    pub(super) fn close(&self) {
        self.closed.cancel();
    }

    /// Waits for [`Self::close`].
    pub(super) async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// Records why the connection ends. The first reason stays.
    pub(super) fn end_as(&self, outcome: ConnectionOutcome) {
        self.counts().outcome.get_or_insert(outcome);
    }

    /// Why the connection ended.
    pub(super) fn outcome(&self) -> ConnectionOutcome {
        self.counts().outcome.unwrap_or(ConnectionOutcome::Closed)
    }
}

/// A response that waits for a page.
pub(super) struct PageWait<'a>(&'a Activity);

impl Drop for PageWait<'_> {
    fn drop(&mut self) {
        self.0.counts().pages -= 1;
    }
}

impl Counts {
    /// Whether no byte has moved for the time `after`, and the client is the reason.
    fn is_stalled(&self, now: Instant, after: Duration) -> bool {
        let waits_for_server = self.responses > self.answer_ends.len();
        !waits_for_server && now.duration_since(self.last_byte) >= after
    }

    /// Begins the second `now`, and forgets the bytes of seconds that have left the window. Another thread may have begun
    /// a later second since the caller has read the clock.
    fn forget_before(&mut self, now: u64) {
        let passed = usize::try_from(now.saturating_sub(self.second)).unwrap_or(WINDOW);
        let passed = passed.min(WINDOW);
        self.bytes.rotate_right(passed);
        self.bytes[..passed].fill(0);
        self.second = now.max(self.second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_thread_that_has_read_the_clock_earlier_forgets_no_bytes() {
        let activity = Activity::new(true);
        activity.counts().forget_before(2);
        activity.moved(5);
        activity.counts().forget_before(1);
        assert_eq!(activity.rank().bytes, 5);
    }
}
