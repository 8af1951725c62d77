//! The host that a request is for.

use hyper::{
    StatusCode, Version,
    header::HOST,
    http::{request::Parts, uri::Authority},
};

/// A request without a usable host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HostError {
    /// Not exactly one header `Host`, or not a host name or address.
    Invalid,
    /// Not one of the allowed hosts.
    NotAllowed,
}

impl HostError {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Invalid => StatusCode::BAD_REQUEST,
            Self::NotAllowed => StatusCode::MISDIRECTED_REQUEST,
        }
    }

    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Invalid => "the request must have one valid header Host\n",
            Self::NotAllowed => "this host is not allowed (see --web.allowed-hosts)\n",
        }
    }
}

/// Checks the host of a request, which a page of another site could have forged by DNS rebinding. `allowed` has host
/// names in lower case, without ports; if it is empty, every host is allowed.
///
/// HTTP/1.1 requires exactly one header `Host` (RFC 9112, section 3.2). HTTP/1.0 requires none.
pub(super) fn check(request: &Parts, allowed: &[String]) -> Result<(), HostError> {
    let mut headers = request.headers.get_all(HOST).iter();
    let header = headers.next();
    let is_required = request.version == Version::HTTP_11;
    if headers.next().is_some() || (is_required && header.is_none()) {
        return Err(HostError::Invalid);
    }
    // A target without an authority has an empty header.
    let header = header.filter(|value| !value.is_empty());
    let header = header.map(|value| Authority::try_from(value.as_bytes()));
    let header = header.transpose().map_err(|_| HostError::Invalid)?;
    // The authority of an absolute target, and of HTTP/2, takes precedence over the header.
    let authority = request.uri.authority().or(header.as_ref());
    if authority.is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(HostError::Invalid);
    }
    let is_allowed = |host: &str| allowed.iter().any(|one| one.eq_ignore_ascii_case(host));
    if allowed.is_empty() || authority.is_some_and(|authority| is_allowed(authority.host())) {
        Ok(())
    } else {
        Err(HostError::NotAllowed)
    }
}
