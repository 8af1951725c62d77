//! Runs a poller while a test observes its requests and published states.

use std::{future::Future, ops::Range, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::list::{Fixture, List, Record, START, account, fault};
use crate::{
    api::{Endpoint, Error, ErrorKind},
    clock::Clock,
    config::{Account, DetailMode},
    shutdown,
    snapshot::{AccountState, Reader},
    telemetry::Instruments,
};

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// An account that retrieves the records of rows without an expiry, with `per_minute` requests per minute.
pub(super) fn wanting(per_minute: f64) -> Account {
    let mut account = account();
    account.details.mode = DetailMode::Auto;
    account.details.requests_per_minute = per_minute;
    account
}

/// Records that agree with the list. Their registrations expire after `lifetime`.
pub(super) fn lasting(lifetime: Duration) -> Record {
    let clock = Clock::anchored(START);
    Box::new(move |row| {
        let row = row.cloned().ok_or_else(|| fault(ErrorKind::NotFound))?;
        let expires_at = Some(clock.now().plus(lifetime));
        Ok(Endpoint { expires_at, ..row })
    })
}

/// Makes every retrieve request fail with this error.
pub(super) fn failing(error: Error) -> Record {
    Box::new(move |_| Err(error.clone()))
}

/// A list of this many endpoints. The endpoints at the positions `registered` are registered.
pub(super) fn list(endpoints: u64, registered: Range<usize>) -> Arc<List> {
    let list = List::of(endpoints);
    for (number, row) in list.state().rows.iter_mut().enumerate() {
        row.registered = Some(registered.contains(&number));
        // All ids have the same length, so that their order is the order of the numbers.
        row.id = format!("{number:06}");
    }
    list.state().record = Some(lasting(3_600 * SECOND));
    list
}

/// The objects that a test observes while the poller runs.
pub(super) struct Run {
    pub(super) list: Arc<List>,
    pub(super) reader: Reader,
    pub(super) instruments: Instruments,
    pub(super) start: Instant,
}

impl Run {
    pub(super) fn state(&self) -> Arc<AccountState> {
        self.reader.borrow().clone()
    }

    /// The ids of the retrieve requests since the last call.
    pub(super) fn retrieved(&self) -> Vec<String> {
        let mut state = self.list.state();
        state.retrieved.drain(..).map(|(id, _)| id).collect()
    }

    /// Waits until this many seconds after the start.
    pub(super) async fn at(&self, seconds: u64) {
        sleep(
            (self.start + Duration::from_secs(seconds)).saturating_duration_since(Instant::now()),
        )
        .await;
    }

    pub(super) fn has_detail(&self, id: &str) -> bool {
        self.state().details.get(id).is_some()
    }
}

/// Runs a poller while `scenario` observes it.
pub(super) async fn observe<F: Future<Output = ()>>(
    list: &Arc<List>,
    account: Account,
    scenario: impl FnOnce(Run) -> F,
) {
    let fixture = Fixture::new(list, account);
    let run = Run {
        list: Arc::clone(list),
        reader: fixture.reader.clone(),
        instruments: fixture.instruments.clone(),
        start: Instant::now(),
    };
    let shutdown = shutdown::CancellationToken::new();
    let poller = fixture.poller.run(shutdown.clone());
    let scenario = async {
        scenario(run).await;
        shutdown.cancel();
    };
    tokio::join!(scenario, poller);
}
