//! The settings that a running poller takes over, and those that decide what is exported.

use std::sync::Arc;

use tokio::sync::watch;

use crate::{
    api::RateLimiter,
    config::{Account, Optional},
    snapshot::Shown,
};

/// The settings that a running poller takes over.
#[derive(Debug)]
pub struct NewSettings<S> {
    /// The account, under the same name.
    pub account: Account,
    /// The source with the credentials and the API settings of `account`.
    pub source: Arc<S>,
    /// The rate limiter of `account`.
    pub limiter: Arc<RateLimiter>,
}

/// Sends new settings to a running poller. Settings that it has not taken over yet are replaced.
pub type SettingsSender<S> = watch::Sender<Option<Arc<NewSettings<S>>>>;

/// The settings of the account that decide which values are exported.
pub(super) fn shown(account: &Account) -> Shown {
    let optional = |group| account.metrics.groups.contains(&group);
    Shown {
        username: account.metrics.username,
        user_agent: optional(Optional::UserAgent),
        timestamps: optional(Optional::Timestamps),
        permissions: optional(Optional::Permissions),
        contact: optional(Optional::Contact),
        groups: account.groups.clone(),
        applications: account.applications.clone(),
    }
}
