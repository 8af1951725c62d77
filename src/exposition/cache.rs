//! The rendered responses for scrapes. They are reused until the state of an account changes.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use tokio::{sync::watch, time::Instant};

use super::{
    families,
    gzip::{Chunk, EncodedBody, Encoding, GzipMember, GzipWriter},
    lines::{self, Families, FamilyWriter, Format},
};
use crate::{
    snapshot::{AccountState, Counts, Details, Reader, Snapshot},
    telemetry::{Instruments, catalogue::Metric},
};

/// The exporter's own metrics are encoded at most once in this time.
const SELF_METRICS_FOR: Duration = Duration::from_secs(1);

/// The pause after a publication is its duration times this factor. The pause collects further changes,
/// because with hundreds of accounts some account changes at any time.
const PAUSE_FACTOR: u32 = 50;

const MAX_PAUSE: Duration = Duration::from_secs(1);

/// The finished bytes for scrapes, and the sources from which they are rendered.
#[derive(Debug)]
pub struct Exposition {
    readers: Vec<Reader>,
    instruments: Instruments,
    /// Locked while a thread replaces `published`, so that an older exposition never replaces a newer
    /// exposition. It is not locked while an account is rendered.
    publishing: Mutex<()>,
    /// The lock inside this channel is held only to read or to replace the pointer.
    published: watch::Sender<Arc<Published>>,
}

impl Exposition {
    /// Renders the current states of `readers`, in this order. [`Self::run`] renders later states.
    pub fn new(readers: Vec<Reader>, instruments: Instruments) -> Arc<Self> {
        let now = Instant::now();
        let joined = Joined::of_states(
            readers.iter().map(|reader| Arc::clone(&reader.borrow())),
            now,
        );
        let published = Published::new(Arc::new(joined), &instruments, now);
        Arc::new(Self {
            readers,
            instruments,
            publishing: Mutex::new(()),
            published: watch::Sender::new(Arc::new(published)),
        })
    }

    /// Renders every change until all senders of states are dropped. The future can be dropped at any
    /// time; published expositions stay.
    ///
    /// Simultaneous changes of several accounts are published together. One thread renders one account
    /// after another, so that memory is bounded and no scrape waits.
    pub async fn run(self: Arc<Self>) {
        let readers = self.readers.iter().cloned().enumerate();
        let changes = readers.map(|(account, reader)| {
            let next = move |mut reader: Reader| async move {
                reader.changed().await.ok()?;
                let state = Arc::clone(&reader.borrow_and_update());
                Some(((account, state), reader))
            };
            stream::unfold(reader, next).boxed()
        });
        let mut batches = stream::select_all(changes).ready_chunks(self.readers.len().max(1));
        while let Some(batch) = batches.next().await {
            let exposition = Arc::clone(&self);
            let update = move || exposition.update(batch, RenderedAccount::new);
            match tokio::task::spawn_blocking(update).await {
                Ok(took) => tokio::time::sleep((took * PAUSE_FACTOR).min(MAX_PAUSE)).await,
                // The previous exposition stays published until the next change of a state.
                Err(error) => tracing::error!(%error, "publishing the accounts has failed"),
            }
        }
    }

    /// Renders new states with `render` and publishes them together. Returns the duration of the
    /// publication, which grows with the number of accounts.
    pub(super) fn update(
        &self,
        batch: Vec<(usize, Arc<AccountState>)>,
        render: impl Fn(&AccountState, Option<&RenderedAccount>, &mut FamilyWriter) -> RenderedAccount,
    ) -> Duration {
        let joined = self.joined();
        let mut writer = FamilyWriter::default();
        let mut rendered = Vec::with_capacity(batch.len());
        for (account, state) in batch {
            let last = &joined.accounts[account];
            let new = || render(&state, Some(last), &mut writer);
            // After a panic, the account keeps its last rendering. The other accounts are published.
            if let Ok(new) = catch_unwind(AssertUnwindSafe(new)) {
                rendered.push((account, Arc::new(new)));
            } else {
                writer = FamilyWriter::default();
                tracing::error!(account = %state.account, "rendering the account has failed");
            }
        }
        drop((writer, joined));
        let _lock = self.lock();
        let mut accounts = self.joined().accounts.clone();
        for (account, new) in rendered {
            accounts[account] = new;
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
        // The old exposition is dropped after the replacement, because freeing much memory takes time.
        drop(self.published.send_replace(Arc::clone(&new)));
        new
    }

    /// The published exposition. It is renewed, unless another scrape has just renewed it.
    fn renew(&self) -> Arc<Published> {
        let _lock = self.lock();
        // Another scrape may have renewed the exposition while this scrape waited for the lock.
        let now = Instant::now();
        let published = Arc::clone(&self.published.borrow());
        if now < published.fresh_until {
            return published;
        }
        let mut joined = Arc::clone(&published.joined);
        if joined.withdraw_next.is_some_and(|at| now >= at) {
            joined = Arc::new(Joined::new(joined.accounts.clone(), now));
        }
        self.publish(joined, now)
    }
}

/// The source of the content that the HTTP server sends. Tests of the server replace it. No method waits
/// for the API or the disk.
pub trait DataSource: Send + Sync + 'static {
    /// The body of the response to a scrape at this moment.
    fn body(&self, format: Format, encoding: Encoding) -> EncodedBody;

    /// Whether all first walks are finished and published. Once true, the value stays true.
    fn is_ready(&self) -> bool;

    /// The summary of every account, in the configured order.
    fn accounts(&self) -> Vec<AccountSummary>;
}

impl DataSource for Exposition {
    fn body(&self, format: Format, encoding: Encoding) -> EncodedBody {
        let mut published = Arc::clone(&self.published.borrow());
        if Instant::now() >= published.fresh_until {
            published = self.renew();
        }
        published.members[format as usize].body(encoding)
    }

    fn is_ready(&self) -> bool {
        let joined = self.joined();
        joined.accounts.iter().all(|one| one.state.up.is_some())
    }

    fn accounts(&self) -> Vec<AccountSummary> {
        let (joined, now) = (self.joined(), Instant::now());
        joined.accounts.iter().map(|one| one.summary(now)).collect()
    }
}

/// The finished exposition in both formats. It is replaced as a whole, so that a scrape never mixes
/// samples of two walks.
#[derive(Debug)]
struct Published {
    /// Shared by expositions that differ only in the exporter's own metrics.
    joined: Arc<Joined>,
    /// The exposition in each format, in the order of [`Format::ALL`].
    members: [GzipMember; 2],
    /// Until this time, a scrape uses these members without a renewal.
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
        let withdraw_next = joined.withdraw_next.unwrap_or(self_until);
        Self {
            joined,
            members,
            fresh_until: self_until.min(withdraw_next),
        }
    }
}

/// All accounts, and the chunks of each family joined over all accounts.
#[derive(Debug)]
struct Joined {
    /// The accounts in the configured order.
    accounts: Vec<Arc<RenderedAccount>>,
    /// Families without samples are absent.
    families: BTreeMap<Metric, Chunk>,
    /// The next time at which a snapshot is withdrawn.
    withdraw_next: Option<Instant>,
}

impl Joined {
    fn of_states(states: impl Iterator<Item = Arc<AccountState>>, now: Instant) -> Self {
        let mut writer = FamilyWriter::default();
        let accounts = states.map(|state| RenderedAccount::new(&state, None, &mut writer));
        Self::new(accounts.map(Arc::new).collect(), now)
    }

    fn new(accounts: Vec<Arc<RenderedAccount>>, now: Instant) -> Self {
        let mut gzip = GzipWriter::default();
        let mut families = BTreeMap::new();
        for &metric in Metric::ALL {
            let chunks = accounts.iter().filter_map(|one| one.chunk(metric, now));
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
        let withdrawals = accounts.iter().filter_map(|one| one.state.withdraw_at);
        Self {
            withdraw_next: withdrawals.filter(|at| now < *at).min(),
            families,
            accounts,
        }
    }
}

/// One account: its state, and its compressed families.
#[derive(Debug)]
pub(super) struct RenderedAccount {
    /// The state without its snapshot and details, so that replaced snapshots do not stay in memory.
    state: AccountState,
    /// The source of `listed` and `detailed`. The `Weak` prevents that another snapshot has this address.
    snapshot: Weak<Snapshot>,
    details: Weak<Details>,
    counts: Option<Counts>,
    endpoint_id: Option<Arc<str>>,
    /// Families that depend on the list alone. They are kept while only details change.
    listed: Families,
    /// Families that depend on the list and on details.
    detailed: Families,
    /// Families about walks while the snapshot is not withdrawn, or before the first snapshot.
    walks: Families,
    /// Families about walks while the snapshot is withdrawn.
    walks_withdrawn: Families,
}

impl RenderedAccount {
    /// Renders a state. Families of `last` are reused if their source has not changed.
    pub(super) fn new(
        state: &AccountState,
        last: Option<&Self>,
        writer: &mut FamilyWriter,
    ) -> Self {
        let source = state.snapshot.as_ref();
        let snapshot = source.map_or_else(Weak::new, Arc::downgrade);
        let details = Arc::downgrade(&state.details);
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
        // The start page links to /probe with this id. A plain id needs no escaping.
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
            state: AccountState {
                snapshot: None,
                details: Arc::default(),
                ..state.clone()
            },
        }
    }

    /// The samples of a family that the account shows at this moment.
    pub(super) fn chunk(&self, metric: Metric, now: Instant) -> Option<&Chunk> {
        if self.state.is_withdrawn(now) {
            return self.walks_withdrawn.chunks.get(&metric);
        }
        let parts = [&self.detailed, &self.listed, &self.walks];
        parts.into_iter().find_map(|part| part.chunks.get(&metric))
    }

    fn summary(&self, now: Instant) -> AccountSummary {
        // A snapshot is withdrawn when its maximum age has passed since the end of the last good walk.
        let withdraw_at = self.state.withdraw_at;
        let walked_at = withdraw_at.and_then(|at| at.checked_sub(self.state.max_age));
        AccountSummary {
            name: self.state.account.to_string(),
            failure: self.state.failure,
            is_withdrawn: self.state.is_withdrawn(now),
            counts: self.counts,
            age: walked_at.map(|at| now.saturating_duration_since(at)),
            endpoint_id: self.endpoint_id.clone(),
        }
    }
}

/// The status of one account, for the start page.
#[derive(Debug, Clone, Default)]
pub struct AccountSummary {
    /// The configured name of the account.
    pub name: String,
    /// The `reason` label of the last walk's failure; `None` if the last walk succeeded.
    pub failure: Option<&'static str>,
    /// Whether the endpoints are withdrawn, because the last good walk is too long ago.
    pub is_withdrawn: bool,
    /// Counts of the endpoints in the last snapshot; `None` before the first snapshot.
    pub counts: Option<Counts>,
    /// Time since the end of the last good walk.
    pub age: Option<Duration>,
    /// The id of any endpoint in the snapshot, as an example. It has only ASCII letters and digits.
    pub endpoint_id: Option<Arc<str>>,
}

/// The exposition of a single run in text format 0.0.4, with counters of walks and requests.
///
/// The exposition has no histograms and no metrics of the process, the HTTP server and the build. Those
/// metrics would look like metrics of the process that serves the file.
pub fn single_run(states: &[Arc<AccountState>], instruments: &Instruments) -> EncodedBody {
    let mut families = Joined::of_states(states.iter().cloned(), Instant::now()).families;
    let mut writer = FamilyWriter::default();
    families::write_self_metrics(instruments, &mut writer);
    families.append(&mut writer.finish().chunks);
    families.retain(|metric, _| metric.family().is_in_single_run());
    lines::member(&families, Format::Text, &mut writer.gzip).body(Encoding::Identity)
}
