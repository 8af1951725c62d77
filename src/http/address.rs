//! Where to listen, and the sockets that come of it.

use std::{
    fmt, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use super::BindError;

/// Connections that may wait for us; the system cuts it to its own limit.
const BACKLOG: i32 = 1024;

/// An address as an operator writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `:PORT`: every address of this host, IPv6 and IPv4.
    AnyOf(u16),
    /// `HOST:PORT`: an IP address (IPv6 without its brackets) or a name. A name is resolved once,
    /// when it is bound, and every address that it stands for is listened on. `::` takes IPv4 too.
    Host(String, u16),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnyOf(port) => write!(f, ":{port}"),
            Self::Host(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Host(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

impl Address {
    /// Every socket that this address asks for; at least one.
    ///
    /// # Errors
    /// The name does not resolve, or the system refuses; with this address.
    pub async fn listen(&self) -> Result<Vec<TcpListener>, BindError> {
        let refused = |source| BindError::Listen {
            address: self.clone(),
            source,
        };
        match self {
            Self::AnyOf(port) => {
                let everywhere = open((Ipv6Addr::UNSPECIFIED, *port).into());
                let listener = match everywhere {
                    Err(error) if is_missing_family(&error) => {
                        open((Ipv4Addr::UNSPECIFIED, *port).into())
                    }
                    other => other,
                };
                listener.map(|one| vec![one]).map_err(refused)
            }
            Self::Host(host, port) => {
                let found = tokio::net::lookup_host((host.as_str(), *port))
                    .await
                    .map_err(|source| BindError::Resolve {
                        address: self.clone(),
                        source,
                    })?;
                listen_on_all(found).map_err(refused)
            }
        }
    }
}

/// A name often stands for an IPv6 address that this host does not have (`localhost` in many
/// containers), so such a one is skipped as long as another one works.
fn listen_on_all(found: impl Iterator<Item = SocketAddr>) -> io::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    let mut taken = Vec::new();
    let mut missing = io::Error::new(io::ErrorKind::NotFound, "the name stands for no address");
    for address in found {
        // Resolvers repeat an address once per socket type.
        if taken.contains(&address) {
            continue;
        }
        taken.push(address);
        match open(address) {
            Ok(listener) => listeners.push(listener),
            Err(error) if is_missing_family(&error) => missing = error,
            Err(error) => return Err(error),
        }
    }
    if listeners.is_empty() {
        Err(missing)
    } else {
        Ok(listeners)
    }
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        // The system's default differs from host to host.
        socket.set_only_v6(false)?;
    }
    // A restart must not wait for the last connections of its predecessor.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Does this host lack the whole address family, or this address?
fn is_missing_family(error: &io::Error) -> bool {
    /// `EAFNOSUPPORT` of Linux; the standard library has no stable kind for it.
    const FAMILY_NOT_SUPPORTED: i32 = 97;
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(FAMILY_NOT_SUPPORTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_as_an_operator_writes_it() {
        let shown = |address: Address| address.to_string();
        assert_eq!(shown(Address::AnyOf(10059)), ":10059");
        assert_eq!(
            shown(Address::Host("localhost".to_owned(), 80)),
            "localhost:80"
        );
        assert_eq!(shown(Address::Host("::1".to_owned(), 80)), "[::1]:80");
    }

    #[tokio::test]
    async fn an_address_that_this_host_lacks_is_skipped_while_another_one_works() {
        // 192.0.2.0/24 is reserved for documents, so no host has it.
        let foreign = SocketAddr::from(([192, 0, 2, 1], 0));
        let ours = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));

        let listeners = listen_on_all([foreign, ours, ours].into_iter()).unwrap();
        assert_eq!(listeners.len(), 1);
        assert_eq!(listeners[0].local_addr().unwrap().ip(), Ipv4Addr::LOCALHOST);

        let error = listen_on_all([foreign].into_iter()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    }
}
