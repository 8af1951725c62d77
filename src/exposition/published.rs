//! What scrapes are answered from: finished members, one per format.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    account::Rendered,
    answer::Format,
    metadata::END_OF_OPEN_METRICS,
    own,
    press::{Fragment, Pieces, Press},
    words::Standing,
};
use crate::telemetry::{
    Instruments,
    catalogue::{Metric, Part},
};

/// How long the families of the registry are answered from one encoding.
const OWN_FOR: Duration = Duration::from_secs(1);

/// A whole exposition in one format, as a gzip member in pieces.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) pieces: Arc<[Bytes]>,
    /// Length of the pieces.
    pub(super) packed_length: u64,
    /// Length of the text inside.
    pub(super) text_length: u64,
}

/// Everything an answer needs, swapped as a whole.
#[derive(Debug)]
pub(super) struct Published {
    /// Every account's families, without the member's end. Shared by publications that differ only
    /// in what the registry holds.
    accounts: Arc<[Pieces; 2]>,
    /// The finished members in the order of [`Format::ALL`].
    members: [Member; 2],
    pub(super) standings: Arc<[Standing]>,
    /// The next moment at which a snapshot is to be withheld.
    withdraw_next: Option<Instant>,
    /// Until when this may be answered as it is: the one comparison of a scrape.
    pub(super) fresh_until: Instant,
}

impl Published {
    /// Joins the accounts' fragments as they are to be shown now.
    pub(super) fn new(accounts: &[Arc<Rendered>], instruments: &Instruments, now: Instant) -> Self {
        let mut press = Press::new();
        let families = join(accounts, now, &mut press);
        let woven = Format::ALL.map(|format| {
            press.begin_member();
            weave(&families, format, &mut press);
            press.pieces()
        });
        let deadlines = accounts.iter().filter_map(|account| account.withdraw_at());
        let standings = accounts.iter().map(|account| account.standing.clone());
        Self::complete(
            Arc::new(woven),
            standings.collect(),
            deadlines.filter(|at| now < *at).min(),
            instruments,
            now,
            press,
        )
    }

    /// The same accounts with what the registry holds now.
    pub(super) fn with_own(&self, instruments: &Instruments, now: Instant) -> Self {
        let press = Press::new();
        Self::complete(
            Arc::clone(&self.accounts),
            Arc::clone(&self.standings),
            self.withdraw_next,
            instruments,
            now,
            press,
        )
    }

    fn complete(
        accounts: Arc<[Pieces; 2]>,
        standings: Arc<[Standing]>,
        withdraw_next: Option<Instant>,
        instruments: &Instruments,
        now: Instant,
        mut press: Press,
    ) -> Self {
        let own = own::gather(instruments, &mut press);
        let members = Format::ALL.map(|format| {
            weave(&own, format, &mut press);
            Member::end(&accounts[format as usize], format, &mut press)
        });
        let own_until = now + OWN_FOR;
        Self {
            accounts,
            members,
            standings,
            withdraw_next,
            fresh_until: withdraw_next.map_or(own_until, |at| at.min(own_until)),
        }
    }

    pub(super) fn member(&self, format: Format) -> &Member {
        &self.members[format as usize]
    }

    /// Is there a snapshot that must not be shown any more?
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.withdraw_next.is_some_and(|at| now >= at)
    }
}

impl Member {
    /// Ends the member that `begun` begins with what the press holds.
    pub(super) fn end(begun: &Pieces, format: Format, press: &mut Press) -> Self {
        if format == Format::OpenMetrics {
            press.text().push_str(END_OF_OPEN_METRICS);
        }
        let pieces = press.end_member(begun);
        Self {
            packed_length: pieces.list.iter().map(|piece| piece.len() as u64).sum(),
            text_length: pieces.length,
            pieces: pieces.list.into(),
        }
    }
}

/// The families of all accounts in the order of the catalogue, those that have samples.
pub(super) fn join(
    accounts: &[Arc<Rendered>],
    now: Instant,
    press: &mut Press,
) -> Vec<(Metric, Fragment)> {
    let is_rendered = |metric: &Metric| matches!(metric.family().part, Part::Snapshot | Part::Walk);
    let mut families = Vec::new();
    for metric in Metric::ALL.iter().copied().filter(is_rendered) {
        let mut fragments = accounts
            .iter()
            .filter_map(|account| account.family(metric, now))
            .peekable();
        let Some(first) = fragments.next() else {
            continue;
        };
        let joined = if fragments.peek().is_none() {
            first.clone()
        } else {
            for fragment in std::iter::once(first).chain(fragments) {
                press.append(fragment, false);
            }
            press.fragment()
        };
        families.push((metric, joined));
    }
    families
}

/// Puts families behind one another, each below its metadata.
pub(super) fn weave(families: &[(Metric, Fragment)], format: Format, press: &mut Press) {
    for (metric, fragment) in families {
        format.describe(metric.family(), press.text());
        press.append(fragment, true);
    }
}
