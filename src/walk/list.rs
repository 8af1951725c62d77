//! Reads the whole list once and proves that nothing was missed.
//!
//! Pages overlap by one row, several are in flight, and their order of arrival does not matter. The
//! pages are then linked from the first row to the last. A gap between two pages is closed by reading
//! again from further in front. Where pages cannot be linked, the list is read by counting.

use std::{collections::HashSet, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};

use super::{
    fetch::{PageFetcher, Reason, Source, WalkError},
    overlap::{self, PageKeys},
};
use crate::{
    api::{ErrorKind, Page, Rejection, RowKey},
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

/// A list that was read to its end.
#[derive(Debug)]
pub(super) struct CompleteList {
    pub(super) endpoints: EndpointList,
    /// `total_count`, as the last page gave it.
    pub(super) reported: Option<u64>,
    /// Rows that the count includes and the pages lack.
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

impl CompleteList {
    /// Which endpoints stay although the walk has not found them. While endpoints are missing, all of
    /// them. Where the shortfall `is_settled`, those that the walk before has found. Else one for each row
    /// that gave no record, because that row may be the endpoint's; a second row with a known id is not.
    pub(super) fn retention(&self, is_settled: bool, max_age: Duration) -> Retention {
        let unreadable = (self.rejected_rows.iter().zip(Rejection::ALL))
            .filter(|(_, reason)| *reason != Rejection::Duplicate)
            .map(|(rows, _)| rows)
            .sum();
        match (self.shortfall, unreadable) {
            (0, 0) => Retention::Nothing,
            (0, rows) => Retention::UpTo {
                max_age,
                at_most: Some(rows),
            },
            _ if is_settled => Retention::Once {
                max_age,
                at_most: unreadable,
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
///
/// # Errors
/// A request failed for good, or neither proof succeeded.
pub(super) async fn read<S: Source>(
    fetcher: &PageFetcher<S>,
    duplicates: &HashSet<RowKey>,
) -> Result<CompleteList, WalkError> {
    let (pages, overlapped) = match read_overlapping(fetcher).await? {
        Some(pages) => (pages, true),
        None => (read_counting(fetcher).await?, false),
    };
    let rows = pages.builder.len() as u64 + pages.rejected_rows.iter().sum::<u64>();
    let shortfall = pages.lowest_total.unwrap_or(0).saturating_sub(rows);
    let twice = duplicates.intersection(&pages.duplicates).count() as u64;
    let explained = twice.min(shortfall);
    let mut rejected_rows = pages.rejected_rows;
    rejected_rows[Rejection::Duplicate as usize] += explained;
    Ok(CompleteList {
        endpoints: pages.builder.finish(),
        reported: pages.last_total,
        shortfall: shortfall - explained,
        overlapped,
        rejected_rows,
        duplicates: pages.duplicates,
        clock_offset: pages.clock_offset,
    })
}

fn empty() -> WalkError {
    WalkError::inconsistent("the list is empty, but its count is missing or above zero")
}

/// The pages that a walk has received.
#[derive(Debug)]
pub(super) struct Pages {
    pub(super) builder: SnapshotBuilder,
    /// The rows of every page, sorted by offset.
    keys: Vec<PageKeys>,
    /// The lowest and the last `total_count`, where any page had one.
    lowest_total: Option<u64>,
    last_total: Option<u64>,
    /// The vendor's clock minus ours, in seconds, from the last response that gave it.
    clock_offset: Option<f64>,
    /// A page from another offset had the rows of the first page.
    repeats: bool,
    /// Ids that stand on two rows of the list, as its linked pages show.
    duplicates: HashSet<RowKey>,
    /// Rows of the list without a record, in the order of [`Rejection::ALL`].
    rejected_rows: [u64; Rejection::ALL.len()],
}

impl Pages {
    /// Reads the first page.
    async fn begin<S: Source>(fetcher: &PageFetcher<S>) -> Result<Self, WalkError> {
        let mut pages = Self {
            builder: SnapshotBuilder::new(fetcher.with_contacts),
            keys: Vec::new(),
            lowest_total: None,
            last_total: None,
            clock_offset: None,
            repeats: false,
            duplicates: HashSet::new(),
            rejected_rows: [0; Rejection::ALL.len()],
        };
        pages.fetch(fetcher, 0).await?;
        Ok(pages)
    }

    /// These pages, linked in this order, are the list: counts its rejected and its duplicate rows.
    fn count_rows(&mut self, linked: &[PageKeys]) {
        let repeated = self.builder.repeated();
        let has_rejected = linked.iter().any(|page| !page.rejected.is_empty());
        if repeated.is_empty() && !has_rejected {
            return;
        }
        let rows = overlap::rows(linked);
        self.rejected_rows = rows.rejected;
        // Rows without a record may look alike without being duplicates of an endpoint.
        self.duplicates = rows.twice;
        self.duplicates.retain(|key| repeated.contains(key));
    }

    /// Takes a page that was requested from `offset` on.
    fn take(&mut self, offset: u64, page: &Page) -> Result<(), WalkError> {
        if self.keys.len() == MAX_PAGES {
            return Err(WalkError::new(
                Reason::Request(ErrorKind::TooLarge),
                format!("the list does not end within {MAX_PAGES} pages"),
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
        let keys = PageKeys::new(offset, page);
        self.repeats |= (self.keys.first()).is_some_and(|first| keys.repeats(first));
        let place = self.keys.partition_point(|other| other.offset <= offset);
        self.keys.insert(place, keys);
        Ok(())
    }

    /// Rows that the server gives per page, as the first page showed.
    fn full(&self) -> u64 {
        self.keys.first().map_or(0, |first| first.keys.len() as u64)
    }

    /// Requests one page and takes it.
    async fn fetch<S: Source>(
        &mut self,
        fetcher: &PageFetcher<S>,
        offset: u64,
    ) -> Result<(), WalkError> {
        let page = fetcher.page(offset).await?;
        self.take(offset, &page)
    }

    /// Reads the pages at `offsets`, several at a time, and takes them as they arrive. Stops where a
    /// page repeats the first one.
    async fn fetch_all<S: Source>(
        &mut self,
        fetcher: &PageFetcher<S>,
        offsets: impl Iterator<Item = u64>,
    ) -> Result<(), WalkError> {
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

/// Reads the list once so that every page overlaps the one before by a row. `None` where a gap stays
/// open: the list has no stable order, moves too fast, or comes from a vendor whose pages cannot overlap.
pub(super) async fn read_overlapping<S: Source>(
    fetcher: &PageFetcher<S>,
) -> Result<Option<Pages>, WalkError> {
    let mut pages = Pages::begin(fetcher).await?;
    let first = &pages.keys[0];
    let (full, total) = (pages.full(), first.total);
    match (full, total) {
        (0, Some(0)) => return Ok(Some(pages)),
        (0, _) => return Err(empty()),
        // Fewer rows than the limit, and as many as the count: there are no others.
        (rows, Some(total)) if rows < u64::from(fetcher.page_size) && rows == total => {
            let page = [first.clone()];
            pages.count_rows(&page);
            return Ok(Some(pages));
        }
        (1, _) => return single(fetcher, pages).await,
        _ => {}
    }
    pages.builder.expect(total.unwrap_or(0));
    let stride = full - 1;
    let offsets = (1..).map(move |page| page * stride);
    // The count may promise anything: an empty page ends the plan, and the cap on pages decides.
    let offsets = offsets.take_while(move |offset| offset + 1 < total.unwrap_or(0));
    pages.fetch_all(fetcher, offsets).await?;
    // The vendor rounds the offset down to whole pages, or ignores it: no page can overlap.
    let whole = !pages.repeats && link(fetcher, &mut pages).await?;
    Ok(whole.then_some(pages))
}

/// One row, where more were requested: either the list has no other, or the server gives one at a
/// time, and then pages cannot overlap.
async fn single<S: Source>(
    fetcher: &PageFetcher<S>,
    mut pages: Pages,
) -> Result<Option<Pages>, WalkError> {
    pages.fetch(fetcher, 1).await?;
    let nothing_more = pages.keys.last().is_some_and(|keys| keys.keys.is_empty());
    // Where the count has changed, another row may have replaced the first.
    let is_still = pages.keys.iter().all(|keys| keys.total == pages.last_total);
    if nothing_more && is_still {
        let page = [pages.keys[0].clone()];
        pages.count_rows(&page);
        return Ok(Some(pages));
    }
    Ok(None)
}

/// Links pages from the first to the end of the list; `false` when a gap stays open.
async fn link<S: Source>(fetcher: &PageFetcher<S>, pages: &mut Pages) -> Result<bool, WalkError> {
    let mut linked = vec![pages.keys[0].clone()];
    // Gaps come one by one from edits and everywhere at once from an unstable order.
    let mut repairs_left = 8 + pages.keys.len() / 8;
    let mut without_progress = 0;
    loop {
        let tail = linked
            .last()
            .expect("the linked pages begin with the first page");
        if let Some(next) = overlap::follower(&pages.keys, &linked) {
            let next = next.clone();
            let is_full = next.keys.len() as u64 >= pages.full();
            without_progress = if is_full && next.keys.last() == tail.keys.last() {
                without_progress + 1
            } else {
                0
            };
            if without_progress > MAX_WITHOUT_PROGRESS {
                return Ok(false);
            }
            linked.push(next);
            continue;
        }
        if overlap::reaches_end(&linked, pages.full()) {
            pages.count_rows(&linked);
            return Ok(true);
        }
        let onward = tail.end() - 1;
        if !pages.keys.iter().any(|keys| keys.offset == onward) {
            pages.fetch(fetcher, onward).await?;
            if pages.repeats {
                return Ok(false);
            }
            continue;
        }
        if repairs_left == 0 {
            return Ok(false);
        }
        repairs_left -= 1;
        fetcher.instruments.reread(RereadReason::Anchor);
        match step_back(fetcher, pages, &linked, onward).await? {
            Some(bridge) => linked.push(bridge),
            None => return Ok(false),
        }
    }
}

/// Reads again from half a page before the gap, then from further back, until known rows appear.
async fn step_back<S: Source>(
    fetcher: &PageFetcher<S>,
    pages: &mut Pages,
    linked: &[PageKeys],
    gap: u64,
) -> Result<Option<PageKeys>, WalkError> {
    let mut distance = (pages.full() / 2).max(1);
    for _ in 0..MAX_STEPS_BACK {
        let offset = gap.saturating_sub(distance);
        let page = fetcher.page(offset).await?;
        pages.take(offset, &page)?;
        let bridge = PageKeys::new(offset, &page);
        let known = linked.iter().rev().any(|page| bridge.continues(page));
        if known || (offset == 0 && !bridge.keys.is_empty()) {
            return Ok(Some(bridge));
        }
        if offset == 0 {
            break;
        }
        distance *= 2;
    }
    Ok(None)
}

/// Reads the list by counting; a list that moves meanwhile is read twice.
async fn read_counting<S: Source>(fetcher: &PageFetcher<S>) -> Result<Pages, WalkError> {
    for _ in 0..2 {
        fetcher.instruments.reread(RereadReason::Count);
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
pub(super) async fn count<S: Source>(fetcher: &PageFetcher<S>) -> Result<Option<Pages>, WalkError> {
    let mut pages = Pages::begin(fetcher).await?;
    let full = pages.full();
    let Some(total) = pages.last_total else {
        return Ok(None);
    };
    match (full, total) {
        (0, 0) => return Ok(Some(pages)),
        (0, _) => return Err(empty()),
        _ => {}
    }
    let offsets = (1..)
        .map(move |page| page * full)
        .take_while(move |offset| *offset < total);
    pages.fetch_all(fetcher, offsets).await?;
    if pages.repeats {
        return Err(WalkError::inconsistent(
            "the vendor ignores the offset: a later page shows the rows of the first page",
        ));
    }
    for keys in &pages.keys {
        for (_, rejection) in &keys.rejected {
            pages.rejected_rows[*rejection as usize] += 1;
        }
    }
    let rows: u64 = pages.keys.iter().map(|keys| keys.keys.len() as u64).sum();
    let constant = pages.keys.iter().all(|keys| keys.total == Some(total));
    let distinct = pages.builder.len() as u64 + pages.rejected_rows.iter().sum::<u64>();
    Ok((constant && rows == total && distinct == total).then_some(pages))
}
