//! The poller of one account. It waits, walks and publishes in a loop.

use std::{collections::HashSet, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{
    completeness::{self, CompleteList, Shortfalls},
    confirm::Confirmation,
    details::DetailFetcher,
    fetch::{PageFetcher, PollerDeps, Source, WalkError, Work},
    judge::{Judge, group_of},
    log,
    record::Ended,
    schedule::Schedule,
    settings::{NewSettings, SettingsSender, shown},
};
use crate::{
    api::RowKey,
    config::{Account, Effect, TokenFile},
    shutdown::CancellationToken,
    snapshot::{
        self, AccountState, EndpointView, LastSuccess, Publisher, Reader, Retention, Snapshot,
        WalkFacts, WalkRecord,
    },
    state::{AccountStore, Change, Restored},
    telemetry::Metric,
};

/// While the API refuses the credentials, the poller reads the token file at this interval.
const TOKEN_INTERVAL: Duration = Duration::from_secs(5);

/// If no walk is published for this many effective intervals, the account is stale.
const STALE_AFTER: u32 = 3;

/// Walks the list of one account repeatedly.
#[derive(Debug)]
pub struct Poller<S> {
    account: Account,
    source: Arc<S>,
    deps: PollerDeps,
    new_settings: watch::Receiver<Option<Arc<NewSettings<S>>>>,
    publisher: Publisher,
    schedule: Schedule,
    details: DetailFetcher<S>,
    token: TokenFile,
    confirmation: Confirmation,
    shortfalls: Shortfalls,
    /// Ids that the last successful walk found on two rows of the list.
    duplicates: HashSet<RowKey>,
    /// The longest effective interval about which the poller has warned. At first, it is `poll.interval`.
    warned_interval: Duration,
    store: Option<AccountStore>,
    /// Whether details have been published that are not saved.
    has_unsaved_details: bool,
    /// The last published snapshot of an earlier process, until the first walk is published.
    restored: Option<Arc<Snapshot>>,
}

impl<S: Source> Poller<S> {
    /// Returns a poller and a reader of its published state. `run` starts the first walk after `first_in`.
    pub fn new(
        account: Account,
        source: Arc<S>,
        deps: PollerDeps,
        first_in: Duration,
    ) -> (Self, Reader) {
        let poll = &account.poll;
        let schedule = Schedule::new(poll.interval, poll.max_age, Instant::now() + first_in);
        let (publisher, reader) = snapshot::channel(AccountState {
            account: account.name.as_str().into(),
            shown: Arc::new(shown(&account)),
            poll_interval: schedule.effective_interval(),
            max_age: schedule.effective_max_age(),
            ..AccountState::default()
        });
        let poller = Self {
            new_settings: watch::Sender::new(None).subscribe(),
            publisher,
            schedule,
            details: DetailFetcher::new(&account, Arc::clone(&source), deps.clone()),
            token: TokenFile::new(&account.token),
            confirmation: Confirmation::new(poll),
            shortfalls: Shortfalls::default(),
            duplicates: HashSet::new(),
            warned_interval: poll.interval,
            store: None,
            has_unsaved_details: false,
            restored: None,
            account,
            source,
            deps,
        };
        (poller, reader)
    }

    /// Saves each published walk in `store`, and continues with the state `restored` of an earlier process. The
    /// restored endpoints are not exported, but the next walk is compared with them. To be called before `run`.
    pub fn restore(&mut self, store: Option<AccountStore>, restored: Option<Restored>) {
        self.store = store;
        if let Some(restored) = restored {
            self.take_over(restored);
        }
    }

    /// Continues with the state of an earlier process, because this one has not published a walk yet.
    fn take_over(&mut self, restored: Restored) {
        let Restored {
            snapshot,
            account,
            judgements,
        } = restored;
        let mut state = (*self.publisher.current()).clone();
        let now = self.deps.clock.now();
        state.judgements = self.judge().after_restart(&judgements, &snapshot, now);
        if state.up.is_none() {
            state.failure = account.failure;
            state.refusals = account.refusals;
        }
        if let Some(ended_at) = account.last_success {
            self.schedule.fit(account.walk_took);
            let age = self.deps.clock.now().since(ended_at);
            state.last_success = Some(LastSuccess::new(ended_at, age));
            self.set_limits(&mut state);
            self.restored = Some(snapshot);
        }
        self.publisher.publish(state);
    }

    /// A way to change the settings while the poller runs.
    pub fn settings_sender(&mut self) -> SettingsSender<S> {
        let sender = watch::Sender::new(None);
        self.new_settings = sender.subscribe();
        sender
    }

    /// Walks repeatedly until `shutdown` is cancelled.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let forever = async {
            loop {
                self.wait(fastrand::f64()).await;
                // `walk` itself logs, counts and publishes a failure, so its result is not needed here.
                let _ = self.walk().await;
            }
        };
        shutdown.run_until_cancelled(forever).await;
    }

    /// Waits until the next walk is due. `chance` is the random part of its jitter. New settings can change the time
    /// of the walk. If the API refused the credentials, a new token in the token file ends the wait.
    async fn wait(&mut self, chance: f64) {
        loop {
            let (start, now) = (self.schedule.next_start(chance), Instant::now());
            let watches_token = self.schedule.is_backing_off() && now + TOKEN_INTERVAL < start;
            let end = if watches_token {
                now + TOKEN_INTERVAL
            } else {
                start
            };
            self.retrieve_until(end).await;
            self.take_new_settings().await;
            if Instant::now() < end {
                // New settings have ended the wait, and can have changed the start.
                continue;
            }
            if !watches_token {
                return;
            }
            if let Ok(Some(token)) = self.token.reload().await {
                tracing::info!(account = %self.account.name, "the token has changed: trying it");
                self.source.set_token(token);
                return;
            }
        }
    }

    /// Takes over new settings, if there are any, and shows them. After the effect [`Effect::Walk`], a walk is due.
    async fn take_new_settings(&mut self) -> Option<Effect> {
        let new = {
            let new = self.new_settings.borrow_and_update();
            new.clone().filter(|_| new.has_changed())?
        };
        let mut effect = new.account.effect_after(&self.account);
        // Settings may have changed twice, back to those before. Their source is another one.
        if !Arc::ptr_eq(&new.source, &self.source) {
            effect = Some(Effect::Walk);
        }
        let effect = effect?;
        tracing::info!(account = %new.account.name, "the account uses its new settings");
        let mut state = (*self.publisher.current()).clone();
        let has_new_groups = new.account.groups != self.account.groups;
        self.account = new.account.clone();
        state.shown = Arc::new(shown(&self.account));
        if effect == Effect::Walk {
            self.source = Arc::clone(&new.source);
            self.deps.limiter = Arc::clone(&new.limiter);
            self.restart(&mut state);
        }
        if let Some(snapshot) = state.snapshot.as_mut().filter(|_| has_new_groups) {
            let group_of = |one: &EndpointView<'_>| group_of(&self.account, one);
            *snapshot = Arc::new(snapshot.with_groups(&group_of));
            let now = self.deps.clock.now();
            state.judgements = self.judge().after_change(&state.judgements, snapshot, now);
        } else if let Some(restored) = self.restored.as_ref().filter(|_| has_new_groups) {
            let now = self.deps.clock.now();
            state.judgements = self.judge().after_restart(&state.judgements, restored, now);
        }
        let state = Arc::new(state);
        self.save(&state).await;
        self.publisher.publish(state);
        Some(effect)
    }

    /// Begins again with the settings of the account, and keeps what the walks so far have found.
    fn restart(&mut self, state: &mut AccountState) {
        let (account, now) = (&self.account, Instant::now());
        self.token = TokenFile::new(&account.token);
        let poll = &account.poll;
        self.schedule.restart(poll.interval, poll.max_age, now);
        self.warned_interval = poll.interval;
        self.confirmation = Confirmation::new(poll);
        let details = DetailFetcher::new(account, Arc::clone(&self.source), self.deps.clone());
        let earlier = std::mem::replace(&mut self.details, details);
        self.details.continue_after(earlier);
        state.confirming = false;
        state.details_pending = self.details.pending();
        self.set_limits(state);
    }

    /// Sets the limits of the age of the last published walk by the schedule.
    fn set_limits(&self, state: &mut AccountState) {
        let now = Instant::now();
        state.poll_interval = self.schedule.effective_interval();
        state.max_age = self.schedule.effective_max_age();
        let age = state.last_success.map(|last| last.age(now));
        let after = |limit: Duration| age.map(|age| now + limit.saturating_sub(age));
        state.stale_at = after(state.poll_interval * STALE_AFTER);
        state.withdraw_at = after(state.max_age);
    }

    /// Retrieves details until `end` or until there are new settings, and publishes them.
    async fn retrieve_until(&mut self, end: Instant) {
        let mut new_settings = self.new_settings.clone();
        let retrieve = async {
            loop {
                let known = Arc::clone(&self.publisher.current().details);
                self.details.work(end, &known).await;
                self.publish_details();
            }
        };
        tokio::select! {
            // Without a sender, this branch fails at once and is ignored.
            Ok(()) = new_settings.changed() => {}
            _ = timeout_at(end, retrieve) => {}
        }
        // Without this call, the next walk would lack the newest details, and they would be retrieved again.
        self.publish_details();
        if std::mem::take(&mut self.has_unsaved_details) {
            // The next walk may drop the details of a lost endpoint, and with them its user agent.
            let state = self.publisher.current();
            self.save(&state).await;
        }
    }

    /// Publishes the details that arrived since the last publication, and the number of pending details.
    fn publish_details(&mut self) {
        let arrived = self.details.take_arrived();
        let details_pending = self.details.pending();
        let before = self.publisher.current();
        if arrived.is_empty() && details_pending == before.details_pending {
            return;
        }
        let mut details = Arc::clone(&before.details);
        if !arrived.is_empty() {
            self.has_unsaved_details = true;
            Arc::make_mut(&mut details).extend(arrived);
        }
        self.publisher.publish(AccountState {
            details,
            details_pending,
            ..(*before).clone()
        });
    }

    /// Reads the token file, walks the list, and publishes the new state. A panic counts as a failed walk.
    ///
    /// # Errors
    /// The walk failed. This function has already logged, counted and published the failure.
    pub async fn walk(&mut self) -> Result<(), WalkError> {
        let (started_at, started) = (self.deps.clock.now(), Instant::now());
        let mut schedule = self.schedule.clone();
        schedule.begins(started);
        // A panic may leave `self.schedule` partly changed. So after a panic, the copy `schedule` replaces it.
        // The other fields of the poller are valid at every point where a walk can panic.
        let walk = AssertUnwindSafe(self.read_and_publish()).catch_unwind();
        let result = walk.await.unwrap_or_else(|_| {
            self.schedule = schedule;
            Err((WalkError::panicked(), Work::default()))
        });
        if let Err((failure, work)) = result {
            let took = started.elapsed();
            let ended = Ended {
                started_at,
                took,
                work,
            };
            self.walk_failed(&failure, ended).await;
            return Err(failure);
        }
        Ok(())
    }

    /// Reads the list, and publishes it unless the walk waits for confirmation. `walk` catches a panic of this
    /// function. The error includes the work of the walk.
    async fn read_and_publish(&mut self) -> Result<(), (WalkError, Work)> {
        self.reload_token().await;
        self.make_requested_changes().await;
        let (started_at, started) = (self.deps.clock.now(), Instant::now());
        self.schedule.begins(started);
        self.deps.instruments.count(Metric::Walks, &[], 1);
        let limiter = Arc::clone(&self.deps.limiter);
        let _walking = limiter.begin_walk();
        let fetcher = PageFetcher::new(Arc::clone(&self.source), &self.deps, &self.account);
        let Some(result) = self.read(&fetcher).await else {
            return Ok(());
        };
        let work = fetcher.work();
        let mut list = result.map_err(|failure| (failure, work))?;
        let took = started.elapsed();
        let ended = Ended {
            started_at,
            took,
            work,
        };
        self.duplicates = std::mem::take(&mut list.rows.twice);
        let is_constant = (self.shortfalls).is_constant(list.shortfall, list.overlapped);
        let max_age = self.schedule.effective_max_age();
        let rejected = &list.rows.rejected;
        let retention = Retention::after_walk(list.shortfall, is_constant, rejected, max_age);
        let state = self.publisher.current();
        let previous = state.snapshot.as_ref().or(self.restored.as_ref());
        let unconfirmed = (self.confirmation).judge(
            &list.endpoints,
            retention,
            started,
            previous.map(|snapshot| &**snapshot),
            state.withdraw_at,
        );
        let confirm_at = unconfirmed.map(|(_, confirm_at)| confirm_at);
        let skipped = self.schedule.succeeded(Instant::now(), took, confirm_at);
        (self.deps.instruments).count(Metric::WalksSkipped, &[], skipped);
        let effective = self.schedule.effective_interval();
        if effective > self.warned_interval {
            self.warned_interval = effective;
            log::slow(&self.account, work.requests, took, effective);
        }
        if let Some((change, confirm_at)) = unconfirmed {
            log::unconfirmed(&self.account, change, confirm_at);
            self.publish_unconfirmed(&list, ended.unconfirmed(change))
                .await;
            return Ok(());
        }
        let walk = WalkFacts {
            pages: work.pages,
            reported: list.reported,
            missing: if is_constant { 0 } else { list.shortfall },
            rejected_rows: list.rows.rejected,
            ..WalkFacts::new(started_at, self.deps.clock.now(), took)
        };
        self.publish(list, walk, retention, ended).await;
        Ok(())
    }

    /// Reads the list. `None` after new settings that need another walk.
    async fn read(&mut self, fetcher: &PageFetcher<S>) -> Option<Result<CompleteList, WalkError>> {
        let duplicates = std::mem::take(&mut self.duplicates);
        // The future is boxed, so that a poller needs no memory for it between two walks.
        let mut reading = Box::pin(completeness::read(fetcher, &duplicates));
        let mut new_settings = self.new_settings.clone();
        let result = loop {
            tokio::select! {
                result = &mut reading => break Some(result),
                Ok(()) = new_settings.changed() => {
                    if self.take_new_settings().await == Some(Effect::Walk) {
                        break None;
                    }
                }
            }
        };
        drop(reading);
        self.duplicates = duplicates;
        result
    }

    async fn reload_token(&mut self) {
        match self.token.reload().await {
            Ok(None) => {}
            Ok(Some(token)) => {
                tracing::info!(account = %self.account.name, "the token has changed");
                self.source.set_token(token);
            }
            Err(error) => {
                tracing::warn!(account = %self.account.name, %error, "keeping the token in use");
                (self.deps.instruments).count(Metric::TokenReadFailures, &[], 1);
            }
        }
    }

    async fn publish(
        &mut self,
        list: CompleteList,
        walk: WalkFacts,
        retention: Retention,
        ended: Ended,
    ) {
        let before = self.publisher.current();
        let restored = self.restored.clone();
        let previous = before.snapshot.as_deref().or(restored.as_deref());
        let group_of = |one: &EndpointView<'_>| group_of(&self.account, one);
        let (snapshot, changes) = (list.endpoints).build(previous, walk, retention, &group_of);
        let snapshot = Arc::new(snapshot);
        let judge = self.judge();
        let judgements = judge.after_walk(&before.judgements, &snapshot, previous);
        log::missing_members(&self.account, before.snapshot.as_deref(), &snapshot);
        let interval = self.schedule.effective_interval();
        let max_age = self.schedule.effective_max_age();
        let details = (self.details).walk_succeeded(&snapshot, previous, interval, &before.details);
        let now = Instant::now();
        let state = Arc::new(AccountState {
            last_success: Some(LastSuccess::new(snapshot.walk.ended_at, Duration::ZERO)),
            snapshot: Some(Arc::clone(&snapshot)),
            last_seen: snapshot.last_seen(previous, &before.details, &before.last_seen),
            judgements,
            walks: before.walks.with(ended.published(&snapshot, &changes)),
            next_walk_at: Some(self.schedule.next_start(0.0)),
            details,
            details_pending: self.details.pending(),
            up: Some(true),
            confirming: false,
            clock_offset: list.clock_offset.or(before.clock_offset),
            poll_interval: interval,
            max_age,
            stale_at: Some(now + interval * STALE_AFTER),
            withdraw_at: Some(now + max_age),
            refusals: 0,
            failure: None,
            ..(*before).clone()
        });
        let earlier = before.judgements.clone();
        self.restored = None;
        drop((before, restored));
        self.save(&state).await;
        let instruments = &self.deps.instruments;
        instruments.registration_changes(changes.lost, changes.gained);
        instruments.endpoint_changes([
            changes.added,
            changes.removed,
            changes.application,
            changes.application_removed,
        ]);
        log::published(&self.account, &snapshot, &changes, &state.judgements);
        log::outages(&self.account, &earlier, &state.judgements);
        self.publisher.publish(state);
    }

    fn judge(&self) -> Judge<'_> {
        Judge {
            account: &self.account,
            interval: self.schedule.effective_interval(),
        }
    }

    /// Saves a state that will be published next, so that a restart knows all that a scrape can show.
    async fn save(&self, state: &Arc<AccountState>) {
        if let Some(store) = &self.store {
            store.save(state).await;
        }
    }

    /// Makes the changes that a command asked for, or that a state on the disk needs that was found late.
    async fn make_requested_changes(&mut self) {
        let Some(store) = &self.store else { return };
        let changes = store.changes().await;
        for change in changes {
            let now = self.deps.clock.now();
            let changed = |snapshot: &Arc<Snapshot>| match &change {
                Change::Forget(id) => Arc::new(snapshot.forgetting(id.as_deref(), now)),
                Change::Continue(older) => Arc::new(snapshot.continuing(&older.snapshot)),
            };
            let mut state = (*self.publisher.current()).clone();
            state.judgements = match &change {
                Change::Forget(id) => state.judgements.forgetting(id.as_deref()),
                Change::Continue(older) => {
                    let first_walk = state.snapshot.as_ref().and_then(|one| one.known_since());
                    (state.judgements).continuing(&older.judgements, first_walk)
                }
            };
            if let Some(snapshot) = &mut state.snapshot {
                *snapshot = changed(snapshot);
                let judge = self.judge();
                state.judgements = judge.after_change(&state.judgements, snapshot, now);
            } else if let Some(restored) = &mut self.restored {
                *restored = changed(restored);
            } else if let Change::Continue(older) = change {
                self.take_over(older);
                continue;
            }
            let state = Arc::new(state);
            self.save(&state).await;
            self.publisher.publish(state);
        }
    }

    /// Publishes that a walk waits for confirmation. The last snapshot stays published, and its age grows.
    async fn publish_unconfirmed(&mut self, list: &CompleteList, record: WalkRecord) {
        let before = self.publisher.current();
        let snapshot = self.without_expired(&before);
        // After a restart, an account is not up while no endpoint of it is shown.
        let up = snapshot.is_some().then_some(true).or(before.up);
        let state = Arc::new(AccountState {
            snapshot,
            walks: before.walks.with(record),
            next_walk_at: Some(self.schedule.next_start(0.0)),
            details_pending: self.details.pending(),
            up,
            confirming: true,
            clock_offset: list.clock_offset.or(before.clock_offset),
            poll_interval: self.schedule.effective_interval(),
            refusals: 0,
            failure: None,
            ..(*before).clone()
        });
        self.save(&state).await;
        self.publisher.publish(state);
    }

    /// Advances the schedule, and logs, counts and publishes the failure.
    async fn walk_failed(&mut self, failure: &WalkError, ended: Ended) {
        let (reason, not_before) = (failure.reason, failure.not_before);
        let skipped = self.schedule.failed(Instant::now(), reason, not_before);
        (self.deps.instruments).count(Metric::WalksSkipped, &[], skipped);
        log::failed(&self.account, failure, ended.work.pages, ended.took);
        let before = self.publisher.current();
        let refusals = if reason.is_refusal() {
            before.refusals.saturating_add(1)
        } else {
            0
        };
        let reason = reason.label();
        (self.deps.instruments).count(Metric::WalkFailures, &[reason], 1);
        let interval = self.schedule.effective_interval();
        let state = Arc::new(AccountState {
            snapshot: self.without_expired(&before),
            walks: before.walks.with(ended.failed(failure)),
            next_walk_at: Some(self.schedule.next_start(0.0)),
            details: self.details.walk_failed(interval, &before.details),
            details_pending: self.details.pending(),
            up: Some(false),
            confirming: self.confirmation.is_pending(),
            refusals,
            failure: Some(reason),
            ..(*before).clone()
        });
        self.save(&state).await;
        self.publisher.publish(state);
    }

    /// Returns the published snapshot without retained endpoints that are too old. If no retained endpoint is
    /// too old, returns the same `Arc`, so that the exporter keeps its rendered chunks.
    fn without_expired(&self, state: &AccountState) -> Option<Arc<Snapshot>> {
        let snapshot = state.snapshot.as_ref()?;
        let Some(rest) = snapshot.without_expired(Instant::now(), state.max_age) else {
            return Some(Arc::clone(snapshot));
        };
        let removed = (snapshot.len() - rest.len()) as u64;
        self.deps.instruments.endpoint_changes([0, removed, 0, 0]);
        Some(Arc::new(rest))
    }
}
