//! One page, whatever it takes within the time the walk has.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until, timeout_at};

use super::{Failure, Pace, Reason, Source, backoff, pace::Paused, report::PaceNote};
use crate::{
    api::{self, ErrorKind, Page},
    config::{Account, Optional},
    telemetry::{AccountInstruments, Operation, ThrottleCause},
};

/// Asks for the pages of one walk.
#[derive(Debug)]
pub(super) struct Asker<S> {
    pub(super) source: Arc<S>,
    pub(super) pace: Arc<Pace>,
    pub(super) instruments: AccountInstruments,
    pub(super) page_size: u32,
    pub(super) retries: u32,
    pub(super) concurrency: usize,
    /// Are the addresses of devices wanted?
    pub(super) with_contacts: bool,
    pub(super) pace_note: Arc<PaceNote>,
    progress: Mutex<Progress>,
}

/// How far a walk is.
#[derive(Debug)]
struct Progress {
    /// When it must have ended: its deadline beyond what the limiter needs for planned requests.
    until: Instant,
    /// Pages received.
    pages: u64,
    /// The last fault of any request: it explains a walk that ran out of time.
    last_fault: Option<api::Error>,
}

impl<S: Source> Asker<S> {
    /// An asker for one walk, which begins now.
    pub(super) fn new(
        source: Arc<S>,
        pace: Arc<Pace>,
        instruments: AccountInstruments,
        pace_note: Arc<PaceNote>,
        account: &Account,
    ) -> Self {
        let until = Instant::now() + account.poll.deadline;
        let progress = Mutex::new(Progress {
            until,
            pages: 0,
            last_fault: None,
        });
        let (page_size, retries) = (account.api.page_size, account.api.retries);
        let with_contacts = account.metrics.groups.contains(&Optional::Contact);
        Self {
            source,
            pace,
            instruments,
            page_size,
            retries,
            concurrency: account.api.concurrency,
            with_contacts,
            pace_note,
            progress,
        }
    }

    /// This many more requests are planned: the time the limiter takes for them is not counted
    /// against the walk.
    pub(super) fn plan(&self, requests: u64) {
        self.progress().until += self.pace.time_for(requests);
    }

    /// The walk begins anew, with its own deadline, to confirm what it has shown.
    pub(super) fn start_again(&self, deadline: Duration) {
        let mut progress = self.progress();
        progress.until = Instant::now() + deadline;
        progress.last_fault = None;
    }

    /// Pages received so far.
    pub(super) fn pages(&self) -> u64 {
        self.progress().pages
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the page at `offset`; tries again what may succeed, while there is time.
    pub(super) async fn page(&self, offset: u64) -> Result<Page, Failure> {
        let mut retry = 0;
        loop {
            let error = match self.attempt(offset).await? {
                Ok(page) => {
                    self.progress().pages += 1;
                    return Ok(page);
                }
                Err(error) => error,
            };
            self.progress().last_fault = Some(error.clone());
            let not_before = error.retry_after.map(|wait| self.pace.heed(wait));
            let again = Instant::now() + backoff::wait(retry + 1, fastrand::f64());
            let start = not_before.map_or(again, |not_before| again.max(not_before));
            let may_pass = error.kind.is_retryable() && retry < self.retries;
            if !may_pass || start >= self.progress().until {
                return Err(Failure::request(&error, not_before));
            }
            retry += 1;
            self.instruments.retry(Operation::ListEndpoints);
            // What the vendor asks for concerns every request of the account, so all of them wait,
            // and it is in their turns that they do.
            if error.kind == ErrorKind::RateLimited {
                self.pace.pause_until(start);
            } else {
                sleep_until(again).await;
            }
        }
    }

    /// One attempt in its turn; the outer error is a walk that has run out of time.
    async fn attempt(&self, offset: u64) -> Result<Result<Page, api::Error>, Failure> {
        let until = self.progress().until;
        let turn = self
            .pace
            .turn(until)
            .await
            .map_err(|paused| self.paused(paused))?;
        self.instruments
            .throttled(ThrottleCause::Limiter, turn.limiter);
        self.instruments
            .throttled(ThrottleCause::Vendor, turn.vendor);
        let until = {
            let mut progress = self.progress();
            progress.until += self.pace.excess(&turn, self.concurrency);
            progress.until
        };
        // Boxed, because many places of a walk hold this future and a process may have hundreds
        // of walks.
        let answer = Box::pin(self.source.page(offset, self.page_size));
        let answer = timeout_at(until, answer).await;
        drop(turn);
        answer.map_err(|_| self.out_of_time())
    }

    /// The vendor's pause does not fit into the walk.
    fn paused(&self, Paused(end): Paused) -> Failure {
        let fault = self.progress().last_fault.clone();
        let reason = fault.map_or(ErrorKind::RateLimited, |fault| fault.kind);
        Failure {
            not_before: Some(end),
            ..Failure::new(
                Reason::Request(reason),
                "the vendor has asked for a longer pause",
            )
        }
    }

    fn out_of_time(&self) -> Failure {
        match &self.progress().last_fault {
            Some(error) => Failure::new(
                Reason::Request(error.kind),
                format!("the walk ran out of time after: {error}"),
            ),
            None => Failure::new(Reason::Deadline, "the walk ran out of time"),
        }
    }
}
