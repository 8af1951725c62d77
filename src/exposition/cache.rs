//! The finished bytes of every scrape, kept until an account changes.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use tokio::{sync::watch, time::Instant};

use super::{
    account::{AccountStatus, AccountSummary, RenderedAccount},
    families,
    gzip::{Chunk, EncodedBody, Encoding, GzipMember, GzipPrefix, GzipWriter},
    lines::{self, FamilyWriter, Format},
};
use crate::{
    snapshot::{AccountState, Reader},
    telemetry::{
        Instruments,
        catalogue::{Metric, Part},
    },
};

/// The exporter's own metrics are encoded at most once in this time.
const SELF_METRICS_FOR: Duration = Duration::from_secs(1);

/// After publishing, changes are collected for this many times the duration of publishing: of
/// hundreds of accounts, one changes all the time.
const PAUSE_FACTOR: u32 = 50;

const MAX_PAUSE: Duration = Duration::from_secs(1);

/// The bytes of every scrape. Cheap to clone; all clones share one cache.
#[derive(Debug, Clone)]
pub struct Exposition(pub(super) Arc<Cache>);

#[derive(Debug)]
pub(super) struct Cache {
    readers: Vec<Reader>,
    instruments: Instruments,
    /// In the configured order. A thread that replaces `published` holds this lock, so that an older
    /// exposition never replaces a newer one. It is not held while an account is rendered.
    accounts: Mutex<Vec<Arc<RenderedAccount>>>,
    /// Locked only to read or to replace the pointer.
    published: watch::Sender<Arc<Published>>,
}

impl Exposition {
    /// Renders the current states of `readers`, in this order; [`Self::run`] renders the next ones.
    pub fn new(readers: Vec<Reader>, instruments: Instruments) -> Self {
        let mut writer = FamilyWriter::default();
        let states = readers.iter().map(|reader| Arc::clone(&reader.borrow()));
        let accounts = render_all(states, &mut writer);
        let now = Instant::now();
        let joined = Joined::new(&accounts, now);
        let published = Published::new(Arc::new(joined), &instruments, now);
        Self(Arc::new(Cache {
            readers,
            instruments,
            accounts: Mutex::new(accounts),
            published: watch::Sender::new(Arc::new(published)),
        }))
    }

    /// Renders every change until the last publisher is gone. The future can be dropped at any time;
    /// finished expositions stay.
    ///
    /// Changes of several accounts at one time are published together. One thread renders them one
    /// after another, so that memory is bounded and no scrape waits.
    pub async fn run(self) {
        let readers = self.0.readers.iter().cloned().enumerate();
        let changes = readers.map(|(account, reader)| {
            let next = move |mut reader: Reader| async move {
                reader.changed().await.ok()?;
                let state = Arc::clone(&reader.borrow_and_update());
                Some(((account, state), reader))
            };
            stream::unfold(reader, next).boxed()
        });
        let mut batches = stream::select_all(changes).ready_chunks(self.0.readers.len().max(1));
        while let Some(batch) = batches.next().await {
            let cache = Arc::clone(&self.0);
            let update = move || cache.update(batch, RenderedAccount::new);
            match tokio::task::spawn_blocking(update).await {
                Ok(took) => tokio::time::sleep((took * PAUSE_FACTOR).min(MAX_PAUSE)).await,
                // The exposition before stays; the next walk tries again.
                Err(error) => tracing::error!(%error, "publishing the accounts has failed"),
            }
        }
    }
}

/// The content of the responses of the HTTP server, whose tests replace it. No method waits for the API
/// or the disk.
pub trait DataSource: Send + Sync + 'static {
    /// The body of the response to a scrape at this moment.
    fn body(&self, format: Format, encoding: Encoding) -> EncodedBody;

    /// Whether every account has finished its first walk, and that is published. Once true, it stays true.
    fn is_ready(&self) -> bool;

    /// The summary of every account, in the configured order.
    fn accounts(&self) -> Vec<AccountSummary>;
}

impl DataSource for Exposition {
    fn body(&self, format: Format, encoding: Encoding) -> EncodedBody {
        let mut published = Arc::clone(&self.0.published.borrow());
        if Instant::now() >= published.fresh_until {
            published = self.0.renew();
        }
        published.members[format as usize].body(encoding)
    }

    fn is_ready(&self) -> bool {
        let joined = Arc::clone(&self.0.published.borrow().joined);
        joined.statuses.iter().all(|status| status.up.is_some())
    }

    fn accounts(&self) -> Vec<AccountSummary> {
        let now = Instant::now();
        let joined = Arc::clone(&self.0.published.borrow().joined);
        let statuses = joined.statuses.iter();
        statuses.map(|status| status.summary(now)).collect()
    }
}

impl Cache {
    fn accounts(&self) -> MutexGuard<'_, Vec<Arc<RenderedAccount>>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, joined: Arc<Joined>, now: Instant) -> Arc<Published> {
        let new = Arc::new(Published::new(joined, &self.instruments, now));
        // The old exposition is dropped after the replacement: to free much memory takes time.
        drop(self.published.send_replace(Arc::clone(&new)));
        new
    }

    /// The published exposition, renewed unless another scrape has just done it.
    fn renew(&self) -> Arc<Published> {
        let accounts = self.accounts();
        // Waiting for the lock took time, and its last owner may have done the work.
        let now = Instant::now();
        let published = Arc::clone(&self.published.borrow());
        if now < published.fresh_until {
            return published;
        }
        let joined = if published.joined.withdraw_next.is_some_and(|at| now >= at) {
            Arc::new(Joined::new(&accounts, now))
        } else {
            Arc::clone(&published.joined)
        };
        self.publish(joined, now)
    }

    /// Renders new states with `render` and publishes them together. Returns how long publishing
    /// took, which grows with the number of accounts.
    pub(super) fn update(
        &self,
        batch: Vec<(usize, Arc<AccountState>)>,
        render: impl Fn(&AccountState, Option<&RenderedAccount>, &mut FamilyWriter) -> RenderedAccount,
    ) -> Duration {
        let mut writer = FamilyWriter::default();
        let mut rendered = Vec::with_capacity(batch.len());
        for (account, state) in batch {
            let last = Arc::clone(&self.accounts()[account]);
            let new = || render(&state, Some(&last), &mut writer);
            // After a panic this account stays as it is, and the others of the batch are published.
            if let Ok(new) = catch_unwind(AssertUnwindSafe(new)) {
                rendered.push((account, Arc::new(new)));
            } else {
                writer = FamilyWriter::default();
                tracing::error!(account = %state.account, "rendering the account has failed");
            }
        }
        drop(writer);
        let mut accounts = self.accounts();
        for (account, new) in rendered {
            accounts[account] = new;
        }
        let started = Instant::now();
        self.publish(Arc::new(Joined::new(&accounts, started)), started);
        started.elapsed()
    }
}

/// The families of all accounts: all but the end of each format's member.
#[derive(Debug)]
struct Joined {
    /// In the order of [`Format::ALL`].
    prefixes: [GzipPrefix; 2],
    statuses: Vec<AccountStatus>,
    /// The next time at which a snapshot is withdrawn.
    withdraw_next: Option<Instant>,
}

impl Joined {
    fn new(accounts: &[Arc<RenderedAccount>], now: Instant) -> Self {
        let mut gzip = GzipWriter::default();
        let families = join(accounts, now, &mut gzip);
        let prefixes = Format::ALL.map(|format| {
            gzip.begin_member();
            lines::concat(&families, format, &mut gzip);
            gzip.pause_member()
        });
        let statuses = accounts.iter().map(|account| &account.status);
        let withdrawals = statuses.clone().filter_map(|status| status.withdraw_at);
        Self {
            prefixes,
            withdraw_next: withdrawals.filter(|at| now < *at).min(),
            statuses: statuses.cloned().collect(),
        }
    }
}

/// The finished exposition in both formats. Replaced as a whole, so that a scrape never mixes two
/// walks.
#[derive(Debug)]
struct Published {
    /// Shared by expositions that differ only in the exporter's own metrics.
    joined: Arc<Joined>,
    /// In the order of [`Format::ALL`].
    members: [GzipMember; 2],
    /// Until when a scrape needs no other work than a comparison.
    fresh_until: Instant,
}

impl Published {
    fn new(joined: Arc<Joined>, instruments: &Instruments, now: Instant) -> Self {
        let mut writer = FamilyWriter::default();
        families::write_self_metrics(instruments, &mut writer);
        let self_metrics = writer.finish().chunks;
        let members = Format::ALL.map(|format| {
            let gzip = &mut writer.gzip;
            gzip.resume_member(&joined.prefixes[format as usize]);
            lines::concat(&self_metrics, format, gzip);
            lines::finish(format, gzip)
        });
        let self_until = now + SELF_METRICS_FOR;
        Self {
            fresh_until: joined
                .withdraw_next
                .map_or(self_until, |at| at.min(self_until)),
            joined,
            members,
        }
    }
}

fn render_all(
    states: impl Iterator<Item = Arc<AccountState>>,
    writer: &mut FamilyWriter,
) -> Vec<Arc<RenderedAccount>> {
    let accounts = states.map(|state| RenderedAccount::new(&state, None, writer));
    accounts.map(Arc::new).collect()
}

/// The families of all accounts at this moment. Families without samples are absent.
fn join(
    accounts: &[Arc<RenderedAccount>],
    now: Instant,
    gzip: &mut GzipWriter,
) -> BTreeMap<Metric, Chunk> {
    let is_rendered = |metric: &Metric| matches!(metric.family().part, Part::Snapshot | Part::Walk);
    let metrics = Metric::ALL.iter().copied().filter(is_rendered);
    let joined = metrics.filter_map(|metric| {
        let chunks = accounts
            .iter()
            .filter_map(|account| account.chunk(metric, now));
        match &chunks.collect::<Vec<_>>()[..] {
            [] => None,
            [only] => Some((metric, Chunk::clone(only))),
            several => {
                for chunk in several {
                    gzip.append(chunk, false);
                }
                Some((metric, gzip.chunk()))
            }
        }
    });
    joined.collect()
}

/// The exposition of a single run in text format 0.0.4, with counters of walks and requests.
///
/// Metrics of the process, the HTTP server and the build are left out, and so are histograms: a text
/// file collector that serves this has families of these names itself, or cannot read them.
pub fn single_run(states: &[Arc<AccountState>], instruments: &Instruments) -> EncodedBody {
    let mut writer = FamilyWriter::default();
    let accounts = render_all(states.iter().cloned(), &mut writer);
    families::write_self_metrics(instruments, &mut writer);
    let mut families = join(&accounts, Instant::now(), &mut GzipWriter::default());
    families.append(&mut writer.finish().chunks);
    families.retain(|metric, _| metric.family().is_in_single_run());
    lines::body(
        &families,
        Format::Text,
        Encoding::Identity,
        &mut writer.gzip,
    )
}
