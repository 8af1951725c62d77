//! Decides whether rows can be missing between two pages. This module sends no requests.
//!
//! Pages are *linked* if each page contains the last row of the previous page. [`PageKeys::continues`] can also
//! link a page that lacks this row. Linked pages from the start to the end of a list have every endpoint that
//! existed during the whole walk. `docs/architecture.md` proves this for a stable order and one row per id. The
//! order is unstable if pages share many rows in different orders, or have many other rows above or among them.

use std::collections::{HashMap, HashSet};

use crate::api::{Page, Rejection, RowKey};

/// The maximum number of attempts to close one gap between pages.
const MAX_STEPS_BACK: usize = 6;

/// The keys of the rows of a page.
#[derive(Debug, Clone)]
pub(super) struct PageKeys {
    pub(super) offset: u64,
    pub(super) keys: Vec<RowKey>,
    /// Rejected rows, by their index in `keys`.
    pub(super) rejected: Vec<(usize, Rejection)>,
    pub(super) total: Option<u64>,
}

impl PageKeys {
    pub(super) fn new(offset: u64, page: &Page) -> Self {
        let rows = page.rows.iter().enumerate();
        let rejected = rows.filter_map(|(place, row)| Some((place, row.content.as_ref().err()?)));
        Self {
            offset,
            keys: page.rows.iter().map(|row| row.key).collect(),
            rejected: rejected.map(|(place, reason)| (place, *reason)).collect(),
            total: page.total,
        }
    }

    pub(super) fn rows(&self) -> u64 {
        self.keys.len() as u64
    }

    /// The offset after the last row.
    pub(super) fn end(&self) -> u64 {
        self.offset + self.rows()
    }

    /// Whether the last row that both pages share is the *anchor*, which is the last row of the page `before`.
    ///
    /// This page has rows above the anchor if, for example, the list grew between the two requests. Most of the
    /// rows above the anchor must be on the page `before`, in the same order.
    pub(super) fn follows(&self, before: &Self) -> bool {
        let shared = self.shared_with(before);
        shared.is_some_and(|shared| shared.has_anchor)
    }

    /// Like [`Self::follows`], but also accepts a page without the anchor, which the vendor may have deleted.
    /// Such a page must begin with a row of the page `before`, and share at least two rows with it.
    pub(super) fn continues(&self, before: &Self) -> bool {
        let shared = self.shared_with(before);
        shared.is_some_and(|shared| shared.has_anchor || (shared.first == 0 && shared.count >= 2))
    }

    /// The rows that this page shares with the page `before`. `None` if there are no shared rows, if too many
    /// rows above the last shared row are not on the page `before`, or if there are too many strays.
    ///
    /// A key on two rows of a page is ignored. A *stray* is below another shared row on this page, but above
    /// that row on the page `before`. Ids on two rows cause few strays; an unstable order causes many strays.
    fn shared_with(&self, before: &Self) -> Option<Shared> {
        let (there, here) = (places(&before.keys), places(&self.keys));
        let (mut first, mut last, mut count, mut strays) = (None, 0, 0, 0);
        let mut reached = 0;
        for (at, key) in self.keys.iter().enumerate() {
            let (Some(_), Some(&Some(place))) = (here[key], there.get(key)) else {
                continue;
            };
            if place < reached {
                strays += 1;
                continue;
            }
            reached = place;
            first.get_or_insert(at);
            last = at;
            count += 1;
        }
        let is_orderly = count * 2 > last && strays <= (self.keys.len() / 10).max(1);
        first.filter(|_| is_orderly).map(|first| Shared {
            first,
            count,
            has_anchor: before.keys.last() == Some(&self.keys[last]),
        })
    }

    /// Whether this page has at least two rows, and the same rows as the page `first`, but another offset.
    pub(super) fn repeats(&self, first: &Self) -> bool {
        self.offset != first.offset && self.keys.len() >= 2 && self.keys == first.keys
    }
}

/// The duplicate and rejected rows of the list, as the pages of a walk show them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rows {
    /// Keys that are on two rows of the list. A row that two pages share is one row.
    pub(super) twice: HashSet<RowKey>,
    /// The number of rejected rows for each reason, in the order of [`Rejection::ALL`].
    pub(super) rejected: [u64; Rejection::ALL.len()],
}

/// Finds the duplicate and rejected rows of linked pages. A row that two pages share counts once.
pub(super) fn rows(linked: &[PageKeys]) -> Rows {
    let mut rows = Rows::default();
    let mut seen = HashSet::new();
    let mut anchor = None;
    for page in linked {
        let keys = &page.keys;
        let place = anchor.and_then(|anchor| keys.iter().position(|key| *key == anchor));
        // A page without the anchor comes from `Pages::step_back`. Usually it begins with known rows.
        let known = match place {
            Some(place) => place + 1,
            None => keys.iter().take_while(|key| seen.contains(*key)).count(),
        };
        let twice = keys[known..].iter().filter(|key| !seen.insert(**key));
        rows.twice.extend(twice);
        for (_, reason) in page.rejected.iter().filter(|(place, _)| *place >= known) {
            rows.rejected[*reason as usize] += 1;
        }
        anchor = keys.last().copied().or(anchor);
    }
    rows
}

/// Returns the page with the next offset if it follows the last linked page. Otherwise skips pages without new
/// rows, which occur if the list grew by more than a page. Then checks only the first page with a new row.
pub(super) fn follower<'a>(pages: &'a [PageKeys], linked: &[PageKeys]) -> Option<&'a PageKeys> {
    let tail = linked.last()?;
    let later = pages.partition_point(|page| page.offset <= tail.offset);
    let mut later = pages[later..].iter();
    let next = later.next()?;
    if next.follows(tail) {
        return Some(next);
    }
    let known: HashSet<RowKey> = linked
        .iter()
        .flat_map(|page| page.keys.iter().copied())
        .collect();
    let is_behind = |page: &&PageKeys| page.keys.iter().all(|key| known.contains(key));
    let mut beyond = std::iter::once(next).chain(later).skip_while(is_behind);
    beyond.next().filter(|page| page.follows(tail))
}

/// Whether the linked pages reach the end of the list. The last page must have fewer than `full` rows, the
/// number of rows of a full page. It must also end at or after `total_count`, or end with the anchor.
pub(super) fn reaches_end(linked: &[PageKeys], full: u64) -> bool {
    let Some((tail, before)) = linked.split_last() else {
        return false;
    };
    let has_room = tail.rows() < full;
    let reaches_the_count = tail.total.is_some_and(|total| tail.end() >= total);
    let shows_nothing_new = before
        .last()
        .is_some_and(|before| before.keys.last() == tail.keys.last());
    has_room && (reaches_the_count || shows_nothing_new)
}

/// The distances, in rows, from a gap back to the pages that the walk reads to close the gap. The first
/// distance is half of a page of `full` rows. Each next distance is twice as long.
pub(super) fn steps_back(full: u64) -> impl Iterator<Item = u64> {
    let first = (full / 2).max(1);
    std::iter::successors(Some(first), |last| Some(last * 2)).take(MAX_STEPS_BACK)
}

/// The result of [`PageKeys::shared_with`].
#[derive(Debug)]
struct Shared {
    /// The index of the first shared row on this page, not on the page `before`.
    first: usize,
    count: usize,
    /// Whether the last shared row is the anchor.
    has_anchor: bool,
}

/// The index of each key; `None` for a key on two rows.
fn places(keys: &[RowKey]) -> HashMap<RowKey, Option<usize>> {
    let mut places = HashMap::with_capacity(keys.len());
    for (place, key) in keys.iter().enumerate() {
        places
            .entry(*key)
            .and_modify(|known| *known = None)
            .or_insert(Some(place));
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(keys: &[u64]) -> PageKeys {
        PageKeys {
            offset: 0,
            keys: keys.iter().map(|key| RowKey(*key)).collect(),
            rejected: Vec::new(),
            total: None,
        }
    }

    #[test]
    fn a_page_follows_when_it_starts_on_the_row_where_the_other_ended() {
        assert!(page(&[3, 4, 5]).follows(&page(&[1, 2, 3])));
        assert!(
            !page(&[4, 5, 6]).follows(&page(&[1, 2, 3])),
            "a row may lie between"
        );
        assert!(page(&[3]).follows(&page(&[1, 2, 3])), "the end of the list");
        assert!(!page(&[]).follows(&page(&[1, 2, 3])));
    }

    #[test]
    fn a_list_that_grew_in_front_shifts_known_rows_before_the_anchor() {
        assert!(page(&[2, 3, 4]).follows(&page(&[1, 2, 3])));
        assert!(
            page(&[2, 9, 3, 4]).follows(&page(&[1, 2, 3])),
            "one was created between"
        );
    }

    #[test]
    fn an_order_that_changes_is_not_mistaken_for_an_overlap() {
        let before = page(&[1, 2, 3, 4, 5]);
        assert!(!page(&[3, 2, 1, 5, 6]).follows(&before), "another order");
        assert!(
            !page(&[7, 8, 9, 5, 6]).follows(&before),
            "unknown rows before the anchor"
        );
        assert!(
            !page(&[5, 2, 3, 6, 7]).follows(&before),
            "many known rows behind the anchor"
        );
    }

    #[test]
    fn an_id_on_two_rows_disturbs_no_overlap_but_is_no_anchor() {
        let before = page(&[1, 2, 3]);
        assert!(page(&[3, 4, 1]).follows(&before), "one row stands again");
        assert!(page(&[3, 4, 4]).follows(&before), "one stands twice here");
        assert!(!page(&[3, 4, 3]).follows(&before), "which of them is it?");
        assert!(!page(&[3, 4, 5]).follows(&page(&[3, 2, 3])));
    }

    #[test]
    fn a_page_that_steps_back_continues_where_known_rows_begin_it() {
        let before = page(&[1, 2, 3, 4]);
        assert!(
            page(&[2, 3, 5, 6]).continues(&before),
            "the anchor 4 was deleted"
        );
        assert!(
            !page(&[3, 5, 6]).continues(&before),
            "one known row is chance"
        );
        assert!(
            !page(&[9, 2, 3, 5]).continues(&before),
            "it begins with an unknown row"
        );
    }

    #[test]
    fn an_overlap_is_no_second_row() {
        let twice = |linked: &[PageKeys]| rows(linked).twice;
        let chain = [page(&[1, 2, 3]), page(&[2, 3, 4]), page(&[4, 5, 2])];
        assert_eq!(twice(&chain), HashSet::from([RowKey(2)]));
        let bridged = [page(&[1, 2, 3]), page(&[1, 2, 4])];
        assert_eq!(twice(&bridged), HashSet::new(), "3 was deleted meanwhile");
        assert_eq!(twice(&[page(&[1, 2, 1])]), HashSet::from([RowKey(1)]));
    }

    #[test]
    fn a_rejected_row_counts_once_wherever_the_list_shifts_it() {
        let rejected = |keys, places: &[usize]| PageKeys {
            rejected: places
                .iter()
                .map(|place| (*place, Rejection::NoId))
                .collect(),
            ..page(keys)
        };
        // The vendor adds a row at the start of the list, so the second page has rows 2 and 3 again.
        let chain = [rejected(&[1, 2, 3], &[1, 2]), rejected(&[2, 3, 4], &[0, 1])];
        assert_eq!(rows(&chain).rejected, [0, 2, 0, 0, 0]);
    }
}
