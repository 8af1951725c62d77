//! The reports of availability for the page `/reports`. A report of a large log takes seconds, so it is kept for a while.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

use crate::{
    clock::UnixMillis,
    fleet::run_apart,
    report::{self, Configured, Period, Table},
    snapshot::{AccountState, Shown},
};

/// A report is kept for this time.
const KEPT_FOR: Duration = Duration::from_secs(5 * 60);
/// The maximum number of kept reports.
const MAX_KEPT: usize = 8;
/// The longest time that a page waits for its report, and for reports before it.
const WAIT: Duration = Duration::from_secs(20);

/// The settings of the accounts from which a report was made.
type Settings = Vec<Arc<Shown>>;

/// What a report is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The length of the period, which ends now.
    pub(super) length: Duration,
    /// The name of the account, or "" for all accounts.
    pub(super) account: String,
}

/// What the page shows of a report.
#[derive(Debug)]
pub(super) struct Content {
    /// The time of the report, which is the end of its period.
    pub(super) at: UnixMillis,
    pub(super) summary: Vec<String>,
    /// As [`report::tables`].
    pub(super) tables: [Table; 6],
}

/// A report, or why there is none.
pub(super) type Made = Result<Arc<Content>, String>;

/// A kept report. A reload of the configuration ends it.
struct Kept {
    wanted: Wanted,
    settings: Settings,
    made: Instant,
    content: Arc<Content>,
}

impl Kept {
    fn is_present(&self) -> bool {
        self.made.elapsed() < KEPT_FOR
    }

    fn is_of(&self, wanted: &Wanted, settings: &Settings) -> bool {
        let pairs = self.settings.iter().zip(settings);
        self.wanted == *wanted
            && self.settings.len() == settings.len()
            && pairs
                .into_iter()
                .all(|(one, other)| Arc::ptr_eq(one, other))
    }
}

/// Makes reports, one at a time.
pub(super) struct Reports {
    directory: Arc<Path>,
    kept: Arc<Mutex<Vec<Kept>>>,
    turn: Arc<Semaphore>,
}

impl Reports {
    /// Reports from the state database in `directory`.
    pub(super) fn new(directory: Arc<Path>) -> Self {
        Self {
            directory,
            kept: Arc::default(),
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// The kept report, or a new one at the time `now`. `None` if it takes longer than 20 seconds; it is then kept for the
    /// next request.
    pub(super) async fn get(
        &self,
        wanted: Wanted,
        states: &[Arc<AccountState>],
        now: UnixMillis,
    ) -> Option<Made> {
        let settings: Settings = states
            .iter()
            .map(|state| Arc::clone(&state.shown))
            .collect();
        if let Some(kept) = self.kept(&wanted, &settings) {
            return Some(Ok(kept));
        }
        let end = Instant::now() + WAIT;
        let turn = timeout(WAIT, Arc::clone(&self.turn).acquire_owned()).await;
        let turn = turn.ok()?.ok()?;
        // Another request may have made it meanwhile.
        if let Some(kept) = self.kept(&wanted, &settings) {
            return Some(Ok(kept));
        }
        let configured = states.iter().map(|state| {
            let configured = Configured {
                groups: state.shown.groups.clone(),
                interval: Some(state.poll_interval),
                hides_names: !state.shown.username,
            };
            (state.account.to_string(), configured)
        });
        let configured: BTreeMap<_, _> = configured.collect();
        let (directory, all) = (Arc::clone(&self.directory), Arc::clone(&self.kept));
        let made = run_apart(move || {
            let _turn = turn;
            let made = make(&directory, &configured, &wanted, now);
            if let Ok(content) = &made {
                keep(
                    &mut lock(&all),
                    Kept {
                        wanted,
                        settings,
                        made: Instant::now(),
                        content: Arc::clone(content),
                    },
                );
            }
            made
        });
        let left = end.saturating_duration_since(Instant::now());
        let made = timeout(left, made).await.ok()?;
        Some(made.unwrap_or_else(|_| Err("the report cannot be made".to_owned())))
    }

    fn kept(&self, wanted: &Wanted, settings: &Settings) -> Option<Arc<Content>> {
        let kept = lock(&self.kept);
        let mut found = kept
            .iter()
            .filter(|one| one.is_of(wanted, settings) && one.is_present());
        found.next().map(|one| Arc::clone(&one.content))
    }
}

fn lock(kept: &Mutex<Vec<Kept>>) -> MutexGuard<'_, Vec<Kept>> {
    // Each change is complete in itself, so a panic elsewhere leaves usable reports.
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keep(kept: &mut Vec<Kept>, new: Kept) {
    kept.retain(|one| one.wanted != new.wanted && one.is_present());
    if kept.len() >= MAX_KEPT {
        kept.remove(0);
    }
    kept.push(new);
}

fn make(
    directory: &Path,
    configured: &BTreeMap<String, Configured>,
    wanted: &Wanted,
    now: UnixMillis,
) -> Made {
    let query = report::Query {
        period: Period {
            from: now.minus(wanted.length),
            until: now,
        },
        account: Some(wanted.account.clone()).filter(|name| !name.is_empty()),
        only_configured: true,
        now,
    };
    let report = report::read(directory, configured, &query).map_err(|error| error.to_string())?;
    Ok(Arc::new(Content {
        at: now,
        summary: report::summary(&report),
        tables: report::tables(&report),
    }))
}
