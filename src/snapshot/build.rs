//! How a finished reading becomes the next snapshot.
//!
//! What only time can tell is decided here and nowhere else: since when a registration is lost, who
//! is retained, and what has changed.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Changes, EndpointList, EndpointView, Retention, Snapshot, Transition, WalkFacts,
    packed::{Interner, MaybeTime, Record, TextRange},
    removed::Removed,
};
use crate::api::{Field, Fields};

/// Finds the operator's group of an endpoint.
type GroupOf<'a> = &'a dyn Fn(&EndpointView<'_>) -> Option<u16>;

impl EndpointList {
    /// Makes the next snapshot.
    ///
    /// `facts` describe the walk; its counts of retained endpoints and of values are filled in here.
    /// `group_of` is asked only for endpoints that are new or look different than before.
    pub fn build(
        self,
        previous: Option<&Snapshot>,
        mut facts: WalkFacts,
        retention: Retention,
        group_of: GroupOf<'_>,
    ) -> (Snapshot, Changes) {
        let Self {
            mut records,
            mut texts,
            mut words,
            mut application_names,
            ..
        } = self;
        let mut changes = Changes::default();
        let mut remembered = Arc::default();
        count_values(&records, &mut facts);
        if let Some(snapshot) = previous {
            remembered = Arc::clone(&snapshot.removed);
            let mut past = Past {
                snapshot,
                facts: &facts,
                group_of,
                changes: &mut changes,
                remembered: &mut remembered,
            };
            let lacking = past.meet(&mut records, &mut texts, &words);
            let (retained, removed) = retention.retained(lacking, snapshot, &facts);
            changes.removed = removed.len() as u64;
            facts.retained = retained.len() as u64;
            let removed = removed.into_iter().map(|old| (old, &*snapshot.texts));
            Removed::add(&mut remembered, removed, facts.ended);
            carry_names(&retained, snapshot, &mut application_names);
            add(
                &mut records,
                retained,
                (&snapshot.texts, &snapshot.words),
                (&mut texts, &mut words),
            );
        } else {
            for record in &mut records {
                record.group = group_number(group_of(&record.view(&texts, &words)));
            }
        }
        (
            Snapshot {
                records,
                texts,
                words,
                application_names,
                removed: remembered,
                walk: facts,
            },
            changes,
        )
    }
}

/// The snapshot before, as the new records meet it.
struct Past<'a, 'b> {
    snapshot: &'a Snapshot,
    facts: &'b WalkFacts,
    group_of: GroupOf<'b>,
    changes: &'b mut Changes,
    /// What is remembered of endpoints that are not in the snapshot.
    remembered: &'b mut Arc<Removed>,
}

impl<'a> Past<'a, '_> {
    /// Gives every new record its past; returns the old records that no new one continues.
    fn meet(
        &mut self,
        records: &mut [Record],
        texts: &mut String,
        words: &Interner,
    ) -> Vec<&'a Record> {
        let snapshot = self.snapshot;
        let mut left = Vec::new();
        let mut old_records = snapshot.records.iter().peekable();
        for record in records {
            let id = record.id.of(texts);
            while let Some(gone) = old_records.next_if(|old| old.id.of(&snapshot.texts) < id) {
                left.push(gone);
            }
            if let Some(old) = old_records.next_if(|old| old.id.of(&snapshot.texts) == id) {
                self.go_on(record, old, texts, words);
            } else {
                self.changes.added += 1;
                record.group = group_number((self.group_of)(&record.view(texts, words)));
                if let Some(past) = Removed::take(self.remembered, id, self.facts.ended) {
                    self.carry_state(record, past.last_known, past.lost_at, texts, words);
                }
            }
        }
        left.extend(old_records);
        left
    }

    /// Gives a record what only its past can tell, and notes what has changed.
    fn go_on(&mut self, record: &mut Record, old: &Record, texts: &mut String, words: &Interner) {
        let before = old.view(&self.snapshot.texts, &self.snapshot.words);
        if record.username.of(texts).is_empty() {
            record.username = TextRange::append(texts, before.username);
        }
        let now = record.view(texts, words);
        let looks_the_same = now.alias == before.alias
            && now.username == before.username
            && now.application == before.application
            && now.sub_account == before.sub_account;
        let group = if looks_the_same {
            old.group
        } else {
            group_number((self.group_of)(&now))
        };
        self.changes.application += u64::from(now.application != before.application);

        record.group = group;
        self.carry_state(record, old.last_known, old.lost_at, texts, words);
    }

    /// Gives a record the registration state that it had before, and notes a loss or a return.
    fn carry_state(
        &mut self,
        record: &mut Record,
        last_known: Option<bool>,
        mut lost_at: MaybeTime,
        texts: &str,
        words: &Interner,
    ) {
        match (last_known, record.registered) {
            (Some(true), Some(false)) => {
                lost_at = Some(self.facts.started_at).into();
                self.changes.lost += 1;
                self.tell(&record.view(texts, words), record.group, lost_at);
            }
            (Some(false), Some(true)) => {
                self.changes.gained += 1;
                self.tell(&record.view(texts, words), record.group, lost_at);
                lost_at = MaybeTime::UNKNOWN;
            }
            (_, Some(true)) => lost_at = MaybeTime::UNKNOWN,
            (_, Some(false) | None) => {}
        }
        record.lost_at = lost_at;
        // An unknown state is bridged: a phone that was registered, then unknown, then unregistered
        // has been lost.
        record.last_known = record.registered.or(last_known);
    }

    fn tell(&mut self, now: &EndpointView<'_>, group: u16, lost_at: MaybeTime) {
        if self.changes.transitions.len() < Changes::LISTED {
            self.changes.transitions.push(Transition {
                id: now.id.to_owned(),
                alias: now.alias.to_owned(),
                username: now.username.to_owned(),
                group: group.checked_sub(1),
                registered: now.registered == Some(true),
                lost_at: lost_at.get(),
            });
        }
    }
}

/// Adds retained records, which keep their order among the others.
fn add(
    records: &mut Vec<Record>,
    retained: Vec<Record>,
    from: (&str, &Interner),
    to: (&mut String, &mut Interner),
) {
    if retained.is_empty() {
        return;
    }
    let ((old_texts, old_words), (texts, words)) = (from, to);
    let retained = retained.into_iter();
    records
        .extend(retained.map(|record| record.moved(old_texts, texts).renumbered(old_words, words)));
    records.sort_by(|a, b| a.id.of(texts).cmp(b.id.of(texts)));
}

/// Names the applications of retained records as before, where the new rows do not name them.
fn carry_names(retained: &[Record], snapshot: &Snapshot, names: &mut BTreeMap<String, String>) {
    for record in retained {
        if let Some(id) = snapshot.words.word(record.application)
            && !names.contains_key(id)
            && let Some(name) = snapshot.application_names.get(id)
        {
            names.insert(id.to_owned(), name.clone());
        }
    }
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
