//! Reads the whole list and proves that the pages miss no row.
//!
//! The walk requests pages that overlap by one row, and then *links* the pages: each page must contain the last
//! row of the previous page. A page without this row leaves a gap, so the walk reads pages at earlier offsets.
//! If a gap stays open, the walk reads the list again and compares the number of rows with `total_count`.

use std::collections::HashSet;

use futures_util::{StreamExt, stream::FuturesUnordered};

use super::{
    fetch::{PageFetcher, Reason, Source, WalkError},
    overlap::{self, PageKeys, Rows},
};
use crate::{
    api::{ErrorKind, Rejection, RowKey},
    snapshot::{EndpointList, SnapshotBuilder},
    telemetry::{Metric, RereadReason},
};

/// The maximum number of pages of one attempt to read the list.
const MAX_PAGES: usize = 10_000;
/// The maximum number of successive full pages that end with the last row of the previous page. One such page
/// occurs if the list grows by a page during the walk. Many occur if the vendor ignores or rounds the offset.
const MAX_WITHOUT_PROGRESS: u32 = 3;
/// A shortfall that lasts for this number of successive walks is *constant*. Then the list counts as complete.
const SAME_SHORTFALLS: u32 = 3;

/// A list that was read to its end.
#[derive(Debug)]
pub(super) struct CompleteList {
    pub(super) endpoints: EndpointList,
    /// `total_count` of the page with the highest offset. Pages without `total_count` are ignored.
    pub(super) reported: Option<u64>,
    /// The lowest `total_count`, minus the counts of distinct rows and duplicates (see [`read`]); at least 0.
    pub(super) shortfall: u64,
    /// True if overlapping pages prove that the list is complete; false if only the count proves it.
    pub(super) overlapped: bool,
    pub(super) rows: Rows,
    /// The clock of the vendor minus the local clock, in seconds; `None` if unknown.
    pub(super) clock_offset: Option<f64>,
}

/// Reads the list and proves that it is complete. If overlapping pages give no proof, counts the rows.
///
/// `duplicates` are the ids that the last successful walk found on two rows. If this walk also finds such an id
/// on two rows, `total_count` includes both rows. So the id reduces the shortfall by one row.
///
/// # Errors
/// A request failed permanently, the walk reached a limit of time or pages, or both proofs failed.
pub(super) async fn read<S: Source>(
    fetcher: &PageFetcher<S>,
    duplicates: &HashSet<RowKey>,
) -> Result<CompleteList, WalkError> {
    let (mut pages, overlapped) = match read_overlapping(fetcher).await? {
        Some(pages) => (pages, true),
        None => (read_counting(fetcher).await?, false),
    };
    let mut totals = pages.keys.iter().filter_map(|keys| keys.total);
    let (lowest, reported) = (totals.clone().min(), totals.next_back());
    let shortfall = lowest.unwrap_or(0).saturating_sub(pages.distinct_rows());
    let twice = duplicates.intersection(&pages.rows.twice).count() as u64;
    let explained = twice.min(shortfall);
    pages.rows.rejected[Rejection::Duplicate as usize] += explained;
    Ok(CompleteList {
        endpoints: pages.builder.finish(),
        reported,
        shortfall: shortfall - explained,
        overlapped,
        rows: pages.rows,
        clock_offset: pages.clock_offset,
    })
}

fn empty() -> WalkError {
    WalkError::inconsistent("the list is empty, but its count is missing or above zero")
}

/// The pages of one attempt to read the list.
#[derive(Debug)]
pub(super) struct Pages<'a, S> {
    fetcher: &'a PageFetcher<S>,
    pub(super) builder: SnapshotBuilder,
    /// The row keys of every page, sorted by offset.
    keys: Vec<PageKeys>,
    /// The clock of the vendor minus the local clock, in seconds, from the last response with a `Date`.
    clock_offset: Option<f64>,
    /// True if another page has the same rows as the first page.
    repeats: bool,
    /// The duplicate and rejected rows of the linked pages. [`count`] stores the rejected rows of all pages.
    rows: Rows,
}

impl<'a, S: Source> Pages<'a, S> {
    /// Reads the first page.
    async fn begin(fetcher: &'a PageFetcher<S>) -> Result<Self, WalkError> {
        let mut pages = Self {
            fetcher,
            builder: SnapshotBuilder::new(fetcher.with_contacts),
            keys: Vec::new(),
            clock_offset: None,
            repeats: false,
            rows: Rows::default(),
        };
        pages.fetch([0]).await?;
        Ok(pages)
    }

    /// The number of rows of a full page. The first page shows it, because the vendor may limit the page size.
    fn full(&self) -> u64 {
        self.keys.first().map_or(0, PageKeys::rows)
    }

    /// The number of distinct endpoints plus the number of rejected rows.
    fn distinct_rows(&self) -> u64 {
        self.builder.endpoints() + self.rows.rejected.iter().sum::<u64>()
    }

    /// Reads the pages at `offsets`, several at a time, and stores each page on arrival. Stops after a page
    /// that repeats the first page.
    async fn fetch(&mut self, offsets: impl IntoIterator<Item = u64>) -> Result<(), WalkError> {
        let fetcher = self.fetcher;
        let fetch = |offset| async move { (offset, fetcher.page(offset).await) };
        let mut offsets = offsets.into_iter().map(fetch).fuse();
        let first = offsets.by_ref().take(fetcher.api.concurrency);
        let mut in_flight: FuturesUnordered<_> = first.collect();
        let mut ended = false;
        while let Some((offset, page)) = in_flight.next().await {
            let page = page?;
            // An empty page shows the end of the list, even if `total_count` is higher. No new request starts.
            ended |= page.rows.is_empty();
            if !ended {
                in_flight.extend(offsets.next());
            }
            if self.keys.len() == MAX_PAGES {
                return Err(WalkError::new(
                    Reason::Request(ErrorKind::TooLarge),
                    format!("the list does not end within {MAX_PAGES} pages"),
                ));
            }
            for (position, row) in (offset..).zip(&page.rows) {
                self.builder.take(row, position);
            }
            self.clock_offset = page.clock_offset.or(self.clock_offset);
            let keys = PageKeys::new(offset, &page);
            self.repeats |= (self.keys.first()).is_some_and(|first| keys.repeats(first));
            let place = self.pages_up_to(offset);
            self.keys.insert(place, keys);
            if self.repeats {
                break;
            }
        }
        Ok(())
    }

    /// The number of pages whose offset is at most `offset`.
    fn pages_up_to(&self, offset: u64) -> usize {
        self.keys.partition_point(|keys| keys.offset <= offset)
    }

    /// Requires a first page with one row. Returns true if this row is the whole list. If not, the API gives
    /// one row per page, and such pages cannot overlap.
    async fn has_one_row(&mut self) -> Result<bool, WalkError> {
        self.fetch([1]).await?;
        let has_no_second = self.keys.last().is_some_and(|keys| keys.keys.is_empty());
        // If row 0 is deleted between the two requests, the second page is empty, but the two counts differ.
        let total = self.keys[0].total;
        Ok(has_no_second && self.keys.iter().all(|keys| keys.total == total))
    }

    /// Links the pages from the first page to the end of the list. Returns `None` if pages cannot be linked.
    async fn link(&mut self) -> Result<Option<Vec<PageKeys>>, WalkError> {
        let mut linked = vec![self.keys[0].clone()];
        // Changes of the list cause few gaps. Many gaps mean that the order of the list is probably unstable.
        let mut repairs_left = 8 + self.keys.len() / 8;
        let mut without_progress = 0;
        // A repeated first page means that the vendor ignores or rounds the offset. Then no pages can overlap.
        while !self.repeats {
            let tail = linked
                .last()
                .expect("the linked pages begin with the first page");
            if let Some(next) = overlap::follower(&self.keys, &linked) {
                if next.rows() < self.full() || next.keys.last() != tail.keys.last() {
                    without_progress = 0;
                } else if without_progress == MAX_WITHOUT_PROGRESS {
                    return Ok(None);
                } else {
                    without_progress += 1;
                }
                linked.push(next.clone());
                continue;
            }
            if overlap::reaches_end(&linked, self.full()) {
                return Ok(Some(linked));
            }
            let onward = tail.end() - 1;
            if !self.keys.iter().any(|keys| keys.offset == onward) {
                self.fetch([onward]).await?;
                continue;
            }
            if repairs_left == 0 {
                return Ok(None);
            }
            repairs_left -= 1;
            let reason = RereadReason::Anchor.label();
            (self.fetcher.deps.instruments).count(Metric::WalkRereads, &[reason], 1);
            let Some(bridge) = self.step_back(&linked, onward).await? else {
                return Ok(None);
            };
            linked.push(bridge);
        }
        Ok(None)
    }

    /// Reads pages at falling offsets below `gap`. Returns one that continues a linked page or has offset 0.
    async fn step_back(
        &mut self,
        linked: &[PageKeys],
        gap: u64,
    ) -> Result<Option<PageKeys>, WalkError> {
        for distance in overlap::steps_back(self.full()) {
            let offset = gap.saturating_sub(distance);
            self.fetch([offset]).await?;
            let bridge = &self.keys[self.pages_up_to(offset) - 1];
            let known = linked.iter().rev().any(|page| bridge.continues(page));
            if known || offset == 0 {
                let is_usable = known || !bridge.keys.is_empty();
                return Ok(is_usable.then(|| bridge.clone()));
            }
        }
        Ok(None)
    }

    /// Counts the rejected rows and the duplicate rows of the linked pages.
    fn count_rows(&mut self, linked: &[PageKeys]) {
        let repeated = self.builder.repeated();
        let has_rejected = linked.iter().any(|page| !page.rejected.is_empty());
        if repeated.is_empty() && !has_rejected {
            return;
        }
        self.rows = overlap::rows(linked);
        // Rejected rows with the same content also have the same key. This key is not a duplicate id.
        self.rows.twice.retain(|key| repeated.contains(key));
    }
}

/// Reads the list once. Each page overlaps the previous page by one row. Returns `None` if a gap stays open. In
/// this case, the order is unstable, the list changes too fast, or the vendor's pages cannot overlap.
pub(super) async fn read_overlapping<S: Source>(
    fetcher: &PageFetcher<S>,
) -> Result<Option<Pages<'_, S>>, WalkError> {
    let mut pages = Pages::begin(fetcher).await?;
    let first = pages.keys[0].clone();
    let linked = match (pages.full(), first.total) {
        // The first page has fewer rows than requested, and exactly `total_count` rows. So it is the only page.
        (rows, Some(total)) if rows < u64::from(fetcher.api.page_size) && rows == total => {
            Some(vec![first])
        }
        (0, _) => return Err(empty()),
        (1, _) => pages.has_one_row().await?.then(|| vec![first]),
        (full, total) => {
            let total = total.unwrap_or(0);
            pages.builder.expect(total);
            let offsets = (1..).map(move |page| page * (full - 1));
            // If `total_count` is too high, an empty page or the maximum number of pages ends the reading.
            let offsets = offsets.take_while(move |offset| offset + 1 < total);
            pages.fetch(offsets).await?;
            pages.link().await?
        }
    };
    Ok(linked.map(|linked| {
        pages.count_rows(&linked);
        pages
    }))
}

/// Reads the list and proves by `total_count` that no row is missing. If the proof fails, tries once more.
async fn read_counting<S: Source>(fetcher: &PageFetcher<S>) -> Result<Pages<'_, S>, WalkError> {
    for _ in 0..2 {
        let reason = RereadReason::Count.label();
        (fetcher.deps.instruments).count(Metric::WalkRereads, &[reason], 1);
        if let Some(pages) = count(fetcher).await? {
            return Ok(pages);
        }
    }
    Err(WalkError::inconsistent(
        "the list moved so much that neither overlapping pages nor its count prove it whole",
    ))
}

/// Reads the list and counts its rows. All pages must have the same `total_count`, and the number of rows must
/// equal it. No id may be on two rows. Returns `None` if one of these conditions fails.
///
/// This proof is for pages that cannot be linked, for example because the vendor rounds `offset` down to whole
/// pages. The proof can be wrong: a deletion and a creation during the walk leave the count unchanged.
pub(super) async fn count<S: Source>(
    fetcher: &PageFetcher<S>,
) -> Result<Option<Pages<'_, S>>, WalkError> {
    let mut pages = Pages::begin(fetcher).await?;
    let full = pages.full();
    let Some(total) = pages.keys[0].total else {
        return Ok(None);
    };
    match (full, total) {
        (0, 0) => return Ok(Some(pages)),
        (0, _) => return Err(empty()),
        _ => {}
    }
    let offsets = (1..).map(move |page| page * full);
    let offsets = offsets.take_while(move |offset| *offset < total);
    pages.fetch(offsets).await?;
    if pages.repeats {
        return Err(WalkError::inconsistent(
            "the vendor ignores the offset: a later page shows the rows of the first page",
        ));
    }
    for (_, rejection) in pages.keys.iter().flat_map(|keys| &keys.rejected) {
        pages.rows.rejected[*rejection as usize] += 1;
    }
    let rows: u64 = pages.keys.iter().map(PageKeys::rows).sum();
    let constant = pages.keys.iter().all(|keys| keys.total == Some(total));
    let proven = constant && rows == total && pages.distinct_rows() == total;
    Ok(proven.then_some(pages))
}

/// `rows` is the last shortfall. `walks` counts successive walks with this shortfall and overlapping pages.
#[derive(Debug, Default)]
pub(super) struct Shortfalls {
    rows: u64,
    walks: u32,
}

impl Shortfalls {
    /// Stores the shortfall `rows`. Returns true after `SAME_SHORTFALLS` successive walks with overlapping
    /// pages and this shortfall. The poller then assumes a wrong count, and removes deleted endpoints.
    pub(super) fn is_constant(&mut self, rows: u64, overlapped: bool) -> bool {
        if !overlapped || rows != self.rows {
            self.walks = 0;
        }
        self.rows = rows;
        self.walks = self.walks.saturating_add(u32::from(overlapped));
        self.walks >= SAME_SHORTFALLS
    }
}
