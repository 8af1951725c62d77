//! One walk: the list from its first row to its last, proven complete.

use std::{collections::HashSet, time::Duration};

use super::{
    Failure, Source, count,
    fetch::PageFetcher,
    reading::{self, Outcome, Reading},
};
use crate::{
    api::{Rejection, RowKey},
    snapshot::{EndpointList, Retention},
};

/// A walk that may be published.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) list: EndpointList,
    /// `total_count`, as the last page gave it.
    pub(super) reported: Option<u64>,
    /// Rows that the count promised and the pages did not retention.
    pub(super) shortfall: u64,
    /// Whether overlapping pages prove it, and not only the count.
    pub(super) overlapped: bool,
    /// Rows without a record, in the order of [`Rejection::ALL`].
    pub(super) rejected_rows: [u64; Rejection::ALL.len()],
    /// Ids that stand on two rows of the list, as far as this walk can tell.
    pub(super) duplicates: HashSet<RowKey>,
    /// The vendor's clock minus ours, in seconds.
    pub(super) clock_offset: Option<f64>,
}

impl Found {
    /// Which endpoints stay although the walk has not found them: all of them while endpoints are
    /// `missing`, else one for each row that gave no record, because that row may be the endpoint's.
    /// A second row with a known id is no other endpoint's.
    pub(super) fn retention(&self, missing: u64, max_age: Duration) -> Retention {
        let unreadable = (self.rejected_rows.iter().zip(Rejection::ALL))
            .filter(|(_, reason)| *reason != Rejection::Duplicate)
            .map(|(rows, _)| rows)
            .sum();
        match (missing, unreadable) {
            (0, 0) => Retention::Nothing,
            (0, rows) => Retention::UpTo {
                max_age,
                at_most: Some(rows),
            },
            _ => Retention::UpTo {
                max_age,
                at_most: None,
            },
        }
    }
}

/// Reads the list, proven by overlap or, where that is impossible, by counting.
///
/// `duplicates` are the ids that stood on two rows in the walk before. An id that is among them and
/// stands on two rows again explains a row of the shortfall: no movement of the list does that twice.
pub(super) async fn find<S: Source>(
    fetcher: &PageFetcher<S>,
    duplicates: &HashSet<RowKey>,
) -> Result<Found, Failure> {
    let (reading, overlapped) = match reading::read(fetcher).await? {
        Outcome::Whole(reading) => (reading, true),
        Outcome::Gap => (counted(fetcher).await?, false),
        Outcome::Empty => return Err(empty()),
    };
    let rows = reading.builder.len() as u64 + reading.rejected_rows.iter().sum::<u64>();
    let shortfall = reading.lowest_total.unwrap_or(0).saturating_sub(rows);
    let twice = duplicates.intersection(&reading.duplicates).count() as u64;
    let explained = twice.min(shortfall);
    let mut rejected_rows = reading.rejected_rows;
    rejected_rows[Rejection::Duplicate as usize] += explained;
    Ok(Found {
        list: reading.builder.finish(),
        reported: reading.last_total,
        shortfall: shortfall - explained,
        overlapped,
        rejected_rows,
        duplicates: reading.duplicates,
        clock_offset: reading.clock_offset,
    })
}

async fn counted<S: Source>(fetcher: &PageFetcher<S>) -> Result<Reading, Failure> {
    for _ in 0..2 {
        fetcher.instruments.reread("count");
        match count::read(fetcher).await? {
            Outcome::Whole(reading) => return Ok(reading),
            Outcome::Empty => return Err(empty()),
            Outcome::Gap => {}
        }
    }
    Err(Failure::inconsistent(
        "the list moved so much that neither overlapping pages nor its count prove it whole",
    ))
}

fn empty() -> Failure {
    Failure::inconsistent("the list is empty, but its count is missing or above zero")
}
