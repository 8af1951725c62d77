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
    config::Group,
    fleet::run_apart,
    report::{self, Period, Table},
    snapshot::AccountState,
};

/// A report is kept for this time.
const KEPT_FOR: Duration = Duration::from_secs(5 * 60);
/// The maximum number of kept reports.
const MAX_KEPT: usize = 8;
/// The longest time that a page waits for its report, and for reports before it.
const WAIT: Duration = Duration::from_secs(20);

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
    /// Unknown time, groups, worst endpoints, outages, and endpoints that flapped.
    pub(super) tables: [Table; 5],
}

/// A report, or why there is none.
pub(super) type Made = Result<Arc<Content>, String>;

/// Reports with the times at which they were made.
type Kept = Vec<(Wanted, Instant, Arc<Content>)>;

/// Makes reports, one at a time.
pub(super) struct Reports {
    directory: Arc<Path>,
    kept: Arc<Mutex<Kept>>,
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
        if let Some(kept) = self.kept(&wanted) {
            return Some(Ok(kept));
        }
        let end = Instant::now() + WAIT;
        let turn = timeout(WAIT, Arc::clone(&self.turn).acquire_owned()).await;
        let turn = turn.ok()?.ok()?;
        // Another request may have made it meanwhile.
        if let Some(kept) = self.kept(&wanted) {
            return Some(Ok(kept));
        }
        let groups = states.iter().map(|state| {
            let groups = state.shown.groups.clone();
            (state.account.to_string(), groups)
        });
        let groups: BTreeMap<_, _> = groups.collect();
        let (directory, all) = (Arc::clone(&self.directory), Arc::clone(&self.kept));
        let made = run_apart(move || {
            let _turn = turn;
            let made = make(&directory, &groups, &wanted, now);
            if let Ok(content) = &made {
                keep(&mut lock(&all), wanted, content);
            }
            made
        });
        let left = end.saturating_duration_since(Instant::now());
        let made = timeout(left, made).await.ok()?;
        Some(made.unwrap_or_else(|_| Err("the report cannot be made".to_owned())))
    }

    fn kept(&self, wanted: &Wanted) -> Option<Arc<Content>> {
        let kept = lock(&self.kept);
        let mut found = kept
            .iter()
            .filter(|(one, at, _)| one == wanted && at.elapsed() < KEPT_FOR);
        found.next().map(|(.., content)| Arc::clone(content))
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    // Each change is complete in itself, so a panic elsewhere leaves usable reports.
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keep(kept: &mut Kept, wanted: Wanted, content: &Arc<Content>) {
    kept.retain(|(one, at, _)| *one != wanted && at.elapsed() < KEPT_FOR);
    if kept.len() >= MAX_KEPT {
        kept.remove(0);
    }
    kept.push((wanted, Instant::now(), Arc::clone(content)));
}

fn make(
    directory: &Path,
    groups: &BTreeMap<String, Vec<Group>>,
    wanted: &Wanted,
    now: UnixMillis,
) -> Made {
    let query = report::Query {
        period: Period {
            from: now.minus(wanted.length),
            until: now,
        },
        account: Some(wanted.account.clone()).filter(|name| !name.is_empty()),
    };
    let report = report::read(directory, groups, &query).map_err(|error| error.to_string())?;
    Ok(Arc::new(Content {
        at: now,
        summary: report::summary(&report),
        tables: report::tables(&report),
    }))
}
