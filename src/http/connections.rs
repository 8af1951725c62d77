//! All connections: how many there are, who makes room, and how they end.

use std::{collections::HashMap, sync::Arc};

use tokio::{
    net::TcpStream,
    task::{Id, JoinError, JoinSet},
};

use super::{
    connection::{Pulse, tend},
    front::Front,
    pages::Pages,
    settings::Limits,
};
use crate::shutdown::CancellationToken;

/// The open connections; dropping it cuts them.
#[derive(Debug)]
pub(super) struct Connections {
    limits: Arc<Limits>,
    shutdown: CancellationToken,
    tasks: JoinSet<()>,
    open: HashMap<Id, Open>,
    /// How many there have ever been.
    count: u64,
}

#[derive(Debug)]
struct Open {
    number: u64,
    pulse: Arc<Pulse>,
    leave: CancellationToken,
}

impl Connections {
    pub(super) fn new(limits: Limits, shutdown: CancellationToken) -> Self {
        Self {
            limits: Arc::new(limits),
            shutdown,
            tasks: JoinSet::new(),
            open: HashMap::new(),
            count: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.tasks.len() >= self.limits.connections.max(1)
    }

    /// Starts to serve a connection; every one is told when the process is asked to end.
    pub(super) fn add<P: Pages>(&mut self, stream: TcpStream, front: &Arc<Front<P>>) {
        let pulse = Arc::new(Pulse::default());
        let leave = self.shutdown.child_token();
        let task = self.tasks.spawn(tend(
            stream,
            Arc::clone(front),
            Arc::clone(&self.limits),
            Arc::clone(&pulse),
            leave.clone(),
        ));
        self.count += 1;
        self.open.insert(
            task.id(),
            Open {
                number: self.count,
                pulse,
                leave,
            },
        );
    }

    /// Waits until one has ended; for ever when there is none.
    pub(super) async fn ended(&mut self) {
        match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => {
                self.open.remove(&id);
            }
            Some(Err(error)) => self.broke(&error),
            None => std::future::pending().await,
        }
    }

    fn broke(&mut self, error: &JoinError) {
        self.open.remove(&error.id());
        if error.is_panic() {
            tracing::error!(%error, "a connection was lost to a fault of this program");
        }
    }

    /// Asks the oldest connection that is not being answered to leave, unless one is on its way out.
    pub(super) fn make_room(&self) {
        let idle = || self.open.values().filter(|one| !one.pulse.is_answering());
        if idle().any(|one| one.leave.is_cancelled()) {
            return;
        }
        if let Some(oldest) = idle().min_by_key(|one| one.number) {
            oldest.leave.cancel();
        }
    }

    /// Waits for the answers under way, at most `limits.drain_time`, then cuts what is left.
    pub(super) async fn drain(mut self) {
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(self.limits.drain_time, all)
            .await
            .is_err()
        {
            tracing::warn!(
                connections = self.tasks.len(),
                "answers that took too long were cut off"
            );
            self.tasks.shutdown().await;
        }
    }
}
