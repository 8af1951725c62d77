//! The server: accepts and limits connections, and closes them at shutdown.

use std::{
    io,
    net::{self, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    task::{Id, JoinSet},
    time::sleep,
};

use super::{
    connection,
    limits_and_timeouts::Settings,
    listen::{ListenAddress, Listeners, listen},
    router::{ProbeHandler, Router},
};
use crate::{exposition::DataSource, shutdown::CancellationToken, telemetry::Instruments};

/// Time between two searches for an idle connection while a new connection is pending.
const EVICT_PAUSE: Duration = Duration::from_millis(100);

/// A server with listening sockets. Clients can connect, but get responses only after [`Bound::serve`] starts.
pub struct Bound {
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    settings: Settings,
    probe_handler: Option<Arc<dyn ProbeHandler>>,
}

impl Bound {
    /// Listens on every address of `addresses`. After an error, all sockets are closed.
    ///
    /// # Errors
    ///
    /// The error names the first address that fails, and the reason. If `addresses` is empty, it says so.
    pub async fn bind(addresses: &[ListenAddress], settings: Settings) -> io::Result<Self> {
        let mut listeners = Vec::new();
        for address in addresses {
            listeners.extend(listen(address).await?);
        }
        if listeners.is_empty() {
            return Err(io::Error::other("no address to listen on"));
        }
        Self::new(listeners, settings)
    }

    /// Uses sockets that already listen, such as the sockets of [`passed_sockets`](super::passed_sockets).
    ///
    /// # Errors
    ///
    /// The operating system refuses to use a socket without blocking.
    pub fn from_sockets(sockets: Vec<net::TcpListener>, settings: Settings) -> io::Result<Self> {
        let listeners = sockets.into_iter().map(|socket| {
            socket.set_nonblocking(true)?;
            TcpListener::from_std(socket)
        });
        Self::new(listeners.collect::<io::Result<_>>()?, settings)
    }

    fn new(listeners: Vec<TcpListener>, settings: Settings) -> io::Result<Self> {
        let local = listeners.iter().map(TcpListener::local_addr);
        Ok(Self {
            addresses: local.collect::<io::Result<_>>()?,
            listeners,
            settings,
            probe_handler: None,
        })
    }

    /// The local addresses, in the requested order. Port 0 is replaced by the actual port.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Enables `/probe`.
    #[must_use]
    pub fn with_probe_handler(mut self, handler: Arc<dyn ProbeHandler>) -> Self {
        self.probe_handler = Some(handler);
        self
    }

    /// Serves until `shutdown`. Then the server closes the listeners and idle connections, and finishes
    /// responses in progress within [`Settings::drain_timeout`].
    pub async fn serve(
        self,
        data: Arc<dyn DataSource>,
        instruments: Instruments,
        shutdown: CancellationToken,
    ) {
        let router = Router::new(&self.settings, data, self.probe_handler, instruments);
        let mut connections = Connections {
            router: Arc::new(router),
            settings: Arc::new(self.settings),
            shutdown: shutdown.clone(),
            tasks: JoinSet::new(),
            open: Vec::new(),
        };
        let mut listeners = Listeners::new(self.listeners);
        // An accepted connection. It waits here until fewer than `max_connections` connections are open.
        let mut pending = None;
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                () = connections.next_end(), if !connections.tasks.is_empty() => listeners.end_pause(),
                () = sleep(EVICT_PAUSE), if pending.is_some() => {}
                accepted = listeners.accept(), if pending.is_none() => match accepted {
                    Some(stream) => pending = Some(stream),
                    None => connections.evict_idle(),
                }
            }
            match pending.take_if(|_| !connections.is_full()) {
                Some(stream) => connections.start(stream),
                None if pending.is_some() => connections.evict_idle(),
                None => {}
            }
        }
        drop(listeners);
        connections.drain().await;
    }
}

/// The open connections. Dropping this value aborts all connections.
struct Connections {
    router: Arc<Router>,
    settings: Arc<Settings>,
    shutdown: CancellationToken,
    tasks: JoinSet<()>,
    /// The connections in the order of arrival.
    open: Vec<Open>,
}

struct Open {
    id: Id,
    /// Each response in progress holds a `Weak` of this `Arc`.
    responses: Arc<()>,
    close: CancellationToken,
}

impl Connections {
    fn is_full(&self) -> bool {
        self.tasks.len() >= self.settings.max_connections.max(1)
    }

    fn start(&mut self, stream: TcpStream) {
        let responses = Arc::new(());
        let close = self.shutdown.child_token();
        let task = self.tasks.spawn(connection::serve(
            stream,
            Arc::clone(&self.router),
            Arc::clone(&self.settings),
            Arc::clone(&responses),
            close.clone(),
        ));
        let id = task.id();
        self.open.push(Open {
            id,
            responses,
            close,
        });
    }

    async fn next_end(&mut self) {
        let id = match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            Some(Err(error)) => {
                tracing::error!(%error, "a connection ended with a fault of this program");
                error.id()
            }
            None => std::future::pending().await,
        };
        self.open.retain(|one| one.id != id);
    }

    /// Closes the oldest idle connection, unless an idle connection is already closing.
    fn evict_idle(&self) {
        let is_idle = |one: &&Open| Arc::weak_count(&one.responses) == 0;
        let mut idle = self.open.iter().filter(is_idle);
        let Some(oldest) = idle.next() else {
            return;
        };
        let is_evicted = |one: &Open| one.close.is_cancelled();
        if !is_evicted(oldest) && !idle.any(is_evicted) {
            oldest.close.cancel();
        }
    }

    /// Waits at most `settings.drain_timeout` for the responses in progress, then aborts all connections.
    async fn drain(mut self) {
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let drained = tokio::time::timeout(self.settings.drain_timeout, all).await;
        if drained.is_err() {
            tracing::warn!(
                connections = self.tasks.len(),
                "responses were cut off because they took too long"
            );
            self.tasks.shutdown().await;
        }
    }
}
