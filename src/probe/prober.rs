//! From a question to its answer.

use std::{collections::HashMap, fmt, future::pending, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until},
};

use super::{
    allowance,
    flight::Flights,
    line::{Line, Retrieve, Wanted},
    outcome::{Outcome, ProbeError, Reason},
    progress::{Progress, Stage, Times},
    question::{self, Question},
    samples,
    telling::Told,
};
use crate::{
    api::ErrorKind,
    config::{Account, Config},
    exposition::{Encoding, Format},
    telemetry::AccountInstruments,
    walk::RateLimiter,
};

/// Requests in flight within one share, when its rate is not above this.
const ROOM: usize = 8;

/// One request of `/probe`, as the front door has read it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The query as it was sent, without `?`.
    pub query: String,
    /// `X-Prometheus-Scrape-Timeout-Seconds` as it was sent, where it was.
    pub timeout: Option<String>,
    /// The format in which samples are wanted.
    pub format: Format,
    /// The encoding in which samples are wanted.
    pub encoding: Encoding,
}

/// The answer to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The request was wrong; the text says what would be right and repeats nothing of it.
    Refused(&'static str),
    /// Samples, in the format and the encoding that were wanted.
    Samples(Bytes),
    /// `debug=true`: a text for a person.
    Words(String),
}

/// Answers probes of every account.
pub struct Prober<R> {
    lines: Vec<Arc<Line<R>>>,
    flights: Flights,
    timeout_offset: Duration,
    requests_per_second: f64,
    room: Arc<Semaphore>,
    /// By base URL and auth id.
    shares: HashMap<(String, String), Arc<RateLimiter>>,
}

impl<R: Retrieve> Prober<R> {
    /// One without accounts. Probes together have at most half of the process's requests in flight,
    /// so that walks keep the other.
    pub fn new(config: &Config) -> Self {
        let room = (config.max_concurrent_requests / 2).max(1);
        Self {
            lines: Vec::new(),
            flights: Flights::default(),
            timeout_offset: config.probe.timeout_offset,
            requests_per_second: config.probe.requests_per_second,
            room: Arc::new(Semaphore::new(room)),
            shares: HashMap::new(),
        }
    }

    /// Adds an account; `limiter` is the one that its walks use, too.
    pub fn add(
        &mut self,
        account: &Account,
        source: Arc<R>,
        limiter: Arc<RateLimiter>,
        instruments: AccountInstruments,
    ) {
        let key = (account.api.base_url.to_string(), account.auth_id.clone());
        // Nobody waits for a limiter that is slower than the share while holding room that others need.
        let limit = limiter.rate().unwrap_or(f64::INFINITY);
        let rate = self.requests_per_second.min(limit);
        let share = self
            .shares
            .entry(key)
            .or_insert_with(|| Arc::new(RateLimiter::new(Some(rate), room_for(rate))));
        let limiters = [limiter, Arc::clone(share)];
        let room = Arc::clone(&self.room);
        let line = Line::new(Wanted::of(account), source, limiters, room, instruments);
        self.lines.push(Arc::new(line));
    }

    /// Answers within the time that the scrape has.
    pub async fn answer(&self, asked: &Asked) -> Reply {
        let begun = Instant::now();
        let find = |name: &str| {
            self.lines
                .iter()
                .position(|line| line.wanted.account == name)
        };
        let question = match question::read(&asked.query, find) {
            Ok(question) => question,
            Err(refusal) => return Reply::Refused(refusal),
        };
        let Some(allowed) = allowance::allowed(asked.timeout.as_deref(), self.timeout_offset)
        else {
            return Reply::Refused(allowance::REFUSAL);
        };
        let line = &self.lines[question.account];
        let found = self.find_out(line, &question, begun + allowed).await;
        let took = begun.elapsed();
        if let Err(failure) = &*found.outcome {
            tracing::debug!(
                account = %line.wanted.account, endpoint_id = %question.id,
                reason = failure.reason.label(), detail = %failure.words, "probe failed"
            );
        }
        let samples = samples::samples(&line.wanted, &found.outcome, took);
        if !question.debug {
            return Reply::Samples(samples.encode(asked.format, asked.encoding));
        }
        let exposition = samples.encode(Format::Text, Encoding::Identity);
        let told = Told {
            wanted: &line.wanted,
            request: &line.source.shown(&question.id),
            joined: found.joined,
            outcome: &found.outcome,
            progress: found.progress,
            allowed,
            took,
            exposition: &String::from_utf8_lossy(&exposition),
        };
        Reply::Words(told.to_string())
    }

    async fn find_out(&self, line: &Arc<Line<R>>, question: &Question, until: Instant) -> Found {
        if is_paused_beyond(line, until) {
            return Found {
                outcome: Arc::new(Err(ProbeError::paused())),
                progress: None,
                joined: false,
            };
        }
        let key = (question.account, question.id.clone());
        let begin = |progress| Arc::clone(line).ask(question.id.clone(), progress);
        let (flight, joined) = self.flights.join(key, begin);
        let progress = Arc::clone(&flight.progress);
        let outcome = tokio::select! {
            // The deadline comes first, so that no request is begun for somebody who leaves.
            biased;
            () = sleep_until(until) => (flight.landing.peek().cloned())
                .unwrap_or_else(|| Arc::new(Err(given_up(line, &progress)))),
            outcome = flight.landing.clone() => outcome,
            () = too_late(line, &progress, until) => Arc::new(Err(given_up(line, &progress))),
        };
        Found {
            outcome,
            progress: Some(progress.now()),
            joined,
        }
    }

    /// How many requests are under way or waiting.
    #[cfg(test)]
    pub(super) fn flights(&self) -> usize {
        self.flights.len()
    }
}

/// What came of a question.
struct Found {
    outcome: Arc<Outcome>,
    progress: Option<(Stage, Times)>,
    joined: bool,
}

/// Requests in flight within one share: few, so that a vendor that hangs holds few.
fn room_for(rate: f64) -> usize {
    // At most one a second's worth; the settings allow no more than a hundred a second.
    let per_second = (1..=100_u32)
        .rev()
        .find(|number| f64::from(*number) <= rate);
    per_second.map_or(ROOM, |number| ROOM.max(number as usize))
}

fn is_paused_beyond<R>(line: &Line<R>, until: Instant) -> bool {
    line.limiter.pause().is_some_and(|end| end > until)
}

/// Waits until there is no more time for a request that has not left: one that would leave now would
/// be paid for and not be waited for. With more probes than their share, that would be nearly every one.
async fn too_late<R: Retrieve>(line: &Line<R>, progress: &Progress, until: Instant) {
    let left = until.saturating_duration_since(Instant::now());
    sleep_until(until - line.usual_time().min(left / 2)).await;
    if !matches!(progress.now().0, Stage::Share | Stage::Limiter) {
        pending::<()>().await;
    }
}

/// Why there is no answer at the deadline of somebody who waits.
fn given_up<R>(line: &Line<R>, progress: &Progress) -> ProbeError {
    let (stage, _) = progress.now();
    match stage {
        Stage::Share | Stage::Limiter if line.limiter.pause().is_some() => ProbeError::paused(),
        Stage::Share => ProbeError::unanswered(
            Reason::Throttled,
            "more was asked for than probe.requests_per_second allows",
        ),
        Stage::Limiter if line.limiter.is_full() => ProbeError::unanswered(
            Reason::Throttled,
            "as many requests were in flight as api.max_concurrent_requests allows",
        ),
        Stage::Limiter => ProbeError::unanswered(
            Reason::Throttled,
            "more was asked for than api.requests_per_second allows",
        ),
        Stage::Request | Stage::Landed => ProbeError::unanswered(
            Reason::Request(ErrorKind::Timeout),
            "no complete answer within this probe's time",
        ),
    }
}

impl<R> fmt::Debug for Prober<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prober")
            .field("accounts", &self.lines.len())
            .field("flights", &self.flights)
            .finish_non_exhaustive()
    }
}
