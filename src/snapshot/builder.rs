//! What one reading has brought so far.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::{BuildHasherDefault, Hasher},
};

use super::{
    EndpointList,
    packed::{Interner, Record},
};
use crate::api::{Endpoint, Row, RowKey};

/// Room is made for this many endpoints at most, whatever a count promises.
const MOST_EXPECTED: usize = 200_000;

/// The rows of one reading of the list, in any order. Of two rows with one id the later one wins.
#[derive(Debug, Default)]
pub struct SnapshotBuilder {
    /// Are the addresses of people's devices wanted at all?
    with_contacts: bool,
    records: Vec<Record>,
    /// Where each record's row stood.
    positions: Vec<u64>,
    texts: String,
    words: Interner,
    application_names: BTreeMap<String, String>,
    index: HashMap<RowKey, u32, BuildHasherDefault<KeyHasher>>,
    repeated: HashSet<RowKey>,
}

impl SnapshotBuilder {
    /// A reading of nothing. Without `with_contacts` the addresses of devices are not even kept.
    pub fn new(with_contacts: bool) -> Self {
        Self {
            with_contacts,
            ..Self::default()
        }
    }

    /// About this many endpoints will come, each as large as those that came already: makes room
    /// once, because growing by doubling would hold every text twice for a moment.
    pub fn expect(&mut self, endpoints: u64) {
        let endpoints = usize::try_from(endpoints)
            .unwrap_or(usize::MAX)
            .min(MOST_EXPECTED);
        let more = endpoints.saturating_sub(self.records.len());
        let text_per_row = self.texts.len() / self.records.len().max(1) + 1;
        self.records.reserve_exact(more);
        self.positions.reserve_exact(more);
        self.texts.reserve_exact(more.saturating_mul(text_per_row));
        self.index.reserve(more);
    }

    /// Takes a row that stood at `position` of the list (the page's offset plus its index). A row
    /// without a record leaves nothing.
    pub fn take(&mut self, row: &Row, position: u64) {
        if let Ok(endpoint) = &row.content {
            self.take_endpoint(endpoint, row.key, position);
        }
    }

    fn take_endpoint(&mut self, endpoint: &Endpoint, key: RowKey, position: u64) {
        if let Some(application) = &endpoint.application
            && let Some(name) = &application.name
        {
            // Rows may contradict each other, for example while an application is renamed. The
            // smallest name is kept, so that the order in which pages arrive does not matter.
            self.application_names
                .entry(application.id.clone())
                .and_modify(|known| {
                    if name < known {
                        known.clone_from(name);
                    }
                })
                .or_insert_with(|| name.clone());
        }
        let record = Record::pack(
            endpoint,
            self.with_contacts,
            &mut self.texts,
            &mut self.words,
        );
        let Some(&at) = self.index.get(&key) else {
            self.index
                .insert(key, u32::try_from(self.records.len()).unwrap_or(u32::MAX));
            self.records.push(record);
            self.positions.push(position);
            return;
        };
        let at = at as usize;
        if self.positions[at] != position {
            self.repeated.insert(key);
        }
        self.records[at] = record;
        self.positions[at] = position;
    }

    /// Distinct endpoints so far.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Nothing so far?
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Ids that stood at more than one place of the list during this reading: the list moved under
    /// the reader, or it really has two rows with this id.
    pub fn repeated(&self) -> &HashSet<RowKey> {
        &self.repeated
    }

    /// Ends the reading.
    pub fn finish(self) -> EndpointList {
        let Self {
            mut records,
            texts,
            words,
            application_names,
            ..
        } = self;
        records.sort_unstable_by(|a, b| a.id.of(&texts).cmp(b.id.of(&texts)));
        // Whoever goes through the records goes through the texts too: in the same order, so that
        // memory is read from front to back.
        let mut in_order = String::with_capacity(texts.len());
        for record in &mut records {
            *record = record.moved(&texts, &mut in_order);
        }
        drop(texts);
        EndpointList {
            records,
            texts: in_order,
            words,
            application_names,
        }
    }
}

/// A [`RowKey`] is a hash already.
#[derive(Debug, Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}
