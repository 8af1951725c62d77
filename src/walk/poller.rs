//! One account, for as long as the process lives: wait, walk, publish.

use std::{
    collections::HashSet, convert::Infallible, panic::AssertUnwindSafe, sync::Arc, time::Duration,
};

use futures_util::FutureExt;
use tokio::time::{Instant, timeout_at};

use super::{
    RateLimiter, Schedule, Source, WalkError,
    confirm::{Candidate, Confirmation, Shortfalls, Verdict},
    details::{self, DetailFetcher},
    fetch::{PageFetcher, Work},
    groups::group_of,
    list::{self, CompleteList},
    report::{self, IntervalNote},
    schedule::Ended,
    token_file::{TokenChange, TokenFile},
};
use crate::{
    api::RowKey,
    clock::{Clock, UnixMillis},
    config::{Account, Optional},
    shutdown::CancellationToken,
    snapshot::{self, AccountState, Publisher, Reader, Retention, Shown, Snapshot, WalkFacts},
    telemetry::AccountInstruments,
};

/// How often a refused account's token file is looked at.
const TOKEN_LOOK: Duration = Duration::from_secs(5);

/// What a poller needs beside its account's settings.
#[derive(Debug, Clone)]
pub struct PollerDeps {
    /// Wall time.
    pub clock: Clock,
    /// The account's instruments.
    pub instruments: AccountInstruments,
    /// The limiter of the account's base URL and auth id.
    pub limiter: Arc<RateLimiter>,
}

/// Walks one account's list again and again.
#[derive(Debug)]
pub struct Poller<S> {
    account: Account,
    source: Arc<S>,
    deps: PollerDeps,
    publisher: Publisher,
    schedule: Schedule,
    details: DetailFetcher<S>,
    token: TokenFile,
    confirmation: Confirmation,
    shortfalls: Shortfalls,
    /// Ids that stood on two rows in the last walk.
    duplicates: HashSet<RowKey>,
    interval_note: IntervalNote,
}

impl<S: Source> Poller<S> {
    /// A poller whose first walk starts `first_in` from now, and the reading end of its gallery.
    pub fn new(
        account: Account,
        source: Arc<S>,
        deps: PollerDeps,
        first_in: Duration,
    ) -> (Self, Reader) {
        let schedule = Schedule::new(
            account.poll.interval,
            account.poll.max_age,
            Instant::now() + first_in,
        );
        let (publisher, reader) = snapshot::channel(AccountState {
            account: account.name.as_str().into(),
            shown: Arc::new(shown(&account)),
            snapshot: None,
            details: Arc::default(),
            details_pending: 0,
            up: None,
            confirming: false,
            clock_offset: None,
            poll_interval: schedule.effective_interval(),
            max_age: schedule.effective_max_age(),
            withdraw_at: None,
            failure: None,
        });
        let token = TokenFile::new(&account.token);
        let confirmation = Confirmation::new(&account.poll);
        let interval_note = IntervalNote::new(&account);
        let details = DetailFetcher::new(&account, Arc::clone(&source), deps.clone());
        let poller = Self {
            account,
            source,
            deps,
            publisher,
            schedule,
            details,
            token,
            confirmation,
            shortfalls: Shortfalls::default(),
            duplicates: HashSet::new(),
            interval_note,
        };
        (poller, reader)
    }

    /// Walks until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        // The first walk starts at once: jitter is for later ticks.
        let mut chance = 0.0;
        let forever = async {
            loop {
                self.wait(self.schedule.next_start(chance)).await;
                chance = fastrand::f64();
                let mut under_way = self.details.lend();
                // A failure is told, counted and published where it happens.
                let (_, arrivals) = details::beside(&mut under_way, self.walk()).await;
                let known = Arc::clone(&self.publisher.current().details);
                self.details.take_back(under_way, arrivals, &known);
            }
        };
        shutdown.run_until_cancelled(forever).await;
    }

    /// Waits for the next walk; a new token for refused credentials starts it at once.
    async fn wait(&mut self, start: Instant) {
        while self.schedule.is_backing_off() && Instant::now() + TOKEN_LOOK < start {
            self.retrieve_until(Instant::now() + TOKEN_LOOK).await;
            if let TokenChange::Changed(token) = self.token.look().await {
                tracing::info!(account = %self.account.name, "the token has changed: trying it");
                self.source.set_token(token);
                return;
            }
        }
        self.retrieve_until(start).await;
    }

    /// Retrieves single records until `end`. Requests under way need it even where nobody is asked: what
    /// nobody polls never ends, and keeps its place among the requests of the process.
    async fn retrieve_until(&mut self, end: Instant) {
        let retrieve = async {
            loop {
                let known = Arc::clone(&self.publisher.current().details);
                self.details.work(end, &known).await;
                self.publish_details();
            }
        };
        let _: Result<Infallible, _> = timeout_at(end, retrieve).await;
        // What waits for others to come would be asked for once more after the walk.
        self.publish_details();
    }

    /// Publishes the details that have arrived since the last publication, and how many are pending.
    fn publish_details(&mut self) {
        let arrived = self.details.arrived();
        let details_pending = self.details.pending();
        let before = self.publisher.current();
        if arrived.is_empty() && details_pending == before.details_pending {
            return;
        }
        let details = if arrived.is_empty() {
            Arc::clone(&before.details)
        } else {
            Arc::new(before.details.with(arrived))
        };
        self.publisher.publish(AccountState {
            details,
            details_pending,
            ..(*before).clone()
        });
    }

    /// One walk, from the token to the published state. A panic on the way is a failed walk.
    ///
    /// # Errors
    /// Why there is no new snapshot. It has been logged, counted and published already.
    pub async fn walk(&mut self) -> Result<(), WalkError> {
        let started = Instant::now();
        let mut schedule = self.schedule.clone();
        schedule.begins(started);
        // What a broken walk may leave half changed is the schedule, which is put back. All else is
        // made anew for each walk, or swapped as a whole.
        let walk = AssertUnwindSafe(self.walk_unguarded()).catch_unwind().await;
        walk.unwrap_or_else(|_| {
            self.schedule = schedule;
            let how = Ended::Badly {
                refused: false,
                not_before: None,
            };
            self.walk_ended(how);
            let failure = WalkError::bug();
            report::failed(&self.account, &failure, 0, started.elapsed());
            self.publish_failure(&failure);
            Err(failure)
        })
    }

    async fn walk_unguarded(&mut self) -> Result<(), WalkError> {
        self.renew_token().await;
        let started_at = self.deps.clock.now();
        let started = Instant::now();
        self.schedule.begins(started);
        self.deps.instruments.walk_started();
        let limiter = Arc::clone(&self.deps.limiter);
        let _walking = limiter.begin_walk();
        let fetcher = PageFetcher::new(
            Arc::clone(&self.source),
            Arc::clone(&self.deps.limiter),
            self.deps.instruments.clone(),
            &self.account,
        );
        // Boxed: between two walks, which is nearly always, a poller need not keep room for one.
        let result = Box::pin(list::read(&fetcher, &self.duplicates)).await;
        let (work, took) = (fetcher.work(), started.elapsed());
        match result {
            Ok(found) => {
                self.walk_succeeded(found, work, (started_at, started));
                Ok(())
            }
            Err(failure) => {
                self.walk_ended(Ended::Badly {
                    refused: failure.refused,
                    not_before: failure.not_before,
                });
                report::failed(&self.account, &failure, work.pages, took);
                self.publish_failure(&failure);
                Err(failure)
            }
        }
    }

    fn walk_ended(&mut self, how: Ended) {
        let skipped = self.schedule.ended(Instant::now(), how);
        self.deps.instruments.walks_skipped(skipped);
    }

    /// The list was read to its end: publishes it now, or waits for a walk that agrees.
    fn walk_succeeded(
        &mut self,
        mut found: CompleteList,
        work: Work,
        (started_at, started): (UnixMillis, Instant),
    ) {
        let took = started.elapsed();
        self.duplicates = std::mem::take(&mut found.duplicates);
        let is_settled = (self.shortfalls).is_settled(found.shortfall, found.overlapped);
        let retention = found.retention(is_settled, self.schedule.effective_max_age());
        let candidate = Candidate {
            endpoints: &found.endpoints,
            retention,
            started,
        };
        let state = self.publisher.current();
        let published = state.snapshot.as_deref();
        let verdict = (self.confirmation).judge(candidate, published, state.withdraw_at);
        let confirm_at = match verdict {
            Verdict::Publish => None,
            Verdict::Wait { confirm_at, .. } => Some(confirm_at),
        };
        self.walk_ended(Ended::Well { took, confirm_at });
        let effective = self.schedule.effective_interval();
        let rate = self.deps.limiter.rate();
        if let Some(warning) = (self.interval_note).warning(work, took, effective, rate) {
            tracing::warn!(account = %self.account.name, "{warning}");
        }
        match verdict {
            Verdict::Publish => {
                let walk = WalkFacts {
                    pages: work.pages,
                    reported: found.reported,
                    missing: if is_settled { 0 } else { found.shortfall },
                    rejected_rows: found.rejected_rows,
                    ..WalkFacts::new(started_at, self.deps.clock.now(), took)
                };
                self.publish(found, walk, retention);
            }
            Verdict::Wait { confirm_at, change } => {
                let confirm_in = confirm_at.saturating_duration_since(Instant::now());
                report::unconfirmed(&self.account, change, confirm_in);
                self.publish_unconfirmed(&found);
            }
        }
    }

    async fn renew_token(&mut self) {
        match self.token.look().await {
            TokenChange::Same => {}
            TokenChange::Changed(token) => {
                tracing::info!(account = %self.account.name, "the token has changed");
                self.source.set_token(token);
            }
            TokenChange::Unreadable(error) => {
                tracing::warn!(account = %self.account.name, %error, "keeping the token in use");
                self.deps.instruments.token_read_failed();
            }
        }
    }

    /// The walk awaits another one that agrees. The last snapshot stays, and grows older. An account
    /// whose snapshot is hidden because of its age is not up.
    fn publish_unconfirmed(&mut self, found: &CompleteList) {
        let before = self.publisher.current();
        self.publisher.publish(AccountState {
            snapshot: self.without_expired(&before),
            details_pending: self.details.pending(),
            up: Some(before.withdraw_at.is_none_or(|at| at > Instant::now())),
            confirming: true,
            clock_offset: found.clock_offset.or(before.clock_offset),
            poll_interval: self.schedule.effective_interval(),
            max_age: self.schedule.effective_max_age(),
            failure: None,
            ..(*before).clone()
        });
    }

    /// The published snapshot without retained endpoints that are too old. The same one, if there are
    /// none, so that what was rendered from it is used again.
    fn without_expired(&self, state: &AccountState) -> Option<Arc<Snapshot>> {
        let snapshot = state.snapshot.as_ref()?;
        let max_age = self.schedule.effective_max_age();
        let Some(rest) = snapshot.without_expired(Instant::now(), max_age) else {
            return Some(Arc::clone(snapshot));
        };
        let removed = (snapshot.len() - rest.len()) as u64;
        self.deps.instruments.endpoint_changes(0, removed, 0);
        Some(Arc::new(rest))
    }

    fn publish(&mut self, found: CompleteList, walk: WalkFacts, retention: Retention) {
        let before = self.publisher.current();
        let max_age = self.schedule.effective_max_age();
        let groups = &self.account.groups;
        let (snapshot, changes) =
            found
                .endpoints
                .build(before.snapshot.as_deref(), walk, retention, &|endpoint| {
                    group_of(groups, endpoint)
                });
        let instruments = &self.deps.instruments;
        instruments.registration_changes(changes.lost, changes.gained);
        instruments.endpoint_changes(changes.added, changes.removed, changes.application);
        report::published(&self.account, &snapshot, &changes);
        let snapshot = Arc::new(snapshot);
        let interval = self.schedule.effective_interval();
        let details = self.details.open(
            &snapshot,
            before.snapshot.as_deref(),
            interval,
            &before.details,
        );
        self.publisher.publish(AccountState {
            snapshot: Some(snapshot),
            details,
            details_pending: self.details.pending(),
            up: Some(true),
            confirming: false,
            clock_offset: found.clock_offset.or(before.clock_offset),
            poll_interval: interval,
            max_age,
            withdraw_at: Some(Instant::now() + max_age),
            failure: None,
            ..(*before).clone()
        });
    }

    fn publish_failure(&mut self, failure: &WalkError) {
        let reason = failure.reason.label();
        self.deps.instruments.walk_failed(reason);
        let before = self.publisher.current();
        let snapshot = self.without_expired(&before);
        self.publisher.publish(AccountState {
            snapshot,
            details: self.details.close(&before.details),
            up: Some(false),
            details_pending: self.details.pending(),
            confirming: self.confirmation.is_pending(),
            failure: Some(reason),
            ..(*before).clone()
        });
    }
}

fn shown(account: &Account) -> Shown {
    let optional = |one| account.metrics.groups.contains(&one);
    Shown {
        username: account.metrics.username,
        user_agent: optional(Optional::UserAgent),
        timestamps: optional(Optional::Timestamps),
        permissions: optional(Optional::Permissions),
        contact: optional(Optional::Contact),
        groups: (account.groups.iter())
            .map(|group| (group.name.clone(), group.watch.label()))
            .collect(),
        applications: account.applications.clone(),
    }
}
