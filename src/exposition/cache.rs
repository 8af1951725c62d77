//! Keeps the rendered exposition, and renders an account again when its state changes.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{
    StreamExt,
    stream::{self, BoxStream, SelectAll},
};
use tokio::{sync::watch, time::Instant};

use super::{
    account::{Account, AccountSummary, JudgedAccount, Key, Now, RenderedAccount},
    families,
    gzip::{Chunk, EncodedBody, Encoding, GzipMember, GzipWriter},
    lines::{self, FamilyWriter, Format},
};
use crate::{
    clock::Clock,
    snapshot::{AccountState, Reader},
    telemetry::{Instruments, catalogue::Metric},
};

/// The maximum time for which scrapes reuse the encoded text of the exporter's own metrics.
const SELF_METRICS_FOR: Duration = Duration::from_secs(1);

/// After a publication of new states, rendering pauses for this multiple of the publication's duration, but at
/// most for `MAX_PAUSE`. Then one publication shows all states that changed during the pause.
const PAUSE_FACTOR: u32 = 50;

const MAX_PAUSE: Duration = Duration::from_secs(1);

/// The rendered exposition, and the sources from which it is rendered.
#[derive(Debug)]
pub struct Exposition {
    /// The reader of each account with the key of the account, in the configured order.
    readers: watch::Sender<Vec<(Key, Reader)>>,
    next_key: AtomicUsize,
    instruments: Instruments,
    clock: Clock,
    /// A thread holds this lock while it reads and replaces `published`. Without this lock, a thread could undo
    /// the publication of another thread. No thread holds this lock while it renders an account.
    publishing: Mutex<()>,
    /// A thread holds the lock inside this channel only while it reads or replaces the `Arc`.
    published: watch::Sender<Arc<Published>>,
}

impl Exposition {
    /// Renders the current state of each reader, in the order of `readers`. [`Self::run`] renders later states.
    pub fn new(readers: Vec<Reader>, instruments: Instruments, clock: Clock) -> Arc<Self> {
        let now = Now::of(&clock);
        let readers: Vec<_> = (0..).zip(readers).collect();
        let states = readers
            .iter()
            .map(|(_, reader)| Arc::clone(&reader.borrow()));
        let joined = Joined::of_states(states, now);
        let published = Published::new(Arc::new(joined), &instruments, now.monotonic);
        Arc::new(Self {
            next_key: AtomicUsize::new(readers.len()),
            readers: watch::Sender::new(readers),
            instruments,
            clock,
            publishing: Mutex::new(()),
            published: watch::Sender::new(Arc::new(published)),
        })
    }

    /// Replaces the accounts. Publishes at once without the samples of removed accounts, and with those of the present
    /// states of added accounts. A reader that the exposition already has keeps its rendering. Blocks the thread.
    pub fn set_accounts(&self, readers: Vec<Reader>) {
        let _lock = self.lock();
        let (joined, now) = (self.joined(), self.now());
        let known = self.readers.borrow().clone();
        let mut writer = FamilyWriter::default();
        let (mut accounts, mut keyed) = (Vec::new(), Vec::new());
        for reader in readers {
            let same = known.iter().find(|(_, one)| one.same_channel(&reader));
            let account = same.and_then(|(key, _)| joined.account(*key));
            let account = account.cloned().unwrap_or_else(|| {
                let key = self.next_key.fetch_add(1, Ordering::Relaxed);
                Account::new(key, false, &reader.borrow(), now, &mut writer)
            });
            keyed.push((account.key, reader));
            accounts.push(account);
        }
        self.publish(Arc::new(Joined::new(accounts, now)), now);
        self.readers.send_replace(keyed);
    }

    /// Publishes the present values of the exporter's own metrics. Blocks the thread.
    pub fn refresh(&self) {
        let _lock = self.lock();
        self.publish(self.joined(), self.now());
    }

    /// Renders changed states without end. The future can be dropped at any time; the last exposition stays published.
    ///
    /// One publication shows all states that changed before its rendering began. A blocking thread renders the
    /// accounts, so that scrapes are not delayed. The thread renders one account at a time, to limit memory.
    pub async fn run(self: Arc<Self>) {
        let mut readers = self.readers.subscribe();
        readers.mark_changed();
        let mut next_key = 0;
        let mut changes = SelectAll::new();
        loop {
            tokio::select! {
                // `self` has the sender, so this branch never fails.
                Ok(()) = readers.changed() => {
                    // Keys rise, so added accounts have higher keys than all before.
                    let all = readers.borrow_and_update().clone();
                    let added: Vec<_> = all.into_iter().filter(|(key, _)| *key >= next_key).collect();
                    for (key, reader) in added {
                        next_key = next_key.max(key + 1);
                        changes.push(states(key, reader));
                    }
                }
                Some(batch) = next_batch(&mut changes) => self.render(batch).await,
            }
        }
    }

    /// Renders and publishes the new states of `batch`, and pauses.
    async fn render(self: &Arc<Self>, batch: Vec<(Key, Arc<AccountState>)>) {
        let exposition = Arc::clone(self);
        let update = move || exposition.update(batch, RenderedAccount::new);
        match tokio::task::spawn_blocking(update).await {
            Ok(took) => tokio::time::sleep((took * PAUSE_FACTOR).min(MAX_PAUSE)).await,
            // The accounts of this batch keep their last renderings until their states change again.
            Err(error) => tracing::error!(%error, "publishing the accounts has failed"),
        }
    }

    /// Renders the new states of `batch` with `render`, and publishes them in one step. Returns the duration of
    /// the publication, which excludes the rendering. This duration grows with the number of accounts.
    pub(super) fn update(
        &self,
        batch: Vec<(Key, Arc<AccountState>)>,
        render: impl Fn(&AccountState, Option<&RenderedAccount>, &mut FamilyWriter) -> RenderedAccount,
    ) -> Duration {
        let joined = self.joined();
        let mut writer = FamilyWriter::default();
        let mut rendered = Vec::with_capacity(batch.len());
        for (key, state) in batch {
            // A removed account has no rendering.
            let Some(last) = joined.account(key) else {
                continue;
            };
            let new = || {
                let new = render(&state, Some(&last.rendered), &mut writer);
                let judged = JudgedAccount::new(&new, self.now(), &mut writer);
                (Arc::new(new), Arc::new(judged))
            };
            // After a panic, the account keeps its last rendering. The other accounts are still published.
            if let Ok((new, judged)) = catch_unwind(AssertUnwindSafe(new)) {
                rendered.push((key, new, judged));
            } else {
                writer = FamilyWriter::default();
                tracing::error!(account = %state.account, "rendering the account has failed");
            }
        }
        drop((writer, joined));
        let _lock = self.lock();
        let mut accounts = self.joined().accounts.clone();
        for (key, new, judged) in rendered {
            // The account may have been removed meanwhile.
            if let Some(account) = accounts.iter_mut().find(|one| one.key == key) {
                (account.rendered, account.judged) = (new, judged);
            }
        }
        let now = self.now();
        self.publish(Arc::new(Joined::new(accounts, now)), now);
        now.monotonic.elapsed()
    }

    fn now(&self) -> Now {
        Now::of(&self.clock)
    }

    fn joined(&self) -> Arc<Joined> {
        Arc::clone(&self.published.borrow().joined)
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.publishing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes a new exposition. The caller holds the lock `publishing`.
    fn publish(&self, joined: Arc<Joined>, now: Now) -> Arc<Published> {
        let new = Arc::new(Published::new(joined, &self.instruments, now.monotonic));
        // Freeing the old exposition takes time, so `drop` frees it after the channel has released its lock.
        drop(self.published.send_replace(Arc::clone(&new)));
        new
    }

    /// Returns a fresh exposition. Renews the published exposition, unless another thread has just replaced it.
    fn renew(&self) -> Arc<Published> {
        let _lock = self.lock();
        // Another thread may have published an exposition while this scrape waited for the lock.
        let now = self.now();
        let published = Arc::clone(&self.published.borrow());
        if now.monotonic < published.fresh_until {
            return published;
        }
        let mut joined = Arc::clone(&published.joined);
        if joined.next_change.is_some_and(|at| now.monotonic >= at) {
            joined = Arc::new(Joined::new(joined.accounts.clone(), now));
        }
        self.publish(joined, now)
    }
}

/// The source of expositions and account summaries for the server. No method waits for the API or the disk. Before the
/// stored state is loaded, both methods return `None`.
pub trait DataSource: Send + Sync + 'static {
    /// The body of the response to a scrape at this moment.
    fn body(&self, format: Format, encoding: Encoding) -> Option<EncodedBody>;

    /// The summary of every account, in the configured order.
    fn accounts(&self) -> Option<Vec<AccountSummary>>;

    /// The present state of every account, in the configured order.
    fn states(&self) -> Option<Vec<Arc<AccountState>>>;
}

/// An exposition that begins when the stored state is loaded.
impl DataSource for OnceLock<Arc<Exposition>> {
    fn body(&self, format: Format, encoding: Encoding) -> Option<EncodedBody> {
        Some(self.get()?.body(format, encoding))
    }

    fn accounts(&self) -> Option<Vec<AccountSummary>> {
        Some(self.get()?.accounts())
    }

    fn states(&self) -> Option<Vec<Arc<AccountState>>> {
        Some(self.get()?.states())
    }
}

impl Exposition {
    /// The body of the response to a scrape at this moment.
    pub fn body(&self, format: Format, encoding: Encoding) -> EncodedBody {
        let mut published = Arc::clone(&self.published.borrow());
        if Instant::now() >= published.fresh_until {
            published = self.renew();
        }
        published.members[format as usize].body(encoding)
    }

    /// The summary of every account, in the configured order.
    pub fn accounts(&self) -> Vec<AccountSummary> {
        let (joined, now) = (self.joined(), Instant::now());
        let accounts = joined.accounts.iter();
        accounts.map(|one| one.summary(now)).collect()
    }

    /// The present state of every account, in the configured order. Metrics show it after the next rendering.
    pub fn states(&self) -> Vec<Arc<AccountState>> {
        let readers = self.readers.borrow();
        let states = readers
            .iter()
            .map(|(_, reader)| Arc::clone(&reader.borrow()));
        states.collect()
    }
}

/// The finished exposition in both formats. Each publication replaces the whole value, so that a scrape never
/// mixes samples of two walks of one account.
#[derive(Debug)]
struct Published {
    /// Successive expositions share this value if they differ only in the exporter's own metrics.
    joined: Arc<Joined>,
    /// The exposition in each format, in the order of [`Format::ALL`].
    members: [GzipMember; 2],
    /// Until this time, scrapes use `members` without a renewal.
    fresh_until: Instant,
}

impl Published {
    fn new(joined: Arc<Joined>, instruments: &Instruments, now: Instant) -> Self {
        let mut writer = FamilyWriter::default();
        families::write_self_metrics(instruments, &mut writer);
        let self_metrics = writer.finish().chunks;
        let members = Format::ALL.map(|format| {
            let families = joined.families.iter().chain(&self_metrics);
            lines::member(families, format, &mut writer.gzip)
        });
        let self_until = now + SELF_METRICS_FOR;
        let next_change = joined.next_change.unwrap_or(self_until);
        Self {
            joined,
            members,
            fresh_until: self_until.min(next_change),
        }
    }
}

/// All accounts, and for each family one chunk with the samples of all accounts.
#[derive(Debug)]
struct Joined {
    /// The accounts in the configured order.
    accounts: Vec<Account>,
    /// The joined chunk of each family. Families without samples are absent.
    families: BTreeMap<Metric, Chunk>,
    /// The next time at which an account shows other chunks although it has no new state.
    next_change: Option<Instant>,
}

impl Joined {
    fn of_states(states: impl Iterator<Item = Arc<AccountState>>, now: Now) -> Self {
        let mut writer = FamilyWriter::default();
        let accounts = (0..)
            .zip(states)
            .map(|(key, state)| Account::new(key, true, &state, now, &mut writer));
        Self::new(accounts.collect(), now)
    }

    fn account(&self, key: Key) -> Option<&Account> {
        self.accounts.iter().find(|account| account.key == key)
    }

    /// Renders the judgements that have changed by the clock, and joins the accounts.
    fn new(mut accounts: Vec<Account>, now: Now) -> Self {
        let mut writer = FamilyWriter::default();
        for account in &mut accounts {
            account.judge(now, &mut writer);
        }
        let mut gzip = GzipWriter::default();
        let mut families = BTreeMap::new();
        for &metric in Metric::ALL {
            let chunks = accounts
                .iter()
                .filter_map(|one| one.chunk(metric, now.monotonic));
            let joined = match &chunks.collect::<Vec<_>>()[..] {
                [] => continue,
                [only] => Chunk::clone(only),
                several => {
                    for chunk in several {
                        gzip.append(chunk, false);
                    }
                    gzip.chunk()
                }
            };
            families.insert(metric, joined);
        }
        let changes = accounts.iter().filter_map(|one| one.next_change(now));
        Self {
            next_change: changes.min(),
            families,
            accounts,
        }
    }
}

type States = BoxStream<'static, (Key, Arc<AccountState>)>;

/// The new states of one account, until its publisher is dropped.
fn states(key: Key, reader: Reader) -> States {
    let next = move |mut reader: Reader| async move {
        reader.changed().await.ok()?;
        let state = Arc::clone(&reader.borrow_and_update());
        Some(((key, state), reader))
    };
    stream::unfold(reader, next).boxed()
}

/// The next new states: all that are ready. `None` without an account.
async fn next_batch(changes: &mut SelectAll<States>) -> Option<Vec<(Key, Arc<AccountState>)>> {
    let accounts = changes.len().max(1);
    changes.ready_chunks(accounts).next().await
}

/// The exposition of `--once` in text format 0.0.4, with the counters of the accounts.
///
/// It has no histograms, and no metrics of the process, the load of its configuration, the HTTP server and the
/// build. Node exporter can serve this exposition. Process metrics would then look like those of node exporter.
pub fn single_run(
    states: &[Arc<AccountState>],
    instruments: &Instruments,
    clock: &Clock,
) -> EncodedBody {
    let mut families = Joined::of_states(states.iter().cloned(), Now::of(clock)).families;
    let mut writer = FamilyWriter::default();
    families::write_self_metrics(instruments, &mut writer);
    families.append(&mut writer.finish().chunks);
    families.retain(|metric, _| metric.family().is_in_single_run());
    lines::member(&families, Format::Text, &mut writer.gzip).body(Encoding::Identity)
}
