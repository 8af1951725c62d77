//! Counts the endpoints of a snapshot.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    ops::AddAssign,
};

use super::snapshot::{EndpointList, Snapshot};
use crate::config::{Group, GroupMatch};

impl Snapshot {
    /// Counts the endpoints. Their groups are indices into `groups`.
    pub fn counts(&self, groups: &[Group]) -> SnapshotCounts<'_> {
        let none = BTreeMap::from([("", Counts::default())]);
        let mut counts = SnapshotCounts {
            applications: none.clone(),
            sub_accounts: none,
            of_groups: self.group_counts(groups),
        };
        for endpoint in self.endpoints() {
            let one = Counts::one(endpoint.registered);
            let application = endpoint.application.unwrap_or("");
            *counts.applications.entry(application).or_default() += one;
            *counts.sub_accounts.entry(endpoint.sub_account).or_default() += one;
        }
        counts
    }

    /// Counts the endpoints of each group.
    pub fn group_counts(&self, groups: &[Group]) -> CountsOfGroups {
        let mut counts = CountsOfGroups {
            all: Counts::default(),
            groups: vec![GroupCounts::default(); groups.len()],
            without_group: Counts::default(),
        };
        for record in &self.list.records {
            let one = Counts::one(record.registered);
            counts.all += one;
            // 0 is for no group.
            let index = usize::from(record.group).wrapping_sub(1);
            let group = counts.groups.get_mut(index);
            let group = group.map(|group| &mut group.endpoints);
            *group.unwrap_or(&mut counts.without_group) += one;
        }
        let missing = self.missing_members(groups);
        for ((group, counts), missing) in groups.iter().zip(&mut counts.groups).zip(missing) {
            counts.missing_members = missing.map(|missing| missing.len() as u64);
            let (endpoints, missing) = (counts.endpoints.total(), counts.missing_members);
            counts.min_registered = group.least_registered(endpoints, missing);
        }
        counts
    }

    /// The number of endpoints of the group with this index; of the whole account without an index.
    pub fn total_of(&self, group: Option<usize>) -> u64 {
        let records = self.list.records.iter();
        let is_of = |number: u16| group.is_none_or(|at| usize::from(number) == at + 1);
        records.filter(|record| is_of(record.group)).count() as u64
    }

    /// The distinct ids of applications and the distinct sub-accounts. "" stands for endpoints without one.
    pub fn applications_and_sub_accounts(&self) -> [BTreeSet<&str>; 2] {
        let EndpointList { records, texts, .. } = &self.list;
        let applications = texts.distinct(records.iter().map(|one| one.application));
        [
            applications,
            texts.distinct(records.iter().map(|one| one.sub_account)),
        ]
    }

    /// For each group, the ids and usernames in its lists that no endpoint has; `None` for a group without lists.
    pub fn missing_members<'g>(&self, groups: &'g [Group]) -> Vec<Option<Vec<&'g str>>> {
        let mut usernames = HashSet::new();
        if groups.iter().any(|group| group.matches.usernames.is_some()) {
            usernames.extend(self.endpoints().map(|endpoint| endpoint.username));
        }
        let missing = |group: &'g Group| {
            let GroupMatch {
                endpoint_ids: ids,
                usernames: names,
                ..
            } = &group.matches;
            if ids.is_none() && names.is_none() {
                return None;
            }
            let ids = ids.iter().flatten().map(String::as_str);
            let ids = ids.filter(|id| self.number(id).is_none());
            let names = names.iter().flatten().map(String::as_str);
            let names = names.filter(|name| !usernames.contains(name));
            Some(ids.chain(names).collect())
        };
        groups.iter().map(missing).collect()
    }
}

/// All counts of a snapshot.
#[derive(Debug)]
pub struct SnapshotCounts<'a> {
    /// Endpoints by application id. The key "" is always present, for endpoints without an application id.
    pub applications: BTreeMap<&'a str, Counts>,
    /// Endpoints by sub-account. The key "" is always present, for the main account.
    pub sub_accounts: BTreeMap<&'a str, Counts>,
    /// Endpoints by group.
    pub of_groups: CountsOfGroups,
}

/// The endpoints of an account by group.
#[derive(Debug, Clone)]
pub struct CountsOfGroups {
    /// Endpoints of the whole account.
    pub all: Counts,
    /// Endpoints by index of the configured group.
    pub groups: Vec<GroupCounts>,
    /// Endpoints that match no configured group.
    pub without_group: Counts,
}

/// The endpoints of one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GroupCounts {
    /// Endpoints by registration.
    pub endpoints: Counts,
    /// The number of listed members that do not exist; `None` for a group without lists.
    pub missing_members: Option<u64>,
    /// The least number of registered endpoints; `None` if the group needs none.
    pub min_registered: Option<u64>,
}

/// Numbers of endpoints by registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Endpoints whose `sip_registered` is true.
    pub registered: u64,
    /// Endpoints whose `sip_registered` is false.
    pub unregistered: u64,
    /// Endpoints whose `sip_registered` is neither true nor false.
    pub unknown: u64,
}

impl Counts {
    fn one(registered: Option<bool>) -> Self {
        Self {
            registered: u64::from(registered == Some(true)),
            unregistered: u64::from(registered == Some(false)),
            unknown: u64::from(registered.is_none()),
        }
    }

    /// The sum of the three numbers.
    pub fn total(&self) -> u64 {
        self.registered + self.unregistered + self.unknown
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.registered += other.registered;
        self.unregistered += other.unregistered;
        self.unknown += other.unknown;
    }
}
