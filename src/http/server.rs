//! The server: accepts and limits connections, and closes them at shutdown.

use std::{
    fmt, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
    sync::Arc,
    task::Context,
    time::Duration,
};

use futures_util::{
    StreamExt,
    stream::{self, BoxStream, SelectAll},
};
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream, lookup_host},
    task::{Id, JoinSet},
    time::{Instant, sleep, sleep_until},
};

use super::{
    connection,
    limits_and_timeouts::Settings,
    router::{ProbeHandler, Router},
};
use crate::{exposition::DataSource, shutdown::CancellationToken, telemetry::Instruments};

/// Maximum number of connections per socket that wait for `accept`. The system may have a lower limit.
const BACKLOG: u32 = 1024;

/// Pause before the next `accept` after an accept error.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Time between two searches for an idle connection while a new connection is pending.
const EVICT_PAUSE: Duration = Duration::from_millis(100);

/// Minimum time between two log lines about accept errors.
const LOG_PAUSE: Duration = Duration::from_secs(60);

/// An address to listen on, written as in the flag `--web.listen-address`: `:10059`, `localhost:10059`,
/// `[::1]:10059`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// `:PORT`: every address of this host, IPv6 and IPv4.
    Everywhere(u16),
    /// `HOST:PORT` or `[IPv6]:PORT`. The field holds a name or an IP address, without brackets.
    Host(String, u16),
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |problem| {
            let forms = "write :PORT, HOST:PORT or [IPv6]:PORT, such as :10059 or 127.0.0.1:10059";
            format!("{problem}; {forms}")
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(|| error("has no port"))?;
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|_| is_number);
        let port = port.ok_or_else(|| error("its port is not a number up to 65535"))?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let bracketed = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        match bracketed.map(str::parse::<Ipv6Addr>) {
            Some(Ok(address)) => Ok(Self::Host(address.to_string(), port)),
            Some(Err(_)) => Err(error("its brackets contain no IPv6 address")),
            None if host.is_empty() => Ok(Self::Everywhere(port)),
            None if host.contains(':') => Err(error("needs brackets around an IPv6 address")),
            None if host.chars().all(is_name) => Ok(Self::Host(host.to_owned(), port)),
            None => Err(error("its host is neither an address nor a name")),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everywhere(port) => write!(f, ":{port}"),
            Self::Host(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Host(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

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
        let accepts = self.listeners.into_iter().map(|listener| {
            let accept = move |cx: &mut Context<'_>| listener.poll_accept(cx).map(Some);
            stream::poll_fn(accept).boxed()
        });
        let mut listeners = Listeners {
            accepts: stream::select_all(accepts),
            not_before: None,
            logged_at: None,
        };
        // An accepted connection. It waits here until fewer than `max_connections` connections are open.
        let mut pending = None;
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                () = connections.next_end(), if !connections.tasks.is_empty() => {
                    // A file descriptor is free again, so `accept` may succeed without a further pause.
                    listeners.not_before = None;
                }
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

/// Resolves a host name and opens a socket for each usable address. Never returns an empty list.
///
/// # Errors
///
/// The name does not resolve, this host has none of the resolved addresses, or the operating system refuses an
/// address for another reason. The message contains `address`.
pub async fn listen(address: &ListenAddress) -> io::Result<Vec<TcpListener>> {
    let found = match address {
        ListenAddress::Everywhere(port) => Ok(vec![
            (Ipv6Addr::UNSPECIFIED, *port).into(),
            (Ipv4Addr::UNSPECIFIED, *port).into(),
        ]),
        ListenAddress::Host(host, port) => {
            let found = lookup_host((host.as_str(), *port)).await;
            let failed = |error| with_context("the host name does not resolve", &error);
            found.map(Iterator::collect).map_err(failed)
        }
    };
    let failed = |error| with_context(&format!("cannot listen on {address}"), &error);
    found.and_then(open_all).map_err(failed)
}

fn with_context(context: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{context}: {error}"))
}

/// Opens a socket for every address. Skips an address that this host does not have if another address works. In
/// many containers, the name `localhost` has an IPv6 address, but the host has no IPv6.
pub(super) fn open_all(mut found: Vec<SocketAddr>) -> io::Result<Vec<TcpListener>> {
    // Some resolvers return the same address several times, once for each socket type.
    found.dedup();
    let mut listeners = Vec::new();
    let mut missing = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in found {
        if address.ip() == Ipv4Addr::UNSPECIFIED && !listeners.is_empty() {
            // The socket of `[::]` also accepts IPv4, so `0.0.0.0` needs no socket.
            continue;
        }
        match open(address) {
            Ok(listener) => listeners.push(listener),
            Err(error) if is_missing_address(&error) => missing = error,
            Err(error) => return Err(error),
        }
    }
    if listeners.is_empty() {
        return Err(missing);
    }
    Ok(listeners)
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        let socket = TcpSocket::new_v6()?;
        // IPv6 sockets must also accept IPv4. Hosts have different defaults for this option.
        SockRef::from(&socket).set_only_v6(false)?;
        socket
    };
    // Without this option, a restart fails while connections of the previous process are in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Whether this host does not have the address, or does not support its address family.
fn is_missing_address(error: &io::Error) -> bool {
    /// The Linux error `EAFNOSUPPORT`. The standard library has no stable error kind for it.
    const FAMILY_NOT_SUPPORTED: i32 = 97;
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(FAMILY_NOT_SUPPORTED)
}

/// The listening sockets, the end of the pause, and the time of the last log line about an accept error.
struct Listeners {
    /// The selection is fair: many clients of one listener do not delay clients of another listener.
    accepts: SelectAll<BoxStream<'static, io::Result<(TcpStream, SocketAddr)>>>,
    /// The end of the pause after an accept error.
    not_before: Option<Instant>,
    logged_at: Option<Instant>,
}

impl Listeners {
    /// Waits for the next connection. Returns `None` after an accept error that affects further connections,
    /// usually because no file descriptor is free. The method is cancel safe.
    async fn accept(&mut self) -> Option<TcpStream> {
        if let Some(moment) = self.not_before {
            sleep_until(moment).await;
            self.not_before = None;
        }
        loop {
            match self.accepts.next().await? {
                Ok((stream, _)) => return Some(stream),
                Err(error) if is_client_error(&error) => {}
                Err(error) => {
                    if self.logged_at.is_none_or(|at| at.elapsed() >= LOG_PAUSE) {
                        tracing::warn!(%error, "connections cannot be accepted; trying again");
                        self.logged_at = Some(Instant::now());
                    }
                    self.not_before = Some(Instant::now() + ACCEPT_PAUSE);
                    return None;
                }
            }
        }
    }
}

/// Whether only the accepted connection failed, so that the next `accept` can succeed.
fn is_client_error(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
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
