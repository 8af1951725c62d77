//! The tasks that serve, and an eye on them: none may end unnoticed.

use std::{
    collections::HashMap, convert::Infallible, future::Future, panic::AssertUnwindSafe,
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{
    task::{Id, JoinSet},
    time::sleep,
};

/// Before something that broke off is started again.
const PAUSE: Duration = Duration::from_secs(1);

/// The pollers and the renderer; dropping it cuts them off.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    running: JoinSet<()>,
    /// The account of every poller.
    pollers: HashMap<Id, String>,
}

impl Tasks {
    /// Starts the poller of this account.
    pub(super) fn poll(
        &mut self,
        account: &str,
        poller: impl Future<Output = ()> + Send + 'static,
    ) {
        let id = self.running.spawn(poller).id();
        self.pollers.insert(id, account.to_owned());
    }

    /// Starts what serves all accounts; begins anew with another `work` when one panics.
    pub(super) fn keep<F>(&mut self, mut work: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.running.spawn(async move {
            while AssertUnwindSafe(work()).catch_unwind().await.is_err() {
                tracing::error!("rendering broke off and begins anew");
                sleep(PAUSE).await;
            }
        });
    }

    /// Tells who panicked. A poller guards its own walks, so nobody should; one that does all the
    /// same takes no other with it, and its account's snapshot is withdrawn when it is too old.
    pub(super) async fn watch(&mut self) -> Infallible {
        while let Some(ended) = self.running.join_next_with_id().await {
            let Err(error) = ended else { continue };
            if error.is_panic() {
                let account = self.pollers.get(&error.id());
                tracing::error!(
                    account,
                    "broke off and is not walked again: a restart is needed"
                );
            }
        }
        std::future::pending().await
    }

    /// Cuts them off and waits until they are gone.
    pub(super) async fn end(mut self) {
        self.running.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::oneshot;

    use super::*;
    use crate::telemetry::logs::{Captured, Format, Level};

    #[tokio::test(start_paused = true)]
    async fn a_poller_that_panics_is_named_and_the_others_go_on() {
        let log = Captured::default();
        let _logging = tracing::dispatcher::set_default(&log.dispatch(Level::INFO, Format::Logfmt));
        let mut tasks = Tasks::default();
        let (done, other) = oneshot::channel();
        tasks.poll("broken", async { panic!("a bug, on purpose") });
        tasks.poll("good", async {
            sleep(Duration::from_secs(60)).await;
            done.send(()).unwrap();
        });
        tokio::select! {
            never = tasks.watch() => match never {},
            other = other => other.unwrap(),
        }
        let said = log.text();
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(
            said.contains("level=error") && said.contains("account=broken"),
            "{said}"
        );
        tasks.end().await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_serves_all_begins_anew_after_a_panic() {
        let mut tasks = Tasks::default();
        let (done, rendered) = oneshot::channel();
        let (begun, mut done) = (AtomicU32::new(0), Some(done));
        tasks.keep(move || {
            let is_first = begun.fetch_add(1, Ordering::Relaxed) == 0;
            let done = if is_first { None } else { done.take() };
            async move { done.expect("a bug, on purpose").send(()).unwrap() }
        });
        rendered.await.unwrap();
    }
}
