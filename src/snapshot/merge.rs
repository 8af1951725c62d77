//! Merges the rows of a walk with the previous snapshot, and counts what has changed.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

use super::{
    history::History,
    packed_records::{EndpointView, Record, TextRange, Texts},
    retention::{Removed, Retention},
    snapshot::{Differences, EndpointList, Position, Snapshot, WalkFacts, next_version},
};
use crate::{
    api::{Field, Fields, Row, RowKey},
    clock::UnixMillis,
};

/// The maximum number of endpoints for which memory is reserved, even if `total_count` is larger.
const MAX_EXPECTED: usize = 200_000;

/// Collects the rows of one walk, in any order. If two rows have the same id, the last added row is kept.
#[derive(Debug, Default)]
pub struct SnapshotBuilder {
    /// Whether the addresses of devices, which are personal data, are stored.
    with_contacts: bool,
    list: EndpointList,
    /// The index of each row's record in `list`, and the position of the row in the API's list.
    index: HashMap<RowKey, (usize, u64)>,
    repeated: HashSet<RowKey>,
}

impl SnapshotBuilder {
    /// A builder without rows. Addresses of devices are stored only if `with_contacts` is true.
    pub fn new(with_contacts: bool) -> Self {
        Self {
            with_contacts,
            ..Self::default()
        }
    }

    /// Reserves memory for `endpoints` in total. Estimates the size of their texts from the endpoints so far.
    /// Without the reservation, a growing buffer would copy its texts, and briefly hold every text twice.
    pub fn expect(&mut self, endpoints: u64) {
        let EndpointList { records, texts, .. } = &mut self.list;
        let endpoints = usize::try_from(endpoints).unwrap_or(usize::MAX);
        let more = endpoints.min(MAX_EXPECTED).saturating_sub(records.len());
        let text_per_row = texts.unique.len() / records.len().max(1) + 1;
        records.reserve_exact(more);
        texts
            .unique
            .reserve_exact(more.saturating_mul(text_per_row));
        self.index.reserve(more);
    }

    /// Adds `row`, unless `api` rejected it. `position` is the page's offset plus the row's index in the page.
    pub fn take(&mut self, row: &Row, position: u64) {
        let Ok(endpoint) = &row.content else { return };
        let list = &mut self.list;
        if let Some(application) = &endpoint.application
            && let Some(name) = &application.name
        {
            // Rows may have different names for one application, for example while it is renamed. The name that
            // sorts first is kept, so the order in which pages arrive has no effect.
            let known = list.application_names.entry(application.id.clone());
            let known = known.or_insert_with(|| name.clone());
            if name < known {
                known.clone_from(name);
            }
        }
        let record = Record::pack(endpoint, self.with_contacts, &mut list.texts);
        match self.index.entry(row.key) {
            Entry::Occupied(mut known) => {
                let (at, earlier) = *known.get();
                if earlier != position {
                    self.repeated.insert(row.key);
                }
                known.insert((at, position));
                list.records[at] = record;
            }
            Entry::Vacant(new) => {
                new.insert((list.records.len(), position));
                list.records.push(record);
            }
        }
    }

    /// The number of distinct endpoints so far.
    pub fn endpoints(&self) -> u64 {
        self.list.records.len() as u64
    }

    /// Ids at several positions. Either the list changed during the walk, or two rows have the same id.
    pub fn repeated(&self) -> &HashSet<RowKey> {
        &self.repeated
    }

    /// Returns the list, sorted by endpoint id.
    pub fn finish(self) -> EndpointList {
        let mut list = self.list;
        list.sort();
        // Texts are stored in the order of records, so that readers access memory sequentially.
        let size = list.texts.unique.len();
        let unordered = std::mem::replace(&mut list.texts.unique, String::with_capacity(size));
        for record in &mut list.records {
            record.move_texts(&unordered, &mut list.texts.unique);
        }
        list
    }
}

/// Differences between a snapshot and the previous snapshot. The first snapshot has no differences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Endpoints that changed from registered to unregistered.
    pub lost: u64,
    /// Endpoints that changed from unregistered to registered.
    pub gained: u64,
    /// Endpoints that are not in the previous snapshot.
    pub added: u64,
    /// Endpoints of the previous snapshot that the walk missed and that are not retained.
    pub removed: u64,
    /// Endpoints whose application was attached, replaced or detached.
    pub application: u64,
    /// Those of them whose application was detached.
    pub application_removed: u64,
    /// The changes of registrations, for the log.
    pub transitions: Vec<Transition>,
}

impl Changes {
    fn count_application(&mut self, has_changed: bool, has_none: bool) {
        self.application += u64::from(has_changed);
        self.application_removed += u64::from(has_changed && has_none);
    }

    /// Gives `record` the history that follows the history `past` of its endpoint, and counts a change of the
    /// registration. Without `past`, the history begins with this walk, whose start is `now`.
    fn carry_history(
        &mut self,
        record: &mut Record,
        past: Option<History>,
        now: UnixMillis,
        texts: &Texts,
    ) {
        let Some(past) = past else {
            record.history = History::new(record.registered, now);
            return;
        };
        record.history = past.next(record.registered, now);
        if past.last_known.is_none() || past.last_known == record.history.last_known {
            return;
        }
        let is_gain = record.history.last_known == Some(true);
        *(if is_gain {
            &mut self.gained
        } else {
            &mut self.lost
        }) += 1;
        let lost_at = past.lost_at().or(record.history.lost_at());
        let id = texts.get(record.id).to_owned();
        self.transitions.push(Transition { id, lost_at });
    }
}

/// An endpoint that lost its registration or became registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The id of the endpoint.
    pub id: String,
    /// The most recent time at which the registration was lost; `None` if no snapshot shows a loss.
    pub lost_at: Option<UnixMillis>,
}

/// A function that finds the configured group of an endpoint.
type GroupOf<'a> = &'a dyn Fn(&EndpointView<'_>) -> Option<u16>;

/// The form of a group in a record.
fn stored_group(group: Option<u16>) -> u16 {
    group.map_or(0, |index| index.saturating_add(1))
}

/// Whether the rows of an endpoint in two lists agree about its registration and its user agent.
fn has_same_row(before: &EndpointView<'_>, now: &EndpointView<'_>) -> bool {
    let has_same_agent = now.user_agent.is_none() || now.user_agent == before.user_agent;
    has_same_agent && now.registered == before.registered && !before.retained
}

impl EndpointList {
    /// Builds the next snapshot.
    ///
    /// This function adds to `facts` the numbers of retained endpoints, rejected values and times without zone.
    /// It calls `group_of` if an endpoint is new, or has a new alias, username, sub-account or application.
    pub fn build(
        mut self,
        previous: Option<&Snapshot>,
        mut facts: WalkFacts,
        retention: Retention,
        group_of: GroupOf<'_>,
    ) -> (Snapshot, Changes) {
        self.count_values(&mut facts);
        let mut removed = previous.map_or_else(Arc::default, |one| Arc::clone(&one.removed));
        let nothing = Self::default();
        let old = previous.map_or(&nothing, |previous| &previous.list);
        let walk_started = previous.map_or(facts.started_at, |one| one.walk.started_at);
        let earlier = (old, walk_started);
        let (absent, changed, mut changes) = self.merge(earlier, &mut removed, &facts, group_of);
        let mut differences = None;
        if let Some(previous) = previous {
            let passed = facts.ended.saturating_duration_since(previous.walk.ended);
            let (retained, gone) = retention.divide(absent, walk_started, passed);
            changes.removed = gone.len() as u64;
            facts.retained = retained.len() as u64;
            // Retained endpoints move the others, so the positions in `changed` are then wrong.
            differences = (retained.is_empty()).then(|| Differences {
                from: previous.version,
                changed,
                gone: gone
                    .iter()
                    .map(|one| old.texts.get(one.id).into())
                    .collect(),
            });
            let gone = Removed::entries(&gone, &old.texts, walk_started);
            Removed::add(&mut removed, gone, facts.ended_at);
            self.add_retained(retained, old, group_of);
        } else {
            changes = Changes::default();
        }
        let snapshot = Snapshot {
            list: self,
            removed,
            walk: facts,
            version: next_version(),
            differences,
        };
        (snapshot, changes)
    }

    /// Copies from `old`: groups, histories, and usernames that `self` lacks. Counts changes. `walk_started` is the
    /// start of the walk of `old`. New endpoints get a history from `removed`. Returns the old records that `self`
    /// lacks, and the positions of new and changed records in `self` and in `old`.
    fn merge<'a>(
        &mut self,
        (old, walk_started): (&'a Self, UnixMillis),
        removed: &mut Arc<Removed>,
        facts: &WalkFacts,
        group_of: GroupOf<'_>,
    ) -> (Vec<&'a Record>, Vec<Position>, Changes) {
        let (mut absent, mut changes) = (Vec::new(), Changes::default());
        let mut changed = Vec::new();
        let Self { records, texts, .. } = self;
        let group_of = |record: &Record, texts: &Texts| stored_group(group_of(&record.view(texts)));
        let id_of = |record: &Record| old.texts.get(record.id);
        let mut old_records = (0..).zip(&old.records).peekable();
        for (new, record) in (0..).zip(records) {
            let id = texts.get(record.id);
            while let Some((_, gone)) = old_records.next_if(|(_, old)| id_of(old) < id) {
                absent.push(gone);
            }
            let past: Option<History>;
            let mut known = None;
            let before = old_records.next_if(|(_, old)| id_of(old) == id);
            let old_number = before.map(|(number, _)| number);
            if let Some((_, before)) = before {
                past = Some(before.history.after(walk_started));
                record.group = before.group;
                known = Some(before.history);
                let before = before.view(&old.texts);
                if texts.get(record.username).is_empty() {
                    record.username = TextRange::append(&mut texts.unique, before.username);
                }
                let now = record.view(texts);
                let is_known = now.application_known && before.application_known;
                let is_same = is_known && now.application == before.application;
                changes.count_application(is_known && !is_same, now.application.is_none());
                // An unreadable application alone does not change the group of the endpoint.
                let has_same_names = now.names() == before.names();
                if !(is_same && has_same_names && has_same_row(&before, &now)) {
                    known = None;
                }
                let may_differ = !has_same_names || !old.has_groups;
                if may_differ || now.application_known && !is_same {
                    record.group = group_of(record, texts);
                }
            } else {
                past = Removed::take(removed, id, facts.ended_at);
                record.group = group_of(record, texts);
                changes.added += 1;
            }
            changes.carry_history(record, past, facts.started_at, texts);
            if known != Some(record.history) {
                changed.push(Position {
                    new,
                    old: old_number,
                });
            }
        }
        absent.extend(old_records.map(|(_, record)| record));
        (absent, changed, changes)
    }

    fn sort(&mut self) {
        let texts = &self.texts;
        self.records
            .sort_unstable_by(|a, b| texts.get(a.id).cmp(texts.get(b.id)));
    }

    fn count_values(&self, facts: &mut WalkFacts) {
        let none = Fields::default();
        let is_odd = |record: &&Record| record.rejected != none || record.assumed != none;
        for record in self.records.iter().filter(is_odd) {
            for (at, field) in Field::ALL.into_iter().enumerate() {
                facts.rejected_values[at] += u64::from(record.rejected.contains(field));
                facts.assumed_values[at] += u64::from(record.assumed.contains(field));
            }
        }
    }

    /// Adds retained records of the list `from`, and the names of their applications.
    fn add_retained(&mut self, retained: Vec<Record>, from: &Self, group_of: GroupOf<'_>) {
        if retained.is_empty() {
            return;
        }
        for mut record in retained {
            if !from.has_groups {
                record.group = stored_group(group_of(&record.view(&from.texts)));
            }
            if let Some(id) = from.texts.interned(record.application)
                && !self.application_names.contains_key(id)
                && let Some(name) = from.application_names.get(id)
            {
                self.application_names.insert(id.to_owned(), name.clone());
            }
            self.records
                .push(record.moved(&from.texts, &mut self.texts));
        }
        self.sort();
    }
}

impl Snapshot {
    /// A copy whose endpoints have the groups that `group_of` finds.
    #[must_use]
    pub fn with_groups(&self, group_of: GroupOf<'_>) -> Self {
        let mut list = self.list.clone();
        for record in &mut list.records {
            record.group = stored_group(group_of(&record.view(&list.texts)));
        }
        Self {
            // Groups are not stored, so nothing differs for the state database.
            differences: Some(Differences {
                from: self.version,
                changed: Vec::new(),
                gone: Vec::new(),
            }),
            ..Self::changed(list, Arc::clone(&self.removed), self.walk.clone())
        }
    }
}
