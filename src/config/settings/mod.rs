//! `poll`, `api`, `details` and `metrics`: the global ones, and an account's own laid over them; and
//! `probe`, which is global only.
//!
//! Each is read into keys (what one layer says), laid over the layer below, and finished into the
//! model's type. A faulty value is reported where it is read; keys then hold nothing for it.

mod api;
mod details;
mod metrics;
mod poll;
mod probe;

use std::path::Path;

pub(super) use api::{ApiKeys, is_loopback};
pub(super) use details::{DetailsKeys, check_budget};
pub(super) use metrics::MetricsKeys;
pub(super) use poll::PollKeys;
pub(super) use probe::{check_share, probe};

use super::{
    entry::{Entry, Section},
    mistake::Report,
};

/// What one layer says about a key that may be `null`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Written<T> {
    /// Nothing, or a mistake that is already reported.
    Nothing,
    /// `null`.
    Null,
    /// This.
    Value(T),
}

impl<T: Clone> Written<T> {
    fn read(
        section: &Section<'_>,
        key: &str,
        convert: impl FnOnce(Entry<'_>) -> Option<T>,
    ) -> Self {
        match section.entry(key) {
            Some(entry) => convert(entry).map_or(Self::Nothing, Self::Value),
            None if section.has(key) => Self::Null,
            None => Self::Nothing,
        }
    }

    fn over(&self, below: &Self) -> Self {
        if matches!(self, Self::Nothing) {
            below.clone()
        } else {
            self.clone()
        }
    }

    fn value(&self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value.clone()),
            Self::Nothing | Self::Null => None,
        }
    }

    fn is_given(&self) -> bool {
        matches!(self, Self::Value(_))
    }
}

/// All four.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) poll: PollKeys,
    pub(super) api: ApiKeys,
    pub(super) details: DetailsKeys,
    pub(super) metrics: MetricsKeys,
}

impl Keys {
    /// Reads the four tables of `owner`: the whole configuration, or one account.
    pub(super) fn read(owner: &Section<'_>, folder: &Path, report: &mut Report) -> Self {
        Self {
            poll: PollKeys::read(&owner.section("poll"), report),
            api: ApiKeys::read(&owner.section("api"), folder, report),
            details: DetailsKeys::read(&owner.section("details"), report),
            metrics: MetricsKeys::read(&owner.section("metrics"), report),
        }
    }
}
