//! The checks before a request is answered: its host, the rate limit, and its name and password.

use hyper::{
    HeaderMap, StatusCode, Version,
    header::{AUTHORIZATION, HOST},
    http::{request::Parts, uri::Authority},
};

use super::lifecycle::Peer;
use crate::{
    telemetry::labels::ConnectionOutcome,
    web_config::{Authentication, WebConfig},
};

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Not exactly one header `Host`, or not a host name or address.
    InvalidHost,
    /// The host is not one of `--web.allowed-hosts`.
    HostNotAllowed,
    /// More requests than `rate_limit` of the web configuration allows.
    RateLimit,
    /// Not the name and the password of a user of the web configuration.
    Unauthorized,
    /// Too many requests from this address wait for the check of their passwords.
    Busy,
}

impl Refusal {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::InvalidHost => StatusCode::BAD_REQUEST,
            Self::HostNotAllowed => StatusCode::MISDIRECTED_REQUEST,
            Self::RateLimit => StatusCode::TOO_MANY_REQUESTS,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// How the connection ends after the response; `None` if it stays open.
    pub(super) fn outcome(self) -> Option<ConnectionOutcome> {
        match self {
            Self::InvalidHost => Some(ConnectionOutcome::BadRequest),
            Self::Busy => Some(ConnectionOutcome::Refused),
            Self::HostNotAllowed | Self::RateLimit | Self::Unauthorized => None,
        }
    }

    pub(super) fn text(self) -> &'static str {
        match self {
            Self::InvalidHost => "the request must have one valid header Host\n",
            Self::HostNotAllowed => "this host is not allowed (see --web.allowed-hosts)\n",
            Self::RateLimit => "too many requests (see rate_limit in --web.config.file)\n",
            Self::Unauthorized => "a name and a password are required\n",
            Self::Busy => "too many passwords from this address are checked at the same time\n",
        }
    }
}

/// The settings of a server that decide which requests are answered.
pub(super) struct Access {
    pub(super) allowed_hosts: Vec<String>,
    pub(super) web_config: Option<WebConfig>,
}

impl Access {
    /// Checks a request. Health checks may name any host, because kubelets and load balancers send the address of a
    /// container. They do not count for the rate limit, but need a password like every request.
    pub(super) async fn check(
        &self,
        request: &Parts,
        is_health: bool,
        peer: Peer,
    ) -> Result<(), Refusal> {
        let allowed = if is_health { &[] } else { &*self.allowed_hosts };
        check_host(request, allowed)?;
        let Some(web_config) = &self.web_config else {
            return Ok(());
        };
        if !is_health && !web_config.allows_request() {
            return Err(Refusal::RateLimit);
        }
        let authorization = request.headers.get(AUTHORIZATION);
        let current = web_config.current();
        match current.authenticate(authorization, peer.address).await {
            Authentication::Accepted => Ok(()),
            Authentication::Refused => Err(Refusal::Unauthorized),
            Authentication::Busy => Err(Refusal::Busy),
        }
    }

    /// Whether the client has proven who it is, by a password or a certificate. [`Self::check`] has accepted the request.
    pub(super) fn is_authenticated(&self, peer: Peer) -> bool {
        let web_config = self.web_config.as_ref();
        peer.has_certificate || web_config.is_some_and(|config| config.current().has_users())
    }

    /// Sets the headers of the web configuration in a response.
    pub(super) fn add_headers(&self, headers: &mut HeaderMap) {
        if let Some(web_config) = &self.web_config {
            let configured = web_config.current();
            for (name, value) in configured.headers() {
                headers.insert(name, value.clone());
            }
        }
    }
}

/// Checks the host of a request, which a page of another site could have forged by DNS rebinding. `allowed` has host
/// names without ports; if it is empty, every host is allowed.
///
/// HTTP/1.1 requires exactly one header `Host` (RFC 9112, section 3.2). HTTP/1.0 requires none.
fn check_host(request: &Parts, allowed: &[String]) -> Result<(), Refusal> {
    let mut headers = request.headers.get_all(HOST).iter();
    let header = headers.next();
    let is_required = request.version == Version::HTTP_11;
    if headers.next().is_some() || (is_required && header.is_none()) {
        return Err(Refusal::InvalidHost);
    }
    // A target without an authority has an empty header.
    let header = header.filter(|value| !value.is_empty());
    let header = header.map(|value| Authority::try_from(value.as_bytes()));
    let header = header.transpose().map_err(|_| Refusal::InvalidHost)?;
    // The authority of an absolute target, and of HTTP/2, takes precedence over the header.
    let authority = request.uri.authority().or(header.as_ref());
    if authority.is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(Refusal::InvalidHost);
    }
    let is_allowed = |host: &str| allowed.iter().any(|one| one.eq_ignore_ascii_case(host));
    if allowed.is_empty() || authority.is_some_and(|authority| is_allowed(authority.host())) {
        Ok(())
    } else {
        Err(Refusal::HostNotAllowed)
    }
}
