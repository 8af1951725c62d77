//! Why a walk gave no snapshot.

use std::fmt;

use tokio::time::Instant;

use crate::api::{self, ErrorKind};

/// Why a walk failed; the `reason` label of `vobiz_walk_failures_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A request failed and could not be made good.
    Request(ErrorKind),
    /// More pages than any list has.
    TooManyPages,
    /// No proof of completeness, or a vendor that ignores the offset.
    Inconsistent,
    /// No page was completed for `poll.deadline`, or the walk took too long; no request had failed.
    Deadline,
}

impl Reason {
    /// The label's value.
    pub fn label(self) -> &'static str {
        match self {
            Self::Request(kind) => kind.label(),
            Self::TooManyPages => ErrorKind::TooLarge.label(),
            Self::Inconsistent => "inconsistent",
            Self::Deadline => "deadline",
        }
    }
}

/// A failed walk.
#[derive(Debug, Clone)]
pub struct WalkError {
    /// The closed reason.
    pub reason: Reason,
    /// What happened, for a person.
    pub detail: String,
    /// The vendor asked for no request before this.
    pub not_before: Option<Instant>,
    /// The vendor refused the credentials: asking again soon could lock the account.
    pub refused: bool,
}

impl WalkError {
    /// A walk that failed without a word from the vendor about when to come again.
    pub(super) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        let refused = matches!(
            reason,
            Reason::Request(ErrorKind::Auth | ErrorKind::Forbidden)
        );
        Self {
            reason,
            detail: detail.into(),
            not_before: None,
            refused,
        }
    }

    /// A walk that could not be proven complete.
    pub(super) fn inconsistent(detail: impl Into<String>) -> Self {
        Self::new(Reason::Inconsistent, detail)
    }

    /// A walk that a fault of this program broke off; where, has been logged.
    ///
    /// The reasons are a closed set that speaks of the vendor and the network. `malformed` comes
    /// closest: what breaks a walk is nearly always an answer that nobody had thought of.
    pub(super) fn bug() -> Self {
        Self::new(
            Reason::Request(ErrorKind::Malformed),
            "a fault of this program broke the walk off (a panic, logged before this)",
        )
    }

    /// A request that failed for good.
    pub(super) fn request(error: &api::Error, not_before: Option<Instant>) -> Self {
        Self {
            not_before,
            ..Self::new(Reason::Request(error.kind), error.to_string())
        }
    }
}

impl fmt::Display for WalkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.label(), self.detail)
    }
}

impl std::error::Error for WalkError {}
