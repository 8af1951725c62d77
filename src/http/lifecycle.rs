//! The paths `/-/reload` and `/-/config`, and the clients that may use them.

use std::{net::IpAddr, sync::Arc};

use futures_util::future::BoxFuture;
use hyper::{
    Uri,
    header::{HOST, ORIGIN},
    http::{request::Parts, uri::Authority},
};

/// The configuration of a running exporter, for `/-/reload` and `/-/config`.
pub trait Lifecycle: Send + Sync + 'static {
    /// Reloads the configuration. Returns the text of the response; the error is the text of a response with status 500.
    /// Dropping the future does not end the reload.
    fn reload(self: Arc<Self>) -> BoxFuture<'static, Result<String, String>>;

    /// The configuration in force as JSON, without secrets.
    fn configuration(&self) -> String;
}

/// The client of a connection.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Peer {
    /// The address of the client; `None` without a socket.
    pub(super) address: Option<IpAddr>,
    /// Whether the TLS handshake needed a certificate of the client that a configured authority has signed.
    pub(super) has_certificate: bool,
}

/// The response to a request from a page of another site.
pub(super) const FOREIGN_ORIGIN: &str = "the request comes from a page of another site\n";

/// The response to a client that may not reload.
pub(super) const MAY_NOT_RELOAD: &str = "a reload needs a client on this host, a password or a client certificate \
    (see --web.config.file), or --web.enable-lifecycle\n";

/// The response to a client that may not see the configuration.
pub(super) const MAY_NOT_READ: &str = "the configuration is shown to clients on this host, or with a password or a \
    client certificate (see --web.config.file)\n";

/// Whether a client on this host has sent the request to this host. A page of another site could send a request for a
/// host name of its own, by DNS rebinding.
pub(super) fn is_local(request: &Parts, peer: Peer) -> bool {
    let is_local_name = |authority: &Authority| {
        let host = authority.host();
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
    };
    let address = peer.address.map(|address| address.to_canonical());
    // A request of HTTP/1.0 may have no host. No browser sends such a request.
    address.is_some_and(|address| address.is_loopback())
        && authority(request).as_ref().is_none_or(is_local_name)
}

/// Whether a page of another site has sent the request. Only browsers send the header `Origin`.
pub(super) fn is_foreign(request: &Parts) -> bool {
    let Some(origin) = request.headers.get(ORIGIN) else {
        return false;
    };
    let origin = Uri::try_from(origin.as_bytes()).ok();
    let origin = origin.as_ref().and_then(Uri::authority);
    origin.is_none() || origin != authority(request).as_ref()
}

/// The host of the request, with its port.
fn authority(request: &Parts) -> Option<Authority> {
    let header = request.headers.get(HOST);
    let header = header.and_then(|value| Authority::try_from(value.as_bytes()).ok());
    request.uri.authority().cloned().or(header)
}
