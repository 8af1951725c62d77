//! How a probe has ended, for whoever asked.

use std::fmt;

use crate::api::{Endpoint, Error, ErrorKind};

/// The endpoint's record with the status of the answer that brought it, or why there is none.
pub(super) type Outcome = Result<(Endpoint, u16), ProbeError>;

/// Why a probe has brought no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProbeError {
    pub(super) reason: Reason,
    /// HTTP status, where an answer came.
    pub(super) status: Option<u16>,
    /// What happened, for a person; of the vendor's words only those that [`Error`] keeps.
    pub(super) words: String,
}

/// The `reason` label of `vobiz_probe_failure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// The request failed, or the vendor wants none.
    Request(ErrorKind),
    /// Probes ask for more than their share, or the account for more than its limit.
    Throttled,
}

impl Reason {
    /// Every one, in the order of the documentation.
    pub(super) const ALL: [Self; 13] = [
        Self::Request(ErrorKind::Auth),
        Self::Request(ErrorKind::PaymentRequired),
        Self::Request(ErrorKind::Forbidden),
        Self::Request(ErrorKind::NotFound),
        Self::Request(ErrorKind::RateLimited),
        Self::Request(ErrorKind::Timeout),
        Self::Request(ErrorKind::Network),
        Self::Request(ErrorKind::ServerError),
        Self::Request(ErrorKind::Redirect),
        Self::Request(ErrorKind::ClientError),
        Self::Request(ErrorKind::Malformed),
        Self::Request(ErrorKind::TooLarge),
        Self::Throttled,
    ];

    /// The label's value.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Request(kind) => kind.label(),
            Self::Throttled => "throttled",
        }
    }
}

impl ProbeError {
    /// One without an answer of the vendor's.
    pub(super) fn unanswered(reason: Reason, words: &str) -> Self {
        Self {
            reason,
            status: None,
            words: words.to_owned(),
        }
    }

    /// The vendor has asked for a pause, which still holds.
    pub(super) fn paused() -> Self {
        let words = "the vendor has asked for a pause that is longer than this probe's time";
        Self::unanswered(Reason::Request(ErrorKind::RateLimited), words)
    }

    /// A fault of this program broke the request off; where, has been logged. As with a walk,
    /// `malformed` comes closest: an answer that nobody had thought of.
    pub(super) fn bug() -> Self {
        let words = "a fault of this program broke the probe off (a panic, logged before this)";
        Self::unanswered(Reason::Request(ErrorKind::Malformed), words)
    }
}

impl From<Error> for ProbeError {
    fn from(error: Error) -> Self {
        Self {
            reason: Reason::Request(error.kind),
            status: error.status,
            words: error.to_string(),
        }
    }
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.label(), self.words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::catalogue::PROBE_FAILURE_REASONS;

    #[test]
    fn the_catalogue_has_every_reason() {
        assert_eq!(Reason::ALL.map(Reason::label), PROBE_FAILURE_REASONS);
    }
}
