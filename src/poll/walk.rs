//! Readings until one can be believed.

use std::time::Duration;

use super::{
    Failure, Source,
    ask::Asker,
    count,
    reading::{self, Outcome, Reading},
};
use crate::{
    api::Rejection,
    snapshot::{Hold, Sealed},
};

/// A reading that can be published.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) sealed: Sealed,
    /// `total_count`, as the last page gave it.
    pub(super) reported: Option<u64>,
    /// Endpoints owed by the count and not found; 0 when proven.
    pub(super) missing: u64,
    /// Rows without a record, in the order of [`Rejection::ALL`].
    pub(super) rejected_rows: [u64; Rejection::ALL.len()],
    /// The vendor's clock minus ours, in seconds.
    pub(super) clock_offset: Option<f64>,
    /// What the count owes, to be remembered for the next walk.
    pub(super) debt: Debt,
}

impl Found {
    /// Who stays although a reading lacks it: everybody while the count owes rows, else one endpoint
    /// for each row that gave no record, because that row may be the endpoint's. A second row with a
    /// known id hides nobody.
    pub(super) fn hold(&self, max_age: Duration) -> Hold {
        let hiding = (self.rejected_rows.iter().zip(Rejection::ALL))
            .filter(|(_, reason)| *reason != Rejection::Duplicate)
            .map(|(rows, _)| rows)
            .sum();
        match (self.missing, hiding) {
            (0, 0) => Hold::Nothing,
            (0, rows) => Hold::UpTo {
                max_age,
                at_most: Some(rows),
            },
            _ => Hold::UpTo {
                max_age,
                at_most: None,
            },
        }
    }
}

/// What the count of a published walk owed, which the next walk need not read twice to believe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Debt {
    /// Rows that the count promised and the pages did not give.
    rows: u64,
    /// How many of these are explained by ids that stand on two rows.
    duplicates: u64,
}

/// Takes readings until one is proven, or short in a way that a second reading confirms.
pub(super) async fn find<S: Source>(
    asker: &Asker<S>,
    concurrency: usize,
    accepted: Debt,
) -> Result<Found, Failure> {
    let first = whole(asker, concurrency).await?;
    let owed = owed(&first);
    // The same debt for the same reason: ids that stood on two rows excuse it only while they do.
    let still_twice = accepted.duplicates.min(first.duplicates.len() as u64);
    let known = owed == accepted.rows && still_twice == accepted.duplicates;
    if owed == 0 || known {
        let duplicates = if known { still_twice } else { 0 };
        return Ok(found(
            first,
            Debt {
                rows: owed,
                duplicates,
            },
        ));
    }
    asker.instruments.reread("count");
    let duplicates = first.duplicates.clone();
    drop(first);
    let second = whole(asker, concurrency).await?;
    let debt = Debt {
        rows: self::owed(&second),
        // No movement of the list explains an id that stands on two rows in both readings.
        duplicates: duplicates.intersection(&second.duplicates).count() as u64,
    };
    Ok(found(second, debt))
}

fn owed(reading: &Reading) -> u64 {
    let have = reading.draft.len() as u64 + reading.draft.rejected();
    reading.lowest_total.unwrap_or(0).saturating_sub(have)
}

fn found(reading: Reading, debt: Debt) -> Found {
    let duplicates = debt.duplicates.min(debt.rows);
    let sealed = reading.draft.seal();
    let mut rejected_rows = sealed.rejected_rows();
    rejected_rows[Rejection::Duplicate as usize] += duplicates;
    Found {
        sealed,
        reported: reading.last_total,
        missing: debt.rows - duplicates,
        rejected_rows,
        clock_offset: reading.clock_offset,
        debt,
    }
}

/// One reading from the first row to the last, proven by overlap or, failing that, by counting.
async fn whole<S: Source>(asker: &Asker<S>, concurrency: usize) -> Result<Reading, Failure> {
    for again in [true, false] {
        match reading::read(asker, concurrency).await? {
            Outcome::Whole(reading) => return Ok(reading),
            Outcome::Gap => return counted(asker, concurrency).await,
            Outcome::Empty if again => asker.instruments.reread("empty"),
            Outcome::Empty => {}
        }
    }
    Err(empty())
}

async fn counted<S: Source>(asker: &Asker<S>, concurrency: usize) -> Result<Reading, Failure> {
    for _ in 0..2 {
        asker.instruments.reread("anchor");
        match count::read(asker, concurrency).await? {
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
