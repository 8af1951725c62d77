//! One account, for as long as the process lives: wait, walk, publish.

use std::{convert::Infallible, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::time::{Instant, timeout_at};

use super::{
    Failure, Pace, Schedule, Source,
    ask::Asker,
    details::{self, Desk},
    groups::group_of,
    report::{self, PaceNote},
    schedule::Ended,
    token::{Look, TokenInUse},
    walk::{self, Debt, Found},
};
use crate::{
    clock::{Clock, UnixMillis},
    config::{Account, Optional},
    shutdown::Token,
    snapshot::{self, AccountState, Publisher, Reader, Shown, WalkFacts},
    telemetry::AccountInstruments,
};

/// How often a refused account's token file is looked at.
const TOKEN_LOOK: Duration = Duration::from_secs(5);
/// A picture of fewer endpoints may change as it likes: there, shares mean nothing.
const SUSPICION_FROM: usize = 10;

/// What a poller needs beside its account's settings.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Wall time.
    pub clock: Clock,
    /// The account's instruments.
    pub instruments: AccountInstruments,
    /// The account's share of the vendor's patience.
    pub pace: Arc<Pace>,
}

/// Walks one account's list again and again.
#[derive(Debug)]
pub struct Poller<S> {
    account: Account,
    source: Arc<S>,
    around: Surroundings,
    publisher: Publisher,
    schedule: Schedule,
    desk: Desk<S>,
    token: TokenInUse,
    /// What the count of the last published walk owed.
    debt: Debt,
    /// A suspicious walk could not be confirmed: the next proven one needs no second reading.
    unconfirmed: bool,
    pace_note: Arc<PaceNote>,
}

impl<S: Source> Poller<S> {
    /// A poller whose first walk starts `first_in` from now, and the reading end of its gallery.
    pub fn new(
        account: Account,
        source: Arc<S>,
        around: Surroundings,
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
            picture: None,
            details: Arc::default(),
            details_pending: 0,
            up: None,
            suspect: false,
            clock_offset: None,
            poll_interval: schedule.effective_interval(),
            max_age: schedule.effective_max_age(),
            withdraw_at: None,
            failure: None,
        });
        let token = TokenInUse::new(&account.token);
        let pace_note = Arc::new(PaceNote::new(&account));
        let desk = Desk::new(&account, Arc::clone(&source), around.clone());
        let poller = Self {
            account,
            source,
            around,
            publisher,
            schedule,
            desk,
            token,
            debt: Debt::default(),
            unconfirmed: false,
            pace_note,
        };
        (poller, reader)
    }

    /// Walks until `shutdown`.
    pub async fn run(mut self, shutdown: Token) {
        // The first walk starts at once: jitter is for later ticks.
        let mut chance = 0.0;
        let forever = async {
            loop {
                self.wait(self.schedule.next_start(chance)).await;
                chance = fastrand::f64();
                let mut under_way = self.desk.lend();
                // A failure is told, counted and published where it happens.
                let (_, arrivals) = details::beside(&mut under_way, self.walk()).await;
                let known = Arc::clone(&self.publisher.current().details);
                self.desk.take_back(under_way, arrivals, &known);
            }
        };
        shutdown.run_until_cancelled(forever).await;
    }

    /// Waits for the next walk; a new token for refused credentials starts it at once.
    async fn wait(&mut self, start: Instant) {
        while self.schedule.is_backing_off() && Instant::now() + TOKEN_LOOK < start {
            self.retrieve_until(Instant::now() + TOKEN_LOOK).await;
            if let Look::Changed(token) = self.token.look().await {
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
                self.desk.work(end, &known).await;
                self.publish_details();
            }
        };
        let _: Result<Infallible, _> = timeout_at(end, retrieve).await;
        // What waits for others to come would be asked for once more after the walk.
        self.publish_details();
    }

    /// Publishes the details that have arrived since the last publication.
    fn publish_details(&mut self) {
        let arrived = self.desk.arrived();
        if arrived.is_empty() {
            return;
        }
        let before = self.publisher.current();
        self.publisher.publish(AccountState {
            details: Arc::new(before.details.with(arrived)),
            details_pending: self.desk.pending(),
            ..(*before).clone()
        });
    }

    /// One walk, from the token to the published state. A panic on the way is a failed walk.
    ///
    /// # Errors
    /// Why there is no new picture. It has been logged, counted and published already.
    pub async fn walk(&mut self) -> Result<(), Failure> {
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
            let skipped = self.schedule.ended(Instant::now(), how);
            self.around.instruments.walks_skipped(skipped);
            let failure = Failure::bug();
            report::failed(&self.account, &failure, 0, started.elapsed());
            self.publish_failure(&failure);
            Err(failure)
        })
    }

    async fn walk_unguarded(&mut self) -> Result<(), Failure> {
        self.renew_token().await;
        let started_at = self.around.clock.now();
        let started = Instant::now();
        self.schedule.begins(started);
        self.around.instruments.walk_started();
        let pace = Arc::clone(&self.around.pace);
        let _walking = pace.walking();
        let asker = Asker::new(
            Arc::clone(&self.source),
            Arc::clone(&self.around.pace),
            self.around.instruments.clone(),
            Arc::clone(&self.pace_note),
            &self.account,
        );
        // Boxed: between two walks, which is nearly always, a poller need not keep room for one.
        let result = Box::pin(self.find(&asker)).await;
        let ended = match &result {
            Ok(_) => Ended::Well(started.elapsed()),
            Err(failure) => Ended::Badly {
                refused: failure.refused,
                not_before: failure.not_before,
            },
        };
        let skipped = self.schedule.ended(Instant::now(), ended);
        self.around.instruments.walks_skipped(skipped);
        match result {
            Ok(found) => {
                self.publish(found, started_at, started.elapsed(), asker.pages());
                Ok(())
            }
            Err(failure) => {
                report::failed(&self.account, &failure, asker.pages(), started.elapsed());
                self.publish_failure(&failure);
                Err(failure)
            }
        }
    }

    async fn renew_token(&mut self) {
        match self.token.look().await {
            Look::Same => {}
            Look::Changed(token) => {
                tracing::info!(account = %self.account.name, "the token has changed");
                self.source.set_token(token);
            }
            Look::Unreadable(error) => {
                tracing::warn!(account = %self.account.name, %error, "keeping the token in use");
                self.around.instruments.token_read_failed();
            }
        }
    }

    /// A reading that can be published: a suspicious one is read a second time.
    async fn find(&mut self, asker: &Asker<S>) -> Result<Found, Failure> {
        let concurrency = self.account.api.concurrency;
        let first = walk::find(asker, concurrency, self.debt).await?;
        let Some(kind) = self.suspicion(&first) else {
            return Ok(first);
        };
        drop(first);
        self.around.instruments.reread(kind);
        tracing::warn!(
            account = %self.account.name, kind,
            "the list changed more than is believed at once: reading it again"
        );
        self.publish_suspect();
        asker.start_again(self.account.poll.deadline);
        walk::find(asker, concurrency, self.debt)
            .await
            .map_err(|failure| {
                self.unconfirmed = true;
                failure.unconfirmed()
            })
    }

    /// Why a reading is not believed at once, if it is not; the `reason` of a reread.
    fn suspicion(&self, found: &Found) -> Option<&'static str> {
        let state = self.publisher.current();
        let picture = state.picture.as_deref()?;
        let withdrawn = state.withdraw_at.is_some_and(|at| at <= Instant::now());
        if self.unconfirmed || withdrawn || picture.len() < SUSPICION_FROM {
            return None;
        }
        let seen = found.sealed.compare(picture);
        let share = self.account.poll.flip_share;
        if exceeds(seen.missing, seen.common + seen.missing, share) {
            Some("shrink")
        } else if exceeds(seen.flipped, seen.common, share) {
            Some("flip")
        } else {
            None
        }
    }

    fn publish_suspect(&mut self) {
        let state = AccountState {
            suspect: true,
            ..(*self.publisher.current()).clone()
        };
        self.publisher.publish(state);
    }

    fn publish(&mut self, found: Found, started_at: UnixMillis, duration: Duration, pages: u64) {
        let before = self.publisher.current();
        let max_age = self.schedule.effective_max_age();
        let ended_at = self.around.clock.now();
        let facts = WalkFacts {
            pages,
            reported: found.reported,
            missing: found.missing,
            rejected_rows: found.rejected_rows,
            ..WalkFacts::new(started_at, ended_at, duration)
        };
        let hold = found.hold(max_age);
        let groups = &self.account.groups;
        let (picture, changes) =
            found
                .sealed
                .paint(before.picture.as_deref(), facts, hold, &|endpoint| {
                    group_of(groups, endpoint)
                });
        self.debt = found.debt;
        self.unconfirmed = false;
        let instruments = &self.around.instruments;
        instruments.registration_changes(changes.lost, changes.gained);
        instruments.endpoint_changes(changes.added, changes.removed, changes.application);
        report::published(&self.account, &picture, &changes);
        let picture = Arc::new(picture);
        let interval = self.schedule.effective_interval();
        let details = self.desk.open(
            &picture,
            before.picture.as_deref(),
            interval,
            &before.details,
        );
        self.publisher.publish(AccountState {
            picture: Some(picture),
            details,
            details_pending: self.desk.pending(),
            up: Some(true),
            suspect: false,
            clock_offset: found.clock_offset.or(before.clock_offset),
            poll_interval: interval,
            max_age,
            withdraw_at: Some(Instant::now() + max_age),
            failure: None,
            ..(*before).clone()
        });
    }

    fn publish_failure(&mut self, failure: &Failure) {
        let reason = failure.reason.label();
        self.around.instruments.walk_failed(reason);
        let before = self.publisher.current();
        let picture = before.picture.as_ref().map(|picture| {
            let max_age = self.schedule.effective_max_age();
            let Some(rest) = picture.without_overdue(Instant::now(), max_age) else {
                // The same picture, so that what was rendered from it is used again.
                return Arc::clone(picture);
            };
            let removed = (picture.len() - rest.len()) as u64;
            self.around.instruments.endpoint_changes(0, removed, 0);
            Arc::new(rest)
        });
        self.publisher.publish(AccountState {
            picture,
            details: self.desk.close(&before.details),
            up: Some(false),
            suspect: self.unconfirmed,
            failure: Some(reason),
            ..(*before).clone()
        });
    }
}

fn exceeds(part: u64, whole: u64, share: f64) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "a million endpoints at most")]
    let (part, whole) = (part as f64, whole as f64);
    part > whole * share
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
