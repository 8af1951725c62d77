//! What is different between two snapshots of one account.

use crate::clock::UnixMillis;

/// Differences between a snapshot and the one before; nothing for an account's first snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Endpoints that lost their registration.
    pub lost: u64,
    /// Endpoints that got it back, or for the first time.
    pub gained: u64,
    /// Endpoints that were not there before.
    pub added: u64,
    /// Endpoints that are not there any more.
    pub removed: u64,
    /// Endpoints with another application, or with one where none was, or the other way round.
    pub application: u64,
    /// The first [`Changes::LISTED`] that were lost or gained, for the log.
    pub transitions: Vec<Transition>,
}

impl Changes {
    /// How many transitions are told one by one.
    pub const LISTED: usize = 50;
}

/// An endpoint that lost its registration or got it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// `endpoint_id`.
    pub id: String,
    /// "" when unknown.
    pub alias: String,
    /// "" when unknown.
    pub username: String,
    /// Index of the operator's group.
    pub group: Option<u16>,
    /// The new state.
    pub registered: bool,
    /// When it was lost, as far as that was seen.
    pub lost_at: Option<UnixMillis>,
}
