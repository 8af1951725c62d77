//! Logs the changes of an account's condition.

use std::{
    future::{self, Future},
    sync::Arc,
};

use tokio::time::{Instant, timeout_at};

use crate::{snapshot::Reader, telemetry::Condition};

/// Logs each change of the account's condition, also if only the clock causes the change. The first change is
/// relative to the condition at the call. The future never ends.
///
/// If two new states follow each other quickly, the first of them may remain unlogged.
pub fn log_condition_changes(mut reader: Reader) -> impl Future<Output = ()> {
    let mut before = reader.borrow().condition(Instant::now());
    async move {
        loop {
            let (condition, next_change) = {
                // This block drops the state before the wait, so that no old snapshot stays in memory.
                let (state, now) = (Arc::clone(&reader.borrow_and_update()), Instant::now());
                let condition = state.condition(now);
                log_change(&state.account, before, condition);
                (condition, state.next_change(now))
            };
            before = condition;
            let new_state = async {
                // After the end of the poller, only the clock changes the condition.
                if reader.changed().await.is_err() {
                    future::pending::<()>().await;
                }
            };
            match next_change {
                // The next step is the same after a new state and at the time `at`.
                Some(at) => drop(timeout_at(at, new_state).await),
                None => new_state.await,
            }
        }
    }
}

/// Logs the change from `before` to `condition`. An account that starts without a failure is not logged.
fn log_change(account: &str, before: Condition, condition: Condition) {
    let message = "the condition of the account has changed";
    let [to, from] = [condition, before].map(Condition::label);
    match (before, condition) {
        (Condition::Starting, Condition::Ok) => {}
        _ if before == condition => {}
        (_, Condition::Ok) => tracing::info!(account, condition = to, before = from, "{message}"),
        _ => tracing::warn!(account, condition = to, before = from, "{message}"),
    }
}
