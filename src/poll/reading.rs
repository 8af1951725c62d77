//! One reading of the whole list: overlapping pages, several in flight.

use std::collections::HashSet;

use futures_util::{StreamExt, stream::FuturesUnordered};

use super::{
    Failure, Reason, Source,
    chain::{self, Strip},
    fetch::PageFetcher,
    repair,
};
use crate::{
    api::{Page, Rejection, RowKey},
    snapshot::SnapshotBuilder,
};

/// No list has more pages.
const MOST_PAGES: u64 = 10_000;

/// What a reading brought.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) builder: SnapshotBuilder,
    /// Pages received.
    pub(super) pages: u64,
    /// The lowest and the last `total_count`, where any page had one.
    pub(super) lowest_total: Option<u64>,
    pub(super) last_total: Option<u64>,
    /// The vendor's clock minus ours, in seconds, from the last answer that told.
    pub(super) clock_offset: Option<f64>,
    /// Every page, sorted by offset.
    pub(super) strips: Vec<Strip>,
    /// A page from another offset retained the rows of the first page.
    pub(super) repeats: bool,
    /// Ids that stand on two rows of the list, as its linked pages show.
    pub(super) duplicates: HashSet<RowKey>,
    /// Rows of the list without a record, in the order of [`Rejection::ALL`].
    pub(super) rejected_rows: [u64; Rejection::ALL.len()],
}

/// How a reading ended, when every request was answered.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one exists at a time")]
pub(super) enum Outcome {
    /// From the first row to the last without a gap.
    Whole(Reading),
    /// No row at all, although the count is above zero or missing.
    Empty,
    /// A gap that could not be closed: the list has no stable order, or moves too fast.
    Gap,
}

impl Reading {
    fn new(with_contacts: bool) -> Self {
        Self {
            builder: SnapshotBuilder::new(with_contacts),
            pages: 0,
            lowest_total: None,
            last_total: None,
            clock_offset: None,
            strips: Vec::new(),
            repeats: false,
            duplicates: HashSet::new(),
            rejected_rows: [0; Rejection::ALL.len()],
        }
    }

    /// A reading of the first page.
    pub(super) async fn begin<S: Source>(fetcher: &PageFetcher<S>) -> Result<Self, Failure> {
        let mut reading = Self::new(fetcher.with_contacts);
        reading.fetch(fetcher, 0).await?;
        Ok(reading)
    }

    /// The reading is whole, and these of its pages, linked in this order, are the list.
    pub(super) fn linked(&mut self, chain: &[Strip]) {
        let repeated = self.builder.repeated();
        let has_rejected = chain.iter().any(|strip| !strip.rejected.is_empty());
        if repeated.is_empty() && !has_rejected {
            return;
        }
        let rows = chain::rows(chain);
        self.rejected_rows = rows.rejected;
        // Rows without a record may look alike without being duplicates of an endpoint.
        self.duplicates = rows.twice;
        self.duplicates.retain(|key| repeated.contains(key));
    }

    /// Takes a page that was asked for from `offset` on.
    pub(super) fn take(&mut self, offset: u64, page: &Page) -> Result<(), Failure> {
        self.pages += 1;
        if self.pages > MOST_PAGES {
            return Err(Failure::new(
                Reason::TooManyPages,
                format!("the list does not end within {MOST_PAGES} pages"),
            ));
        }
        for (position, row) in (offset..).zip(&page.rows) {
            self.builder.take(row, position);
        }
        if let Some(total) = page.total {
            self.last_total = Some(total);
            self.lowest_total = Some(self.lowest_total.map_or(total, |low| low.min(total)));
        }
        self.clock_offset = page.clock_offset.or(self.clock_offset);
        let strip = Strip::new(offset, page);
        self.repeats |= (self.strips.first()).is_some_and(|first| strip.repeats(first));
        let place = self.strips.partition_point(|other| other.offset <= offset);
        self.strips.insert(place, strip);
        Ok(())
    }

    /// Rows that the server gives per page, as the first page showed.
    pub(super) fn full(&self) -> u64 {
        self.strips
            .first()
            .map_or(0, |first| first.keys.len() as u64)
    }

    /// Asks for one page and takes it.
    pub(super) async fn fetch<S: Source>(
        &mut self,
        fetcher: &PageFetcher<S>,
        offset: u64,
    ) -> Result<(), Failure> {
        let page = fetcher.page(offset).await?;
        self.take(offset, &page)
    }

    /// Reads the pages at `offsets`, several at a time, and takes them as they arrive. Stops where a
    /// page repeats the first one.
    pub(super) async fn fetch_all<S: Source>(
        &mut self,
        fetcher: &PageFetcher<S>,
        offsets: impl Iterator<Item = u64>,
    ) -> Result<(), Failure> {
        let fetch = |offset| async move { (offset, fetcher.page(offset).await) };
        let mut offsets = offsets.map(fetch).fuse();
        let first = offsets.by_ref().take(fetcher.concurrency);
        let mut in_flight: FuturesUnordered<_> = first.collect();
        let mut ended = false;
        while let Some((offset, page)) = in_flight.next().await {
            let page = page?;
            // A count that is too high must not lead to page after page without rows.
            ended |= page.rows.is_empty();
            if !ended {
                in_flight.extend(offsets.next());
            }
            self.take(offset, &page)?;
            if self.repeats {
                break;
            }
        }
        Ok(())
    }
}

/// Reads the list once so that every page overlaps the one before by a row.
pub(super) async fn read<S: Source>(fetcher: &PageFetcher<S>) -> Result<Outcome, Failure> {
    let mut reading = Reading::begin(fetcher).await?;
    let first = &reading.strips[0];
    let (full, total) = (reading.full(), first.total);
    match (full, total) {
        (0, Some(0)) => return Ok(Outcome::Whole(reading)),
        (0, _) => return Ok(Outcome::Empty),
        // Fewer rows than the limit, and as many as the count: there are no others.
        (rows, Some(total)) if rows < u64::from(fetcher.page_size) && rows == total => {
            let page = [first.clone()];
            reading.linked(&page);
            return Ok(Outcome::Whole(reading));
        }
        (1, _) => return single(fetcher, reading).await,
        _ => {}
    }
    reading.builder.expect(total.unwrap_or(0));
    let stride = full - 1;
    let offsets = (1..).map(move |page| page * stride);
    // The count may promise anything: an empty page ends the plan, and the cap on pages decides.
    let offsets = offsets.take_while(move |offset| offset + 1 < total.unwrap_or(0));
    reading.fetch_all(fetcher, offsets).await?;
    // The vendor rounds the offset down to whole pages, or ignores it: no page can overlap.
    let whole = !reading.repeats && repair::link(fetcher, &mut reading).await?;
    Ok(if whole {
        Outcome::Whole(reading)
    } else {
        Outcome::Gap
    })
}

/// One row, where more were asked for: either the list has no other, or the server gives one at a
/// time, and then pages cannot overlap.
async fn single<S: Source>(
    fetcher: &PageFetcher<S>,
    mut reading: Reading,
) -> Result<Outcome, Failure> {
    reading.fetch(fetcher, 1).await?;
    let nothing_more = reading
        .strips
        .last()
        .is_some_and(|strip| strip.keys.is_empty());
    // Where the count has moved, the row may have gone and another come to its place.
    let is_still = reading
        .strips
        .iter()
        .all(|strip| strip.total == reading.last_total);
    if nothing_more && is_still {
        let page = [reading.strips[0].clone()];
        reading.linked(&page);
        return Ok(Outcome::Whole(reading));
    }
    Ok(Outcome::Gap)
}
