//! The weaker proof: by counting.
//!
//! Pages do not overlap here. The reading is believed when no id came twice and the distinct rows
//! are as many as a count that stood still. It serves lists without a stable order, and vendors that
//! round `offset` down to whole pages, where pages cannot overlap. A deletion and a creation at the
//! wrong moment can deceive it, so it is only the fallback.

use super::{
    Failure, Source,
    fetch::PageFetcher,
    reading::{Outcome, Reading},
};

/// Reads the list once without overlap; [`Outcome::Gap`] when the count does not prove it.
pub(super) async fn read<S: Source>(fetcher: &PageFetcher<S>) -> Result<Outcome, Failure> {
    let mut reading = Reading::begin(fetcher).await?;
    let full = reading.full();
    let Some(total) = reading.last_total else {
        return Ok(Outcome::Gap);
    };
    if full == 0 {
        return Ok(if total == 0 {
            Outcome::Whole(reading)
        } else {
            Outcome::Empty
        });
    }
    let offsets = (1..)
        .map(move |page| page * full)
        .take_while(move |offset| *offset < total);
    reading.fetch_all(fetcher, offsets).await?;
    if reading.repeats {
        return Err(Failure::inconsistent(
            "the vendor ignores the offset: a later page shows the rows of the first page",
        ));
    }
    for strip in &reading.strips {
        for (_, rejection) in &strip.rejected {
            reading.rejected_rows[*rejection as usize] += 1;
        }
    }
    Ok(if is_proven(&reading, total) {
        Outcome::Whole(reading)
    } else {
        Outcome::Gap
    })
}

fn is_proven(reading: &Reading, total: u64) -> bool {
    let rows: u64 = reading
        .strips
        .iter()
        .map(|strip| strip.keys.len() as u64)
        .sum();
    let constant = reading
        .strips
        .iter()
        .all(|strip| strip.total == Some(total));
    let distinct = reading.builder.len() as u64 + reading.rejected_rows.iter().sum::<u64>();
    constant && rows == total && distinct == total
}
