//! A finished reading.

use std::collections::BTreeMap;

use super::packed::{Interner, Record};

/// The distinct rows of a finished reading, sorted by id.
#[derive(Debug)]
pub struct EndpointList {
    pub(super) records: Vec<Record>,
    pub(super) texts: String,
    pub(super) words: Interner,
    pub(super) application_names: BTreeMap<String, String>,
}

impl EndpointList {
    /// Distinct endpoints.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// No endpoint at all?
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Id and `sip_registered` of every endpoint, in the order of ids.
    pub fn registrations(&self) -> impl Iterator<Item = (&str, Option<bool>)> {
        let records = self.records.iter();
        records.map(|record| (record.id.of(&self.texts), record.registered))
    }
}
