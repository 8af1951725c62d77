//! Linking the pages of a reading into one chain, and closing the gaps that edits have torn.

use std::collections::HashSet;

use super::{Failure, Source, chain::Strip, fetch::PageFetcher, reading::Reading};
use crate::api::RowKey;

/// How often one gap is approached, each time from twice as far back.
const STEPS_BACK: u32 = 6;

/// So many full pages in a row may end where the page before has ended, because the list has grown
/// by a page at just that moment. More of them come from a vendor that ignores or rounds the offset.
const MOST_IN_VAIN: u32 = 3;

/// Links pages from the first to the end of the list; `false` when a gap stays open.
pub(super) async fn link<S: Source>(
    fetcher: &PageFetcher<S>,
    reading: &mut Reading,
) -> Result<bool, Failure> {
    let mut chain = vec![reading.strips[0].clone()];
    // Gaps come one by one from edits and everywhere at once from an unstable order.
    let mut repairs_left = 8 + reading.strips.len() / 8;
    let mut in_vain = 0;
    loop {
        let tail = chain.last().expect("the chain begins with the first page");
        if let Some(next) = follower(&reading.strips, &chain) {
            let next = next.clone();
            let is_full = next.keys.len() as u64 >= reading.full();
            in_vain = if is_full && next.keys.last() == tail.keys.last() {
                in_vain + 1
            } else {
                0
            };
            if in_vain > MOST_IN_VAIN {
                return Ok(false);
            }
            chain.push(next);
            continue;
        }
        if is_last(&chain, reading.full()) {
            reading.linked(&chain);
            return Ok(true);
        }
        let onward = tail.end() - 1;
        if !reading.strips.iter().any(|strip| strip.offset == onward) {
            reading.fetch(fetcher, onward).await?;
            if reading.repeats {
                return Ok(false);
            }
            continue;
        }
        if repairs_left == 0 {
            return Ok(false);
        }
        repairs_left -= 1;
        fetcher.instruments.reread("anchor");
        match step_back(fetcher, reading, &chain, onward).await? {
            Some(bridge) => chain.push(bridge),
            None => return Ok(false),
        }
    }
}

/// The page that goes on from the chain's last one: the next by offset. Only pages that show
/// nothing but rows of the chain are passed over: there the list grew by more than a page.
fn follower<'a>(strips: &'a [Strip], chain: &[Strip]) -> Option<&'a Strip> {
    let tail = chain.last()?;
    let later = strips.partition_point(|strip| strip.offset <= tail.offset);
    let mut later = strips[later..].iter();
    let next = later.next()?;
    if next.follows(tail) {
        return Some(next);
    }
    let known: HashSet<RowKey> = chain
        .iter()
        .flat_map(|strip| strip.keys.iter().copied())
        .collect();
    let is_behind = |strip: &&Strip| strip.keys.iter().all(|key| known.contains(key));
    let mut beyond = std::iter::once(next).chain(later).skip_while(is_behind);
    beyond.next().filter(|strip| strip.follows(tail))
}

/// Does the chain reach the end of the list? Its last page had room for more rows and either
/// reaches what the count says or shows nothing behind the anchor.
fn is_last(chain: &[Strip], full: u64) -> bool {
    let Some((tail, before)) = chain.split_last() else {
        return false;
    };
    let has_room = (tail.keys.len() as u64) < full;
    let reaches_the_count = tail.total.is_some_and(|total| tail.end() >= total);
    let shows_nothing_new = before
        .last()
        .is_some_and(|before| before.keys.last() == tail.keys.last());
    has_room && (reaches_the_count || shows_nothing_new)
}

/// Reads again from half a page before the gap, then from further back, until known rows appear.
async fn step_back<S: Source>(
    fetcher: &PageFetcher<S>,
    reading: &mut Reading,
    chain: &[Strip],
    gap: u64,
) -> Result<Option<Strip>, Failure> {
    let mut distance = (reading.full() / 2).max(1);
    for _ in 0..STEPS_BACK {
        let offset = gap.saturating_sub(distance);
        let page = fetcher.page(offset).await?;
        reading.take(offset, &page)?;
        let bridge = Strip::new(offset, &page);
        let known = chain.iter().rev().any(|strip| bridge.continues(strip));
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
