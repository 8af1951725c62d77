//! A finished reading, and how it becomes the next picture.

use std::{cmp::Ordering, collections::BTreeMap, time::Duration};

use super::{
    Changes, EndpointView, Snapshot, Transition, WalkFacts,
    pack::{MaybeTime, Record, Span, Words},
};
use crate::api::{Field, Fields, Rejection};

/// The distinct rows of a finished reading, sorted by id.
#[derive(Debug)]
pub struct Sealed {
    pub(super) records: Vec<Record>,
    pub(super) texts: String,
    pub(super) words: Words,
    pub(super) application_names: BTreeMap<String, String>,
    pub(super) rejected_rows: [u64; Rejection::ALL.len()],
}

/// A finished reading beside the picture that is published now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comparison {
    /// Endpoints in both.
    pub common: u64,
    /// Of these, how many changed state; unknown is a state.
    pub flipped: u64,
    /// Endpoints of the picture that the reading lacks.
    pub missing: u64,
}

/// What becomes of endpoints that the picture before had and this reading lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// The reading is proven: they are gone.
    Nothing,
    /// The reading is short: they stay, each until this long after it was seen last.
    UpTo(Duration),
}

impl Sealed {
    /// Distinct endpoints.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// No endpoint at all?
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Rows without a record, in the order of [`Rejection::ALL`].
    pub fn rejected_rows(&self) -> [u64; Rejection::ALL.len()] {
        self.rejected_rows
    }

    /// How far the reading is from `picture`.
    pub fn compare(&self, picture: &Snapshot) -> Comparison {
        let mut found = Comparison {
            common: 0,
            flipped: 0,
            missing: 0,
        };
        let mut fresh = self.records.iter().peekable();
        for old in &picture.records {
            let id = old.id.of(&picture.texts);
            while fresh.next_if(|new| new.id.of(&self.texts) < id).is_some() {}
            match fresh.next_if(|new| new.id.of(&self.texts) == id) {
                None => found.missing += 1,
                Some(new) => {
                    found.common += 1;
                    found.flipped += u64::from(new.registered != old.registered);
                }
            }
        }
        found
    }

    /// Makes the next picture.
    ///
    /// `facts` describe the walk; its counts of held endpoints and of values are filled in here.
    /// `group_of` finds an endpoint's group; it is asked only for endpoints that are new or look
    /// different than before.
    pub fn paint(
        self,
        previous: Option<&Snapshot>,
        facts: WalkFacts,
        hold: Hold,
        group_of: &dyn Fn(&EndpointView<'_>) -> Option<u16>,
    ) -> (Snapshot, Changes) {
        let Self {
            mut records,
            texts: old_texts,
            words: old_words,
            application_names,
            ..
        } = self;
        let mut texts = String::with_capacity(old_texts.len());
        let mut words = Words::default();
        let mut changes = Changes::default();
        let mut kept = Vec::new();
        let mut before = previous
            .map_or(&[][..], |picture| &picture.records)
            .iter()
            .peekable();
        let mut leave = |old: &Record, changes: &mut Changes| {
            let picture = previous.expect("an old record comes from a picture");
            match held(old, picture, &facts, hold) {
                Some(record) => kept.push(record),
                None => changes.removed += 1,
            }
        };
        for record in &mut records {
            let id = record.id.of(&old_texts);
            *record = record.moved((&old_texts, &old_words), (&mut texts, &mut words));
            let mut same = None;
            if let Some(picture) = previous {
                while let Some(old) = before.peek() {
                    match old.id.of(&picture.texts).cmp(id) {
                        Ordering::Less => leave(old, &mut changes),
                        Ordering::Equal => same = Some((*old, picture)),
                        Ordering::Greater => break,
                    }
                    before.next();
                    if same.is_some() {
                        break;
                    }
                }
                if same.is_none() {
                    changes.added += 1;
                }
            }
            continue_from(
                record,
                same,
                &mut texts,
                &words,
                &facts,
                group_of,
                &mut changes,
            );
        }
        for old in before {
            leave(old, &mut changes);
        }
        let mut facts = facts;
        facts.held = kept.len() as u64;
        count_values(&records, &mut facts);
        if let (Some(picture), false) = (previous, kept.is_empty()) {
            for record in kept {
                let from = (picture.texts.as_str(), &picture.words);
                records.push(record.moved(from, (&mut texts, &mut words)));
            }
            records.sort_by(|a, b| a.id.of(&texts).cmp(b.id.of(&texts)));
        }
        records.shrink_to_fit();
        texts.shrink_to_fit();
        (
            Snapshot {
                records,
                texts,
                words,
                application_names,
                walk: facts,
            },
            changes,
        )
    }
}

/// The old record as a held one, while it may still be held.
fn held(old: &Record, picture: &Snapshot, facts: &WalkFacts, hold: Hold) -> Option<Record> {
    let Hold::UpTo(max_age) = hold else {
        return None;
    };
    let seen_at = old.seen_at.get().unwrap_or(picture.walk.ended_at);
    (facts.ended_at.since(seen_at) < max_age).then(|| Record {
        held: true,
        seen_at: Some(seen_at).into(),
        ..old.clone()
    })
}

/// Gives a fresh record what only its past can tell, and notes what has changed.
fn continue_from(
    record: &mut Record,
    past: Option<(&Record, &Snapshot)>,
    texts: &mut String,
    words: &Words,
    facts: &WalkFacts,
    group_of: &dyn Fn(&EndpointView<'_>) -> Option<u16>,
    changes: &mut Changes,
) {
    let Some((old, picture)) = past else {
        record.group = group_number(group_of(&record.view(texts, words)));
        return;
    };
    let old_view = old.view(&picture.texts, &picture.words);
    if record.username.of(texts).is_empty() {
        record.username = Span::append(texts, old_view.username);
    }
    let view = record.view(texts, words);
    let looks_the_same = view.alias == old_view.alias
        && view.username == old_view.username
        && view.application == old_view.application
        && view.sub_account == old_view.sub_account;
    let group = if looks_the_same {
        old.group
    } else {
        group_number(group_of(&view))
    };
    changes.application += u64::from(view.application != old_view.application);

    let transition = |registered, lost_at: MaybeTime| Transition {
        id: view.id.to_owned(),
        alias: view.alias.to_owned(),
        username: view.username.to_owned(),
        group: group.checked_sub(1),
        registered,
        lost_at: lost_at.get(),
    };
    let mut lost_at = old.lost_at;
    let mut tell = |transition: Transition| {
        if changes.transitions.len() < Changes::LISTED {
            changes.transitions.push(transition);
        }
    };
    match (old.last_known, record.registered) {
        (Some(true), Some(false)) => {
            lost_at = Some(facts.started_at).into();
            tell(transition(false, lost_at));
            changes.lost += 1;
        }
        (Some(false), Some(true)) => {
            tell(transition(true, lost_at));
            changes.gained += 1;
            lost_at = MaybeTime::UNKNOWN;
        }
        (_, Some(true)) => lost_at = MaybeTime::UNKNOWN,
        (_, Some(false) | None) => {}
    }
    record.group = group;
    record.lost_at = lost_at;
    // An unknown state is bridged: a phone that was registered, then unknown, then unregistered
    // has been lost.
    record.last_known = record.registered.or(old.last_known);
}

fn group_number(group: Option<u16>) -> u16 {
    group.map_or(0, |index| index.saturating_add(1))
}

fn count_values(records: &[Record], facts: &mut WalkFacts) {
    let count = |counts: &mut [u64; Field::ALL.len()], fields: Fields| {
        if fields != Fields::default() {
            for (count, field) in counts.iter_mut().zip(Field::ALL) {
                *count += u64::from(fields.contains(field));
            }
        }
    };
    for record in records {
        count(&mut facts.rejected_values, record.rejected);
        count(&mut facts.assumed_values, record.assumed);
    }
}
