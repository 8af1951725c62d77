//! A snapshot counted: by registration, application, group and sub-account.

use std::{collections::BTreeMap, ops::AddAssign};

use super::Snapshot;

/// Endpoints by registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// `sip_registered` is true.
    pub registered: u64,
    /// It is false.
    pub unregistered: u64,
    /// It is neither.
    pub unknown: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.registered += other.registered;
        self.unregistered += other.unregistered;
        self.unknown += other.unknown;
    }
}

impl Counts {
    fn add(&mut self, registered: Option<bool>) {
        match registered {
            Some(true) => self.registered += 1,
            Some(false) => self.unregistered += 1,
            None => self.unknown += 1,
        }
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.registered + self.unregistered + self.unknown
    }
}

/// Every count of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SnapshotCounts {
    /// The whole account.
    pub all: Counts,
    /// By application id, sorted; "" holds the endpoints without one.
    pub applications: Vec<(String, Counts)>,
    /// By sub-account, sorted; "" is the main account.
    pub sub_accounts: Vec<(String, Counts)>,
    /// By index of the operator's group; the last entry holds the endpoints without a group.
    pub groups: Vec<Counts>,
}

impl Snapshot {
    /// Counts the snapshot. `groups` is how many groups the operator has.
    pub fn counts(&self, groups: usize) -> SnapshotCounts {
        let mut all = Counts::default();
        let mut applications = vec![Counts::default(); self.words.numbers()];
        let mut sub_accounts = applications.clone();
        let mut by_group = vec![Counts::default(); groups + 1];
        for record in &self.records {
            all.add(record.registered);
            applications[record.application as usize].add(record.registered);
            sub_accounts[record.sub_account as usize].add(record.registered);
            let group = usize::from(record.group)
                .checked_sub(1)
                .unwrap_or(groups)
                .min(groups);
            by_group[group].add(record.registered);
        }
        SnapshotCounts {
            all,
            applications: self.named(&applications),
            sub_accounts: self.named(&sub_accounts),
            groups: by_group,
        }
    }

    /// Counts by word as a sorted list. "No word" and the empty word are one entry, which is always
    /// there; the other words are there if any endpoint has them.
    fn named(&self, counts: &[Counts]) -> Vec<(String, Counts)> {
        let mut named = BTreeMap::from([(String::new(), Counts::default())]);
        for (number, count) in (0..).zip(counts) {
            if count.total() > 0 {
                let entry: &mut Counts = named
                    .entry(self.words.word(number).unwrap_or("").to_owned())
                    .or_default();
                *entry += *count;
            }
        }
        named.into_iter().collect()
    }
}
