//! A finished reading, and how far it is from the picture that is published.

use std::collections::BTreeMap;

use super::{
    Snapshot,
    pack::{Record, Words},
};
use crate::api::Rejection;

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
}
