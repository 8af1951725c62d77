//! What can go wrong with one request, in a closed set.

use std::{fmt, path::PathBuf, time::Duration};

/// Why a request gave no page or record.
///
/// Safe to show: holds no text of the vendor's, which may repeat the token in any spelling. Its words are
/// ours; of an answer they tell numbers only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The closed kind, safe as a label's value.
    pub kind: ErrorKind,
    /// HTTP status, where an answer came.
    pub status: Option<u16>,
    /// What happened, for a person.
    pub message: String,
    /// The vendor asks for no request before this much time has passed.
    pub retry_after: Option<Duration>,
    /// The connection broke before an answer began, and it may have been an idle one that the vendor, or
    /// a balancer before it, had closed: the same request is worth one more attempt at once.
    pub stale_connection: bool,
}

/// The kinds of [`Error`]; each is a value of the `reason` label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// 401: also what a wrong path or auth id gives.
    Auth,
    /// 402.
    PaymentRequired,
    /// 403: inactive account, refused source address, somebody else's resource.
    Forbidden,
    /// 404.
    NotFound,
    /// 429.
    RateLimited,
    /// 408, or no answer within the request's time.
    Timeout,
    /// DNS, TCP, TLS, reset, truncated body.
    Network,
    /// 5xx.
    ServerError,
    /// 3xx: never followed, because the token's headers must not reach another host.
    Redirect,
    /// Any other 4xx.
    ClientError,
    /// 200 without a readable list: an error's body, bad JSON, no `objects`.
    Malformed,
    /// The body is larger than allowed.
    TooLarge,
}

impl Error {
    /// An error without a wait.
    pub(super) fn of(kind: ErrorKind, status: Option<u16>, message: String) -> Self {
        Self {
            kind,
            status,
            message,
            retry_after: None,
            stale_connection: false,
        }
    }
}

impl ErrorKind {
    /// The `reason` label's value.
    pub fn label(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::PaymentRequired => "payment_required",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::RateLimited => "rate_limited",
            Self::Timeout => "timeout",
            Self::Network => "network",
            Self::ServerError => "server_error",
            Self::Redirect => "redirect",
            Self::ClientError => "client_error",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
        }
    }

    /// May the same request succeed if it is made again? 408, 429, 5xx and faults of the network.
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::RateLimited | Self::Timeout | Self::Network | Self::ServerError
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(status) = self.status {
            write!(f, " (status {status})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// Why there is no client for an account: the configuration names something unusable.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The file of additional authorities is missing, unreadable, or no PEM file of certificates.
    #[error("api.ca_file {} is not usable: {reason}", path.display())]
    CaFile {
        /// `api.ca_file`.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The proxy is no `http` or `https` URL with a host; it is not repeated, it may hold a password.
    #[error("api.proxy_url is not a usable http or https address")]
    Proxy,
    /// The auth id cannot stand in a path or a header.
    #[error("auth_id cannot be sent: it is empty, dots only, or holds control characters")]
    AuthId,
    /// The TLS library refuses its own settings.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    /// The HTTP library refuses its settings.
    #[error("the HTTP client cannot be set up")]
    Build(#[source] reqwest::Error),
}
