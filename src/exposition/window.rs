//! The window itself: keeps what was rendered, renders what has changed, answers.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use tokio::time::Instant;

use super::{
    account::Rendered,
    answer::{Answer, Encoding, Format},
    press::Press,
    published::Published,
    words::AccountSummary,
};
use crate::{
    snapshot::{AccountState, Reader},
    telemetry::Instruments,
};

/// After publishing, changes are left to gather this many times as long as publishing took: with
/// hundreds of accounts one of them changes all the time.
const REST: u32 = 50;

/// But never longer than this.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// Everything that scrapes are answered from. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Exposition(Arc<Window>);

#[derive(Debug)]
struct Window {
    readers: Vec<Reader>,
    instruments: Instruments,
    /// The accounts' fragments, in the configuration's order. Whoever swaps `published` holds this
    /// lock meanwhile, so that a newer exposition is never overwritten by an older one. Never held
    /// while a snapshot is rendered.
    accounts: Mutex<Vec<Arc<Rendered>>>,
    /// Locked only to take or to put a pointer.
    published: RwLock<Arc<Published>>,
    /// Once true, true for good.
    ready: AtomicBool,
}

impl Exposition {
    /// Renders what the readers show now; [`Self::run`] follows them from there.
    ///
    /// The order of `readers` is the order of accounts everywhere.
    pub fn new(readers: Vec<Reader>, instruments: Instruments) -> Self {
        let mut press = Press::new();
        let render = |reader: &Reader| Arc::new(Rendered::new(&reader.current(), None, &mut press));
        let accounts: Vec<_> = readers.iter().map(render).collect();
        let published = Published::new(&accounts, &instruments, Instant::now());
        let window = Window {
            readers,
            instruments,
            accounts: Mutex::new(Vec::new()),
            published: RwLock::new(Arc::new(published)),
            ready: AtomicBool::new(false),
        };
        window.settle(&accounts);
        *window
            .accounts
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = accounts;
        Self(Arc::new(window))
    }

    /// Renders every change until the last publisher is gone. To end it earlier, drop it: what was
    /// rendered so far stays.
    ///
    /// Changes of several accounts that come together are published together; they are rendered one
    /// after another on a thread of their own, so that memory is bound and no answer waits.
    pub async fn run(self) {
        let mut changes: FuturesUnordered<_> = self
            .0
            .readers
            .iter()
            .cloned()
            .enumerate()
            .map(|(account, reader)| next(account, reader))
            .collect();
        while let Some(first) = changes.next().await {
            let mut burst = Vec::new();
            let mut change = Some(first);
            while let Some((account, state, reader)) = change {
                if let Some(state) = state {
                    burst.push((account, state));
                    changes.push(next(account, reader));
                }
                change = changes.next().now_or_never().flatten();
            }
            if burst.is_empty() {
                continue;
            }
            let window = Arc::clone(&self.0);
            match tokio::task::spawn_blocking(move || window.render(burst)).await {
                Ok(took) => tokio::time::sleep((took * REST).min(LONGEST_REST)).await,
                // The exposition before stays; the next walk tries again.
                Err(error) => tracing::error!(%error, "publishing the accounts has failed"),
            }
        }
    }

    /// The answer to one scrape, now.
    pub fn answer(&self, format: Format, encoding: Encoding) -> Answer {
        Answer::new(self.0.published().member(format), encoding)
    }

    /// Has every account finished its first walk, well or badly, and can that be scraped? Once
    /// true, true for good.
    pub fn is_ready(&self) -> bool {
        self.0.ready.load(Ordering::Acquire)
    }

    /// Every account in words, in the configuration's order.
    pub fn accounts(&self) -> Vec<AccountSummary> {
        let now = Instant::now();
        let published = self.0.published();
        let standings = published.standings.iter();
        standings.map(|standing| standing.summary(now)).collect()
    }
}

/// Waits for the account's next state. The reader is given back; without a state it is of no use
/// any more.
async fn next(account: usize, mut reader: Reader) -> (usize, Option<Arc<AccountState>>, Reader) {
    let state = reader.next().await;
    (account, state, reader)
}

impl Window {
    /// What to answer from now: nearly always what lies there.
    fn published(&self) -> Arc<Published> {
        let published = self.load();
        if Instant::now() < published.fresh_until {
            return published;
        }
        drop(published);
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        // Waiting for the lock took time, and whoever held it may have done the work.
        let now = Instant::now();
        let published = self.load();
        if now < published.fresh_until {
            return published;
        }
        let published = Arc::new(if published.is_overdue(now) {
            Published::new(&accounts, &self.instruments, now)
        } else {
            published.with_own(&self.instruments, now)
        });
        self.store(Arc::clone(&published));
        published
    }

    fn load(&self) -> Arc<Published> {
        let published = self.published.read();
        Arc::clone(&published.unwrap_or_else(PoisonError::into_inner))
    }

    fn store(&self, published: Arc<Published>) {
        let mut place = self
            .published
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *place, published);
        // Freeing much memory takes a while: not while readers wait.
        drop(place);
        drop(old);
    }

    /// Renders the new states and publishes them together; tells how long publishing took, which
    /// grows with the number of accounts.
    fn render(&self, burst: Vec<(usize, Arc<AccountState>)>) -> Duration {
        let mut press = Press::new();
        let mut rendered = Vec::with_capacity(burst.len());
        for (account, state) in burst {
            let last = {
                let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
                Arc::clone(&accounts[account])
            };
            let new = || Rendered::new(&state, Some(&last), &mut press);
            // The account keeps what it shows, and the others of the burst do not suffer.
            if let Ok(new) = catch_unwind(AssertUnwindSafe(new)) {
                rendered.push((account, Arc::new(new)));
            } else {
                press = Press::new();
                tracing::error!(account = %state.account, "rendering the account has failed");
            }
        }
        drop(press);
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        for (account, new) in rendered {
            accounts[account] = new;
        }
        let begun = Instant::now();
        let published = Published::new(&accounts, &self.instruments, begun);
        self.store(Arc::new(published));
        self.settle(&accounts);
        begun.elapsed()
    }

    fn settle(&self, accounts: &[Arc<Rendered>]) {
        if accounts.iter().all(|account| account.standing.up.is_some()) {
            self.ready.store(true, Ordering::Release);
        }
    }
}
