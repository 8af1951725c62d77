//! When two pages leave no gap between them: the proof's arithmetic, without requests.
//!
//! In a list of stable order a page shows a stretch without holes of what lived at its moment. Two
//! stretches that share a row join into one stretch of what lived through both moments, whatever
//! was created or deleted meanwhile and whichever page was read first. So pages overlap by a row on
//! purpose, and a chain of pages from the first row to the last has every endpoint that lived
//! throughout, as long as an id stands on one row only. Sharing a row proves nothing in a list whose
//! order changes from answer to answer; that is noticed by the order of the shared rows and by
//! strangers among them.

use std::collections::{HashMap, HashSet};

use crate::api::{Page, Rejection, RowKey};

/// What the chain remembers of a page.
#[derive(Debug, Clone)]
pub(super) struct Strip {
    pub(super) offset: u64,
    pub(super) keys: Vec<RowKey>,
    /// Rows without a record, by their place in `keys`.
    pub(super) rejected: Vec<(usize, Rejection)>,
    pub(super) total: Option<u64>,
}

impl Strip {
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

    /// The place of the row after the last.
    pub(super) fn end(&self) -> u64 {
        self.offset + self.keys.len() as u64
    }

    /// Does this page retention `before`'s last row, its *anchor*, with nothing odd in front of it?
    ///
    /// Rows in front of the anchor mean that the list grew; most of them must be `before`'s own,
    /// in their order.
    pub(super) fn follows(&self, before: &Self) -> bool {
        let Some(&anchor) = before.keys.last() else {
            return false;
        };
        let shared = self.shared_with(before);
        shared.is_some_and(|shared| self.keys[shared.last] == anchor && shared.is_orderly())
    }

    /// Does this page begin inside `before`, or retention its anchor? Looser than [`Self::follows`]: the
    /// anchor itself may have been deleted, so two known rows must stand in for it.
    pub(super) fn continues(&self, before: &Self) -> bool {
        self.follows(before)
            || self
                .shared_with(before)
                .is_some_and(|shared| shared.first == 0 && shared.count >= 2 && shared.is_orderly())
    }

    /// The rows that also stand in `before`, in the order they have there.
    ///
    /// Keys that stand on two rows of a page tell no place and are left out. What stands out of
    /// order is counted as stray: an id on two rows of the list, or rows that were rejected and look
    /// alike, if there are few; an order that changes, if there are many.
    fn shared_with(&self, before: &Self) -> Option<Shared> {
        let (there, here) = (places(&before.keys), places(&self.keys));
        let mut shared: Option<Shared> = None;
        let mut reached = 0;
        let mut strays = 0;
        for (at, key) in self.keys.iter().enumerate() {
            if here[key].is_none() {
                continue;
            }
            let Some(&Some(place)) = there.get(key) else {
                continue;
            };
            if shared.is_some() && place < reached {
                strays += 1;
                continue;
            }
            reached = place;
            let first = shared.as_ref().map_or(at, |shared| shared.first);
            let count = shared.as_ref().map_or(0, |shared| shared.count) + 1;
            shared = Some(Shared {
                first,
                last: at,
                count,
                strays,
                most_strays: (self.keys.len() / 10).max(1),
            });
        }
        shared.map(|shared| Shared { strays, ..shared })
    }

    /// Is this the same page again, although it was asked for from another place?
    pub(super) fn repeats(&self, first: &Self) -> bool {
        self.offset != first.offset && self.keys.len() >= 2 && self.keys == first.keys
    }
}

/// What linked pages show of the rows of the list.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rows {
    /// Keys that stand on two rows, apart from rows that two pages share.
    pub(super) twice: HashSet<RowKey>,
    /// Rows without a record, each counted once, in the order of [`Rejection::ALL`].
    pub(super) rejected: [u64; Rejection::ALL.len()],
}

/// Goes through the rows of linked pages and passes over those that overlap.
pub(super) fn rows(chain: &[Strip]) -> Rows {
    let mut rows = Rows::default();
    let mut seen = HashSet::new();
    let mut anchor = None;
    for strip in chain {
        let keys = &strip.keys;
        let place = anchor.and_then(|anchor| keys.iter().position(|key| *key == anchor));
        // A page without the anchor was reached by stepping back: it begins with known rows.
        let known = match place {
            Some(place) => place + 1,
            None => keys.iter().take_while(|key| seen.contains(*key)).count(),
        };
        let twice = keys[known..].iter().filter(|key| !seen.insert(**key));
        rows.twice.extend(twice);
        for (_, reason) in strip.rejected.iter().filter(|(place, _)| *place >= known) {
            rows.rejected[*reason as usize] += 1;
        }
        anchor = keys.last().copied().or(anchor);
    }
    rows
}

/// Rows that two pages share: the first and last place in the later one, and how many.
#[derive(Debug)]
struct Shared {
    first: usize,
    last: usize,
    count: usize,
    /// Rows of both pages that stand in another order.
    strays: usize,
    /// More of these are no accident.
    most_strays: usize,
}

impl Shared {
    /// Are most rows up to the last shared one known, and is the order the same?
    fn is_orderly(&self) -> bool {
        self.count * 2 > self.last && self.strays <= self.most_strays
    }
}

/// Where each key stands; `None` for one that stands on two rows.
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

    fn strip(keys: &[u64]) -> Strip {
        Strip {
            offset: 0,
            keys: keys.iter().map(|key| RowKey(*key)).collect(),
            rejected: Vec::new(),
            total: None,
        }
    }

    #[test]
    fn a_page_follows_when_it_starts_on_the_row_where_the_other_ended() {
        assert!(strip(&[3, 4, 5]).follows(&strip(&[1, 2, 3])));
        assert!(
            !strip(&[4, 5, 6]).follows(&strip(&[1, 2, 3])),
            "a row may lie between"
        );
        assert!(
            strip(&[3]).follows(&strip(&[1, 2, 3])),
            "the end of the list"
        );
        assert!(!strip(&[]).follows(&strip(&[1, 2, 3])));
    }

    #[test]
    fn a_list_that_grew_in_front_shifts_known_rows_before_the_anchor() {
        assert!(strip(&[2, 3, 4]).follows(&strip(&[1, 2, 3])));
        assert!(
            strip(&[2, 9, 3, 4]).follows(&strip(&[1, 2, 3])),
            "one was created between"
        );
    }

    #[test]
    fn an_order_that_changes_is_not_mistaken_for_an_overlap() {
        let before = strip(&[1, 2, 3, 4, 5]);
        assert!(!strip(&[3, 2, 1, 5, 6]).follows(&before), "another order");
        assert!(
            !strip(&[7, 8, 9, 5, 6]).follows(&before),
            "strangers before the anchor"
        );
        assert!(
            !strip(&[5, 2, 3, 6, 7]).follows(&before),
            "many known rows behind the anchor"
        );
    }

    #[test]
    fn an_id_on_two_rows_disturbs_nobody_but_is_no_anchor() {
        let before = strip(&[1, 2, 3]);
        assert!(strip(&[3, 4, 1]).follows(&before), "one row stands again");
        assert!(strip(&[3, 4, 4]).follows(&before), "one stands twice here");
        assert!(!strip(&[3, 4, 3]).follows(&before), "which of them is it?");
        assert!(!strip(&[3, 4, 5]).follows(&strip(&[3, 2, 3])));
    }

    #[test]
    fn a_page_that_steps_back_continues_where_known_rows_begin_it() {
        let before = strip(&[1, 2, 3, 4]);
        assert!(
            strip(&[2, 3, 5, 6]).continues(&before),
            "the anchor 4 was deleted"
        );
        assert!(
            !strip(&[3, 5, 6]).continues(&before),
            "one known row is chance"
        );
        assert!(
            !strip(&[9, 2, 3, 5]).continues(&before),
            "it begins with a stranger"
        );
    }

    #[test]
    fn an_overlap_is_no_second_row() {
        let twice = |chain: &[Strip]| rows(chain).twice;
        let chain = [strip(&[1, 2, 3]), strip(&[2, 3, 4]), strip(&[4, 5, 2])];
        assert_eq!(twice(&chain), HashSet::from([RowKey(2)]));
        let bridged = [strip(&[1, 2, 3]), strip(&[1, 2, 4])];
        assert_eq!(twice(&bridged), HashSet::new(), "3 was deleted meanwhile");
        assert_eq!(twice(&[strip(&[1, 2, 1])]), HashSet::from([RowKey(1)]));
    }

    #[test]
    fn a_rejected_row_counts_once_wherever_the_list_shifts_it() {
        let rejected = |keys, places: &[usize]| Strip {
            rejected: places
                .iter()
                .map(|place| (*place, Rejection::NoId))
                .collect(),
            ..strip(keys)
        };
        // The list grew in front by one row, so that the second page shows rows 2 and 3 again.
        let chain = [rejected(&[1, 2, 3], &[1, 2]), rejected(&[2, 3, 4], &[0, 1])];
        assert_eq!(rows(&chain).rejected, [0, 2, 0, 0, 0]);
    }
}
