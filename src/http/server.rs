//! The server: accepts and limits connections, and closes them at shutdown.

use std::{
    io,
    net::{self, SocketAddr},
    sync::Arc,
};

use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{
    access::Access,
    activity::Activity,
    connection,
    connections::Connections,
    lifecycle::{Lifecycle, Peer},
    limits_and_timeouts::Settings,
    listen::{ListenAddress, Listeners, listen},
    router::{Handlers, PageSettings, ProbeHandlers, Router},
};
use crate::{
    exposition::DataSource, shutdown::CancellationToken, telemetry::Instruments,
    web_config::WebConfig,
};

/// Maximum number of evicted connections whose tasks have not ended yet. New connections then wait.
const ENDING: usize = 64;

/// A server with listening sockets. Clients can connect, but get responses only after [`Bound::serve`] starts.
pub struct Bound {
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    settings: Settings,
    handlers: Handlers,
    web_config: Option<WebConfig>,
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
            handlers: Handlers::default(),
            web_config: None,
        })
    }

    /// The local addresses, in the requested order. Port 0 is replaced by the actual port.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Serves `/probe` with the present handler, while there is one.
    #[must_use]
    pub fn with_probe_handlers(mut self, handlers: ProbeHandlers) -> Self {
        self.handlers.probe = handlers;
        self
    }

    /// Serves `/-/reload` and `/-/config`.
    #[must_use]
    pub fn with_lifecycle(mut self, lifecycle: Arc<dyn Lifecycle>) -> Self {
        self.handlers.lifecycle = Some(lifecycle);
        self
    }

    /// Serves pages with these settings.
    #[must_use]
    pub fn with_pages(mut self, pages: PageSettings) -> Self {
        self.handlers.pages = pages;
        self
    }

    /// Serves with TLS, passwords, headers and a rate limit, as far as `web_config` has them.
    #[must_use]
    pub fn with_web_config(mut self, web_config: WebConfig) -> Self {
        self.web_config = Some(web_config);
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
        let connections = Arc::new(Connections::new(&self.settings, instruments.clone()));
        let table = Arc::clone(&connections);
        let access = Access {
            allowed_hosts: self.settings.allowed_hosts.clone(),
            web_config: self.web_config.clone(),
        };
        let handlers = self.handlers;
        let router = Router::new(&self.settings, access, data, handlers, instruments, table);
        let most = self.settings.max_connections + self.settings.max_health_connections + ENDING;
        let mut running = Running {
            router: Arc::new(router),
            settings: Arc::new(self.settings),
            web_config: self.web_config,
            connections,
            shutdown: shutdown.clone(),
            tasks: JoinSet::new(),
        };
        let mut listeners = Listeners::new(self.listeners);
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                () = running.next_end(), if !running.tasks.is_empty() => listeners.end_pause(),
                accepted = listeners.accept(), if running.tasks.len() < most => match accepted {
                    Some(stream) => running.start(stream),
                    None => running.connections.evict_any(),
                }
            }
            // Accepted connections get time to be read before further ones can evict them.
            tokio::task::yield_now().await;
        }
        drop(listeners);
        running.drain().await;
    }
}

/// The tasks of the connections. Dropping this value aborts all connections.
struct Running {
    router: Arc<Router>,
    settings: Arc<Settings>,
    web_config: Option<WebConfig>,
    connections: Arc<Connections>,
    shutdown: CancellationToken,
    tasks: JoinSet<()>,
}

impl Running {
    fn start(&mut self, stream: TcpStream) {
        let entry = Entry {
            activity: self.connections.add(),
            connections: Arc::clone(&self.connections),
        };
        let (router, settings) = (Arc::clone(&self.router), Arc::clone(&self.settings));
        // Each connection uses the settings of its start, so a new certificate affects no open connection.
        let web_config = self.web_config.as_ref().map(WebConfig::current);
        let web_config = web_config.as_ref();
        let tls = web_config.and_then(|current| current.tls());
        let peer = Peer {
            address: stream.peer_addr().ok().map(|address| address.ip()),
            has_certificate: web_config.is_some_and(|current| current.requires_certificate()),
        };
        let shutdown = self.shutdown.clone();
        self.tasks.spawn(async move {
            let activity = Arc::clone(&entry.activity);
            connection::serve(stream, tls, router, settings, activity, peer, shutdown).await;
        });
    }

    async fn next_end(&mut self) {
        match self.tasks.join_next().await {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                tracing::error!(%error, "a connection ended with a fault of this program");
            }
            None => std::future::pending().await,
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

/// An entry in the table of open connections. It is removed even if the task of the connection panics.
struct Entry {
    activity: Arc<Activity>,
    connections: Arc<Connections>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.connections.remove(&self.activity);
    }
}
