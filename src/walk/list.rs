//! Reads the whole list once and proves that nothing was missed.
//!
//! Pages overlap by one row, several are in flight, and their order of arrival does not matter. The
//! pages are then linked from the first row to the last. A gap between two pages is closed by reading
//! again from further in front. Where pages cannot be linked, the list is read by counting.

use std::{collections::HashSet, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};

use super::{
    fetch::{PageFetcher, Reason, Source, WalkError},
    overlap::{self, PageKeys, Rows},
};
use crate::{
    api::{ErrorKind, Rejection, RowKey},
    snapshot::{EndpointList, Retention, SnapshotBuilder},
    telemetry::RereadReason,
};

/// No list has more pages.
const MAX_PAGES: usize = 10_000;
/// How often one gap is approached, each time from twice as far in front.
const MAX_STEPS_BACK: u32 = 6;
/// So many full pages one after the other may end where the page before ended, because the list grew
/// by a page at just that moment. More come from a vendor that ignores or rounds the offset.
const MAX_WITHOUT_PROGRESS: u32 = 3;
/// A shortfall that is the same over this many walks counts as complete.
const SAME_SHORTFALLS: u32 = 3;

/// A list that was read to its end.
#[derive(Debug)]
pub(super) struct CompleteList {
    pub(super) endpoints: EndpointList,
    /// `total_count`, as the page nearest to the end gave it.
    pub(super) reported: Option<u64>,
    /// Rows that the count includes and the pages lack.
    pub(super) shortfall: u64,
    /// Whether overlapping pages prove it, and not only the count.
    pub(super) overlapped: bool,
    pub(super) rows: Rows,
    /// The vendor's clock minus ours, in seconds.
    pub(super) clock_offset: Option<f64>,
}

impl CompleteList {
    /// Which endpoints stay although the walk has not found them. While endpoints are missing, all of
    /// them. Where the shortfall `is_settled`, those that the walk before has found. Else one for each row
    /// that gave no record, because that row may be the endpoint's; a second row with a known id is not.
    pub(super) fn retention(&self, is_settled: bool, max_age: Duration) -> Retention {
        let unreadable = (self.rows.rejected.iter().zip(Rejection::ALL))
            .filter(|(_, reason)| *reason != Rejection::Duplicate)
            .map(|(rows, _)| rows)
            .sum();
        let (at_most, again_at_most) = match self.shortfall {
            0 => (unreadable, u64::MAX),
            _ if is_settled => (u64::MAX, unreadable),
            _ => (u64::MAX, u64::MAX),
        };
        Retention {
            max_age,
            at_most,
            again_at_most,
        }
    }
}

/// The shortfalls of the last walks: rows that `total_count` includes and the pages lack.
#[derive(Debug, Default)]
pub(super) struct Shortfalls {
    rows: u64,
    walks: u32,
}

impl Shortfalls {
    /// Notes the shortfall of a walk, and returns whether it is an error of the count: it has stayed the
    /// same over walks that `overlapped` everywhere. Otherwise deleted endpoints would never leave.
    pub(super) fn is_settled(&mut self, rows: u64, overlapped: bool) -> bool {
        if !overlapped || rows != self.rows {
            self.walks = 0;
        }
        self.rows = rows;
        self.walks = self.walks.saturating_add(u32::from(overlapped));
        self.walks >= SAME_SHORTFALLS
    }
}

/// Reads the list, proven by overlap or, where that is impossible, by counting.
///
/// `duplicates` are the ids that stood on two rows in the walk before. An id that is among them and
/// stands on two rows again explains a row of the shortfall: no movement of the list does that twice.
///
/// # Errors
/// A request failed for good, or neither proof succeeded.
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

/// The pages that a walk has received.
#[derive(Debug)]
pub(super) struct Pages<'a, S> {
    fetcher: &'a PageFetcher<S>,
    pub(super) builder: SnapshotBuilder,
    /// The rows of every page, sorted by offset.
    keys: Vec<PageKeys>,
    /// The vendor's clock minus ours, in seconds, from the last response that gave it.
    clock_offset: Option<f64>,
    /// A page from another offset had the rows of the first page.
    repeats: bool,
    /// What the linked pages show of the list's rows.
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

    /// Rows that the server gives per page, as the first page showed.
    fn full(&self) -> u64 {
        self.keys.first().map_or(0, PageKeys::rows)
    }

    /// Distinct endpoints, and rows without a record.
    fn distinct_rows(&self) -> u64 {
        self.builder.endpoints() + self.rows.rejected.iter().sum::<u64>()
    }

    /// Reads the pages at `offsets`, several at a time, and takes them as they arrive. Stops where a
    /// page repeats the first one.
    async fn fetch(&mut self, offsets: impl IntoIterator<Item = u64>) -> Result<(), WalkError> {
        let fetcher = self.fetcher;
        let fetch = |offset| async move { (offset, fetcher.page(offset).await) };
        let mut offsets = offsets.into_iter().map(fetch).fuse();
        let first = offsets.by_ref().take(fetcher.api.concurrency);
        let mut in_flight: FuturesUnordered<_> = first.collect();
        let mut ended = false;
        while let Some((offset, page)) = in_flight.next().await {
            let page = page?;
            // A count that is too high must not lead to page after page without rows.
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

    /// How many pages begin at `offset` or before.
    fn pages_up_to(&self, offset: u64) -> usize {
        self.keys.partition_point(|keys| keys.offset <= offset)
    }

    /// After a first page of one row, although more were requested: whether the list has no other row.
    /// Else the server gives one row at a time, and pages cannot overlap.
    async fn has_one_row(&mut self) -> Result<bool, WalkError> {
        self.fetch([1]).await?;
        let has_no_second = self.keys.last().is_some_and(|keys| keys.keys.is_empty());
        // Where the count has changed, another row may have replaced the first.
        let total = self.keys[0].total;
        Ok(has_no_second && self.keys.iter().all(|keys| keys.total == total))
    }

    /// Links pages from the first to the end of the list; `None` when a gap stays open.
    async fn link(&mut self) -> Result<Option<Vec<PageKeys>>, WalkError> {
        let mut linked = vec![self.keys[0].clone()];
        // Gaps come one by one from edits and everywhere at once from an unstable order.
        let mut repairs_left = 8 + self.keys.len() / 8;
        let mut without_progress = 0;
        // Otherwise the vendor rounds the offset down to whole pages, or ignores it: no page can overlap.
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
            self.fetcher.count_reread(RereadReason::Anchor);
            let Some(bridge) = self.step_back(&linked, onward).await? else {
                return Ok(None);
            };
            linked.push(bridge);
        }
        Ok(None)
    }

    /// Reads again from half a page before the gap, then from further back, until known rows appear.
    async fn step_back(
        &mut self,
        linked: &[PageKeys],
        gap: u64,
    ) -> Result<Option<PageKeys>, WalkError> {
        let mut distance = (self.full() / 2).max(1);
        for _ in 0..MAX_STEPS_BACK {
            let offset = gap.saturating_sub(distance);
            self.fetch([offset]).await?;
            let bridge = &self.keys[self.pages_up_to(offset) - 1];
            let known = linked.iter().rev().any(|page| bridge.continues(page));
            if known || offset == 0 {
                let is_usable = known || !bridge.keys.is_empty();
                return Ok(is_usable.then(|| bridge.clone()));
            }
            distance *= 2;
        }
        Ok(None)
    }

    /// These pages, linked in this order, are the list: counts its rejected and its duplicate rows.
    fn count_rows(&mut self, linked: &[PageKeys]) {
        let repeated = self.builder.repeated();
        let has_rejected = linked.iter().any(|page| !page.rejected.is_empty());
        if repeated.is_empty() && !has_rejected {
            return;
        }
        self.rows = overlap::rows(linked);
        // Rows without a record may look alike without being duplicates of an endpoint.
        self.rows.twice.retain(|key| repeated.contains(key));
    }
}

/// Reads the list once so that every page overlaps the one before by a row. `None` where a gap stays
/// open: the list has no stable order, moves too fast, or comes from a vendor whose pages cannot overlap.
pub(super) async fn read_overlapping<S: Source>(
    fetcher: &PageFetcher<S>,
) -> Result<Option<Pages<'_, S>>, WalkError> {
    let mut pages = Pages::begin(fetcher).await?;
    let first = pages.keys[0].clone();
    let linked = match (pages.full(), first.total) {
        // Fewer rows than the limit, and as many as the count: there are no others.
        (rows, Some(total)) if rows < u64::from(fetcher.api.page_size) && rows == total => {
            Some(vec![first])
        }
        (0, _) => return Err(empty()),
        (1, _) => pages.has_one_row().await?.then(|| vec![first]),
        (full, total) => {
            let total = total.unwrap_or(0);
            pages.builder.expect(total);
            let offsets = (1..).map(move |page| page * (full - 1));
            // The count may promise anything: an empty page ends the plan, and the cap on pages decides.
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

/// Reads the list by counting; a list that moves meanwhile is read twice.
async fn read_counting<S: Source>(fetcher: &PageFetcher<S>) -> Result<Pages<'_, S>, WalkError> {
    for _ in 0..2 {
        fetcher.count_reread(RereadReason::Count);
        if let Some(pages) = count(fetcher).await? {
            return Ok(pages);
        }
    }
    Err(WalkError::inconsistent(
        "the list moved so much that neither overlapping pages nor its count prove it whole",
    ))
}

/// The weaker proof: no id comes twice, and the distinct rows are as many as a count that stands still;
/// `None` otherwise.
///
/// It serves lists without a stable order, and vendors that round `offset` down to whole pages, where
/// pages cannot overlap. A deletion and a creation at the wrong moment can deceive it.
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
