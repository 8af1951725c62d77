//! Listening: parses the addresses, opens the sockets, and accepts connections.

use std::{
    fmt, io,
    net::{self, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
    task::Context,
    time::Duration,
};

use futures_util::{
    StreamExt,
    stream::{self, BoxStream, SelectAll},
};
use listenfd::ListenFd;
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream, lookup_host},
    time::{Instant, sleep_until},
};

/// Maximum number of connections per socket that wait for `accept`. The system may have a lower limit.
const BACKLOG: u32 = 1024;

/// Pause before the next `accept` after an accept error.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

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

/// Takes the listening sockets that systemd has passed to this process (`sd_listen_fds(3)`). Never returns an empty
/// list. The function removes the environment variables `LISTEN_FDS` and `LISTEN_PID`, so it must run before the
/// program starts threads.
///
/// # Errors
///
/// Systemd has passed no socket to this process, or a file descriptor is no TCP socket that listens.
pub fn passed_sockets() -> io::Result<Vec<net::TcpListener>> {
    /// The first file descriptor that systemd passes.
    const FIRST: usize = 3;
    let mut passed = ListenFd::from_env();
    let mut sockets = Vec::new();
    for index in 0..passed.len() {
        let socket = passed.take_tcp_listener(index).ok().flatten();
        let listens = |socket: &net::TcpListener| SockRef::from(socket).is_listener();
        let socket = socket.filter(|socket| listens(socket).unwrap_or(false));
        sockets.push(socket.ok_or_else(|| {
            let number = FIRST + index;
            io::Error::other(format!(
                "file descriptor {number} from systemd is no TCP socket that listens; \
                the socket unit needs ListenStream=[ADDRESS:]PORT and Accept=no"
            ))
        })?);
    }
    if sockets.is_empty() {
        let message = "systemd has passed no socket to this process; a socket unit must start it";
        return Err(io::Error::other(message));
    }
    Ok(sockets)
}

/// Whether this host does not have the address, or does not support its address family.
fn is_missing_address(error: &io::Error) -> bool {
    /// The Linux error `EAFNOSUPPORT`. The standard library has no stable error kind for it.
    const FAMILY_NOT_SUPPORTED: i32 = 97;
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(FAMILY_NOT_SUPPORTED)
}

/// The listening sockets, the end of the pause, and the time of the last log line about an accept error.
pub(super) struct Listeners {
    /// The selection is fair: many clients of one listener do not delay clients of another listener.
    accepts: SelectAll<BoxStream<'static, io::Result<(TcpStream, SocketAddr)>>>,
    /// The end of the pause after an accept error.
    not_before: Option<Instant>,
    logged_at: Option<Instant>,
}

impl Listeners {
    pub(super) fn new(sockets: Vec<TcpListener>) -> Self {
        let accepts = sockets.into_iter().map(|listener| {
            let accept = move |cx: &mut Context<'_>| listener.poll_accept(cx).map(Some);
            stream::poll_fn(accept).boxed()
        });
        Self {
            accepts: stream::select_all(accepts),
            not_before: None,
            logged_at: None,
        }
    }

    /// Ends the pause after an accept error, because a file descriptor is free again.
    pub(super) fn end_pause(&mut self) {
        self.not_before = None;
    }

    /// Waits for the next connection. Returns `None` after an accept error that affects further connections,
    /// usually because no file descriptor is free. The method is cancel safe.
    pub(super) async fn accept(&mut self) -> Option<TcpStream> {
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
