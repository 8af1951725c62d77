//! The weaker proof, for lists without a stable order: by counting.
//!
//! Pages do not overlap here. The reading is believed when no id came twice and the distinct rows
//! are as many as a count that stood still. An endpoint deleted and another created at the wrong
//! moment can deceive it, which is why it is only the way out.

use super::{
    Failure, Source,
    ask::Asker,
    reading::{MOST_PAGES, Outcome, Reading},
};

/// Reads the list once without overlap; [`Outcome::Gap`] when the count does not prove it.
pub(super) async fn read<S: Source>(
    asker: &Asker<S>,
    concurrency: usize,
) -> Result<Outcome, Failure> {
    let mut reading = Reading::begin(asker).await?;
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
    asker.plan((total.saturating_sub(1) / full).min(MOST_PAGES));
    reading.fetch_all(asker, offsets, concurrency).await?;
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
    let distinct = reading.draft.len() as u64 + reading.draft.rejected();
    constant && rows == total && distinct == total
}
