//! Addresses to listen on, and their sockets.

use std::{
    fmt, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, lookup_host};

/// Connections that may wait for `accept`; the system reduces it to its own limit.
const BACKLOG: u32 = 1024;
/// An address to listen on. Its text form is the one of the flag: `:10059`, `localhost:10059`,
/// `[::1]:10059`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// `:PORT`: every address of this host, IPv6 and IPv4.
    Everywhere(u16),
    /// `HOST:PORT`: an IP address (IPv6 without its brackets) or a name.
    Host(String, u16),
}

const FORMS: &str = "write :PORT, HOST:PORT or [IPv6]:PORT, such as :10059 or 127.0.0.1:10059";

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = text
            .rsplit_once(':')
            .ok_or_else(|| format!("has no port; {FORMS}"))?;
        let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|_| is_number);
        let port = port.ok_or_else(|| format!("its port is not a number up to 65535; {FORMS}"))?;
        if host.is_empty() {
            return Ok(Self::Everywhere(port));
        }
        let bracketed = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let host = match bracketed {
            Some(address) => {
                let address: Ipv6Addr = address
                    .parse()
                    .map_err(|_| format!("its brackets contain no IPv6 address; {FORMS}"))?;
                return Ok(Self::Host(address.to_string(), port));
            }
            None if host.contains(':') => {
                return Err(format!("needs brackets around an IPv6 address; {FORMS}"));
            }
            None => host,
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if host.chars().all(is_name) {
            Ok(Self::Host(host.to_owned(), port))
        } else {
            Err(format!(
                "its host is neither an address nor a name; {FORMS}"
            ))
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

impl ListenAddress {
    /// Opens a socket for each address of this name, resolved once; at least one. `[::]` includes IPv4.
    ///
    /// # Errors
    ///
    /// The name does not resolve, or the operating system refuses an address. The message has the address.
    pub(super) async fn listen(&self) -> io::Result<Vec<TcpListener>> {
        let opened = match self.resolve().await {
            Ok(found) => open_all(found),
            Err(error) => Err(error),
        };
        opened.map_err(|error| with_context(&format!("cannot listen on {self}"), &error))
    }

    async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::Everywhere(port) => Ok(vec![
                (Ipv6Addr::UNSPECIFIED, *port).into(),
                (Ipv4Addr::UNSPECIFIED, *port).into(),
            ]),
            Self::Host(host, port) => {
                let found = lookup_host((host.as_str(), *port)).await;
                let found = found
                    .map_err(|error| with_context("the host name does not resolve", &error))?;
                Ok(found.collect())
            }
        }
    }
}

fn with_context(context: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{context}: {error}"))
}

/// Opens a socket for every address. A name often has an IPv6 address that this host lacks (`localhost`
/// in many containers). Such an address is skipped if another one works.
pub(super) fn open_all(mut found: Vec<SocketAddr>) -> io::Result<Vec<TcpListener>> {
    // Resolvers repeat an address once per socket type.
    found.dedup();
    let mut listeners = Vec::new();
    let mut missing = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in found {
        if address.ip() == Ipv4Addr::UNSPECIFIED && !listeners.is_empty() {
            // The socket of `[::]` accepts IPv4 too.
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
        // The default differs between hosts.
        SockRef::from(&socket).set_only_v6(false)?;
        socket
    };
    // Otherwise a restart fails while connections of the previous process are in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Whether this host lacks the address or its whole family.
fn is_missing_address(error: &io::Error) -> bool {
    /// `EAFNOSUPPORT` of Linux; the standard library has no stable kind for it.
    const FAMILY_NOT_SUPPORTED: i32 = 97;
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(FAMILY_NOT_SUPPORTED)
}
