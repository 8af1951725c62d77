//! Keeps the rendered exposition, and renders an account again when its state changes.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
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
    families,
    gzip::{Chunk, EncodedBody, Encoding, GzipMember, GzipWriter},
    lines::{self, Families, FamilyWriter, Format},
};
use crate::{
    snapshot::{AccountState, Counts, Details, Reader, Snapshot},
    telemetry::{Condition, Instruments, catalogue::Metric},
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
    /// A thread holds this lock while it reads and replaces `published`. Without this lock, a thread could undo
    /// the publication of another thread. No thread holds this lock while it renders an account.
    publishing: Mutex<()>,
    /// A thread holds the lock inside this channel only while it reads or replaces the `Arc`.
    published: watch::Sender<Arc<Published>>,
}

impl Exposition {
    /// Renders the current state of each reader, in the order of `readers`. [`Self::run`] renders later states.
    pub fn new(readers: Vec<Reader>, instruments: Instruments) -> Arc<Self> {
        let now = Instant::now();
        let readers: Vec<_> = (0..).zip(readers).collect();
        let states = readers
            .iter()
            .map(|(_, reader)| Arc::clone(&reader.borrow()));
        let joined = Joined::of_states(states, now);
        let published = Published::new(Arc::new(joined), &instruments, now);
        Arc::new(Self {
            next_key: AtomicUsize::new(readers.len()),
            readers: watch::Sender::new(readers),
            instruments,
            publishing: Mutex::new(()),
            published: watch::Sender::new(Arc::new(published)),
        })
    }

    /// Replaces the accounts. Publishes at once without the samples of removed accounts, and with those of the present
    /// states of added accounts. A reader that the exposition already has keeps its rendering. Blocks the thread.
    pub fn set_accounts(&self, readers: Vec<Reader>) {
        let _lock = self.lock();
        let (joined, now) = (self.joined(), Instant::now());
        let known = self.readers.borrow().clone();
        let mut writer = FamilyWriter::default();
        let (mut accounts, mut keyed) = (Vec::new(), Vec::new());
        for reader in readers {
            let same = known.iter().find(|(_, one)| one.same_channel(&reader));
            let account = same.and_then(|(key, _)| joined.account(*key));
            let account = account.cloned().unwrap_or_else(|| Account {
                key: self.next_key.fetch_add(1, Ordering::Relaxed),
                is_awaited: false,
                rendered: Arc::new(RenderedAccount::new(&reader.borrow(), None, &mut writer)),
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
        self.publish(self.joined(), Instant::now());
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
            let new = || render(&state, Some(&last.rendered), &mut writer);
            // After a panic, the account keeps its last rendering. The other accounts are still published.
            if let Ok(new) = catch_unwind(AssertUnwindSafe(new)) {
                rendered.push((key, Arc::new(new)));
            } else {
                writer = FamilyWriter::default();
                tracing::error!(account = %state.account, "rendering the account has failed");
            }
        }
        drop((writer, joined));
        let _lock = self.lock();
        let mut accounts = self.joined().accounts.clone();
        for (key, new) in rendered {
            // The account may have been removed meanwhile.
            if let Some(account) = accounts.iter_mut().find(|one| one.key == key) {
                account.rendered = new;
            }
        }
        let started = Instant::now();
        self.publish(Arc::new(Joined::new(accounts, started)), started);
        started.elapsed()
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
    fn publish(&self, joined: Arc<Joined>, now: Instant) -> Arc<Published> {
        let new = Arc::new(Published::new(joined, &self.instruments, now));
        // Freeing the old exposition takes time, so `drop` frees it after the channel has released its lock.
        drop(self.published.send_replace(Arc::clone(&new)));
        new
    }

    /// Returns a fresh exposition. Renews the published exposition, unless another thread has just replaced it.
    fn renew(&self) -> Arc<Published> {
        let _lock = self.lock();
        // Another thread may have published an exposition while this scrape waited for the lock.
        let now = Instant::now();
        let published = Arc::clone(&self.published.borrow());
        if now < published.fresh_until {
            return published;
        }
        let mut joined = Arc::clone(&published.joined);
        if joined.next_change.is_some_and(|at| now >= at) {
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
}

/// An exposition that begins when the stored state is loaded.
impl DataSource for OnceLock<Arc<Exposition>> {
    fn body(&self, format: Format, encoding: Encoding) -> Option<EncodedBody> {
        Some(self.get()?.body(format, encoding))
    }

    fn accounts(&self) -> Option<Vec<AccountSummary>> {
        Some(self.get()?.accounts())
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
        accounts
            .map(|one| one.rendered.summary(one.is_awaited, now))
            .collect()
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
    fn of_states(states: impl Iterator<Item = Arc<AccountState>>, now: Instant) -> Self {
        let mut writer = FamilyWriter::default();
        let accounts = (0..).zip(states).map(|(key, state)| Account {
            key,
            is_awaited: true,
            rendered: Arc::new(RenderedAccount::new(&state, None, &mut writer)),
        });
        Self::new(accounts.collect(), now)
    }

    fn account(&self, key: Key) -> Option<&Account> {
        self.accounts.iter().find(|account| account.key == key)
    }

    fn new(accounts: Vec<Account>, now: Instant) -> Self {
        let mut gzip = GzipWriter::default();
        let mut families = BTreeMap::new();
        for &metric in Metric::ALL {
            let chunks = accounts
                .iter()
                .filter_map(|one| one.rendered.chunk(metric, now));
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
        let changes = accounts
            .iter()
            .map(|one| one.rendered.state.next_change(now));
        Self {
            next_change: changes.flatten().min(),
            families,
            accounts,
        }
    }
}

/// A number that no other account of the exposition has. An account that is removed and added again has another key.
type Key = usize;

/// One account in an exposition.
#[derive(Debug, Clone)]
struct Account {
    key: Key,
    /// Whether readiness waits for the first walk. It waits only for accounts that the exporter has from its start.
    is_awaited: bool,
    rendered: Arc<RenderedAccount>,
}

/// One account: its state, and the chunks of its families.
#[derive(Debug)]
pub(super) struct RenderedAccount {
    /// The state without its snapshot and details, so that an old rendering keeps no snapshot in memory.
    state: AccountState,
    /// The snapshot that `listed` and `detailed` show. [`Self::new`] compares snapshots by address. The `Weak`
    /// keeps the address in use, so that no new snapshot can have the same address.
    snapshot: Weak<Snapshot>,
    details: Weak<Details>,
    counts: Option<Counts>,
    endpoint_id: Option<Arc<str>>,
    /// Families that do not depend on details. [`Self::new`] reuses these families for the same snapshot.
    listed: Families,
    /// Families that depend on the list and on details.
    detailed: Families,
    /// Families about walks. They are shown unless the snapshot is withdrawn.
    walks: Families,
    /// Families about walks. They are shown while the snapshot is withdrawn.
    walks_withdrawn: Families,
    /// The chunk of `vobiz_account_condition` for each condition, in the order of [`Condition::ALL`]. The chunks
    /// depend only on the name of the account, so all renderings of the account share them.
    conditions: Arc<[Chunk]>,
}

impl RenderedAccount {
    /// Renders `state`. Reuses endpoint families of the previous rendering `last` if their data is the same.
    pub(super) fn new(
        state: &AccountState,
        last: Option<&Self>,
        writer: &mut FamilyWriter,
    ) -> Self {
        let source = state.snapshot.as_ref();
        let snapshot = source.map_or_else(Weak::new, Arc::downgrade);
        let details = Arc::downgrade(&state.details);
        let conditions = last.map_or_else(
            || condition_chunks(&state.account, writer),
            |last| Arc::clone(&last.conditions),
        );
        let last = last
            .filter(|last| last.snapshot.ptr_eq(&snapshot))
            .filter(|last| Arc::ptr_eq(&last.state.shown, &state.shown));
        let (listed, counts) = if let Some(last) = last {
            (last.listed.clone(), last.counts)
        } else {
            let counts = source.map(|snapshot| {
                let counts = snapshot.counts(state.shown.groups.len());
                families::write_endpoints(state, snapshot, writer);
                families::write_counts(state, snapshot, &counts, writer);
                counts.all
            });
            (writer.finish(), counts)
        };
        let detailed = if let Some(last) = last.filter(|last| last.details.ptr_eq(&details)) {
            last.detailed.clone()
        } else {
            if let Some(snapshot) = source {
                families::write_endpoint_details(state, snapshot, writer);
            }
            writer.finish()
        };
        families::write_walks(state, Some(listed.samples + detailed.samples), writer);
        let walks = writer.finish();
        families::write_walks(state, None, writer);
        // The start page links to the probe of one endpoint. An id of letters and digits needs no escaping.
        let is_plain = |id: &str| id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let mut ids = source.into_iter().flat_map(|one| one.endpoints());
        let example = ids.find(|endpoint| is_plain(endpoint.id));
        Self {
            snapshot,
            details,
            counts,
            endpoint_id: example.map(|endpoint| endpoint.id.into()),
            listed,
            detailed,
            walks,
            walks_withdrawn: writer.finish(),
            conditions,
            state: AccountState {
                snapshot: None,
                details: Arc::default(),
                ..state.clone()
            },
        }
    }

    /// The samples of the family `metric` that the account shows at the time `now`.
    pub(super) fn chunk(&self, metric: Metric, now: Instant) -> Option<&Chunk> {
        if metric == Metric::AccountCondition {
            return self.conditions.get(self.state.condition(now) as usize);
        }
        if self.state.is_withdrawn(now) {
            return self.walks_withdrawn.chunks.get(&metric);
        }
        let parts = [&self.detailed, &self.listed, &self.walks];
        parts.into_iter().find_map(|part| part.chunks.get(&metric))
    }

    fn summary(&self, is_awaited: bool, now: Instant) -> AccountSummary {
        AccountSummary {
            is_awaited: is_awaited && self.state.up.is_none(),
            name: self.state.account.to_string(),
            condition: self.state.condition(now),
            has_walked: self.state.up.is_some(),
            failure: self.state.failure,
            is_withdrawn: self.state.is_withdrawn(now),
            counts: self.counts,
            age: self.state.last_success.map(|one| one.age(now)),
            endpoint_id: self.endpoint_id.clone(),
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

/// The chunks of `vobiz_account_condition` for the account with this name, in the order of [`Condition::ALL`].
fn condition_chunks(account: &str, writer: &mut FamilyWriter) -> Arc<[Chunk]> {
    let chunk = |condition| {
        families::write_condition(account, condition, writer);
        let mut families = writer.finish().chunks;
        families.remove(&Metric::AccountCondition)
    };
    Condition::ALL.into_iter().filter_map(chunk).collect()
}

/// The status of one account, for the start page and for `/-/ready`.
#[derive(Debug, Clone, Default)]
pub struct AccountSummary {
    /// The configured name of the account.
    pub name: String,
    /// The condition of the account at the time of the summary.
    pub condition: Condition,
    /// Whether the first walk since the start or since the addition of the account has finished. It may have failed.
    pub has_walked: bool,
    /// Whether `/-/ready` waits for the first walk. It does not wait for an account that a reload has added.
    pub is_awaited: bool,
    /// The `reason` label of the last walk if it failed. `None` after a success, and until the first walk ends.
    pub failure: Option<&'static str>,
    /// Whether the snapshot is withdrawn.
    pub is_withdrawn: bool,
    /// Counts of the endpoints in the last snapshot; `None` before the first snapshot.
    pub counts: Option<Counts>,
    /// Time since the end of the last published walk; `None` before the first snapshot.
    pub age: Option<Duration>,
    /// The id of one endpoint of the snapshot, for a link to `/probe`. It has only ASCII letters and digits.
    pub endpoint_id: Option<Arc<str>>,
}

/// The exposition of `--once` in text format 0.0.4, with the counters of the accounts.
///
/// It has no histograms, and no metrics of the process, the load of its configuration, the HTTP server and the
/// build. Node exporter can serve this exposition. Process metrics would then look like those of node exporter.
pub fn single_run(states: &[Arc<AccountState>], instruments: &Instruments) -> EncodedBody {
    let mut families = Joined::of_states(states.iter().cloned(), Instant::now()).families;
    let mut writer = FamilyWriter::default();
    families::write_self_metrics(instruments, &mut writer);
    families.append(&mut writer.finish().chunks);
    families.retain(|metric, _| metric.family().is_in_single_run());
    lines::member(&families, Format::Text, &mut writer.gzip).body(Encoding::Identity)
}
