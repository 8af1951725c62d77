//! What single endpoints told of themselves, beside the snapshot that the list gave.
//!
//! The list alone decides who is registered. A detail adds what a row may lack: when the registration
//! expires, what the client calls itself, and where it is.

use std::{
    collections::{BTreeMap, btree_map},
    hash::{DefaultHasher, Hash, Hasher},
    iter::Peekable,
    sync::Arc,
};

use tokio::time::Instant;

use super::{EndpointView, Snapshot};
use crate::{api::Endpoint, clock::UnixMillis};

/// An endpoint's own record, as far as it adds to its row.
#[derive(Debug, Clone, PartialEq)]
pub struct Detail {
    /// When it arrived, as wall time; shown.
    pub retrieved_at: UnixMillis,
    /// The same moment by the clock that nobody sets; ages are told from here.
    pub retrieved: Instant,
    /// `sip_registration.expires`, or `sip_expires`.
    pub expires_at: Option<UnixMillis>,
    user_agent: Option<Box<str>>,
    contact: Option<Box<str>>,
    received: Option<Box<str>>,
    /// [`EndpointView::likeness`] of the row that it belongs to.
    likeness: u64,
}

/// The details of one account, in the order of ids. Never changes, as a snapshot does not; cheap to
/// copy with some more.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Details(BTreeMap<Arc<str>, Arc<Detail>>);

impl Detail {
    /// What `endpoint`, retrieved at this moment, adds to `row`. Without `with_contact`, addresses
    /// of devices are not even kept.
    pub fn new(
        endpoint: Endpoint,
        row: &EndpointView<'_>,
        with_contact: bool,
        retrieved_at: UnixMillis,
    ) -> Self {
        let address = |text: Option<String>| text.filter(|_| with_contact).map(Into::into);
        Self {
            retrieved_at,
            retrieved: Instant::now(),
            expires_at: endpoint.expires_at,
            user_agent: endpoint.user_agent.map(Into::into),
            contact: address(endpoint.contact),
            received: address(endpoint.received),
            likeness: row.likeness(),
        }
    }

    /// Does the row still look as it did when this was retrieved?
    pub fn is_of(&self, row: &EndpointView<'_>) -> bool {
        self.likeness == row.likeness()
    }
}

impl Details {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The detail of one endpoint.
    pub fn get(&self, id: &str) -> Option<&Detail> {
        self.0.get(id).map(|detail| &**detail)
    }

    /// These, with others that replace those of the same endpoint.
    #[must_use]
    pub fn with(&self, others: impl IntoIterator<Item = (Arc<str>, Detail)>) -> Self {
        let mut all = self.0.clone();
        all.extend(
            others
                .into_iter()
                .map(|(id, detail)| (id, Arc::new(detail))),
        );
        Self(all)
    }

    /// Those that may `stay`.
    #[must_use]
    pub fn only(&self, mut stay: impl FnMut(&str, &Detail) -> bool) -> Self {
        let all = self.0.iter().filter(|(id, detail)| stay(id, detail));
        Self(
            all.map(|(id, detail)| (id.clone(), detail.clone()))
                .collect(),
        )
    }
}

impl EndpointView<'_> {
    /// A fingerprint of what the list says about the endpoint itself, its registration aside. Good
    /// within one process.
    fn likeness(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let looks = (
            self.alias,
            self.username,
            self.application,
            self.sub_account,
        );
        looks.hash(&mut hasher);
        hasher.finish()
    }
}

impl<'a> EndpointView<'a> {
    /// The same endpoint with what its detail adds. Of two expiries the one that was read later
    /// holds; all else of the list goes first.
    fn with(self, detail: &'a Detail, walk_began: UnixMillis) -> Self {
        let told = detail.expires_at.filter(|_| self.registered == Some(true));
        let expires_at = if detail.retrieved_at >= walk_began {
            told.or(self.expires_at)
        } else {
            self.expires_at.or(told)
        };
        Self {
            expires_at,
            user_agent: self.user_agent.or(detail.user_agent.as_deref()),
            contact: self.contact.or(detail.contact.as_deref()),
            received: self.received.or(detail.received.as_deref()),
            detail_at: Some(detail.retrieved_at),
            ..self
        }
    }
}

impl Snapshot {
    /// Every endpoint in the order of ids, with what its detail adds.
    pub fn endpoints_with<'a>(
        &'a self,
        details: &'a Details,
    ) -> impl Iterator<Item = EndpointView<'a>> {
        Detailed {
            details: details.0.iter().peekable(),
            endpoints: self.endpoints(),
            walk_began: self.walk.started_at,
        }
    }
}

/// Snapshot and details, both in the order of ids, side by side.
struct Detailed<'a, I> {
    details: Peekable<btree_map::Iter<'a, Arc<str>, Arc<Detail>>>,
    endpoints: I,
    walk_began: UnixMillis,
}

impl<'a, I: Iterator<Item = EndpointView<'a>>> Iterator for Detailed<'a, I> {
    type Item = EndpointView<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let endpoint = self.endpoints.next()?;
        while self
            .details
            .next_if(|(id, _)| &***id < endpoint.id)
            .is_some()
        {}
        let own = self.details.next_if(|(id, _)| &***id == endpoint.id);
        Some(match own {
            Some((_, detail)) => endpoint.with(detail, self.walk_began),
            None => endpoint,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        api::{Row, RowKey},
        snapshot::{Retention, SnapshotBuilder, WalkFacts},
    };

    const NOON: UnixMillis = UnixMillis(1_700_000_000_000);

    fn endpoint(id: &str) -> Endpoint {
        Endpoint {
            id: id.to_owned(),
            registered: Some(true),
            ..Endpoint::default()
        }
    }

    /// A snapshot of a walk that began at noon.
    fn snapshot(endpoints: impl IntoIterator<Item = Endpoint>) -> Snapshot {
        let mut builder = SnapshotBuilder::new(true);
        for (position, endpoint) in (0..).zip(endpoints) {
            let key = RowKey(position);
            let content = Ok(endpoint);
            builder.take(&Row { key, content }, position);
        }
        let facts = WalkFacts::new(NOON, NOON, Duration::ZERO);
        builder
            .finish()
            .build(None, facts, Retention::Nothing, &|_| None)
            .0
    }

    fn minutes(after_noon: u64) -> UnixMillis {
        NOON.plus(Duration::from_secs(60 * after_noon))
    }

    /// What endpoint "2" says of itself so many minutes after noon.
    fn detail(snapshot: &Snapshot, at: u64, record: Endpoint) -> Details {
        let row = snapshot.endpoint("2").unwrap();
        let detail = Detail::new(record, &row, true, minutes(at));
        Details::default().with([("2".into(), detail)])
    }

    fn shown<'a>(snapshot: &'a Snapshot, details: &'a Details) -> EndpointView<'a> {
        let all: Vec<_> = snapshot.endpoints_with(details).collect();
        assert!(all.iter().map(|one| one.id).eq(["1", "2", "3"]));
        assert_eq!((all[0].detail_at, all[2].detail_at), (None, None));
        all[1]
    }

    #[test]
    fn a_detail_adds_what_the_row_lacks_and_nothing_else() {
        let snapshot = snapshot(["1", "2", "3"].map(endpoint));
        let record = Endpoint {
            registered: None,
            expires_at: Some(minutes(9)),
            user_agent: Some("Yealink".to_owned()),
            contact: Some("192.0.2.7".to_owned()),
            received: Some("198.51.100.9".to_owned()),
            alias: Some("another".to_owned()),
            ..endpoint("2")
        };
        let details = detail(&snapshot, 4, record);
        let row = snapshot.endpoint("2").unwrap();
        let expected = EndpointView {
            expires_at: Some(minutes(9)),
            user_agent: Some("Yealink"),
            contact: Some("192.0.2.7"),
            received: Some("198.51.100.9"),
            detail_at: Some(minutes(4)),
            ..row
        };
        assert_eq!(shown(&snapshot, &details), expected);
    }

    #[test]
    fn of_two_expiries_the_one_that_was_read_later_holds() {
        let row = Endpoint {
            expires_at: Some(minutes(5)),
            ..endpoint("2")
        };
        let snapshot = snapshot([endpoint("1"), row, endpoint("3")]);
        let record = |expires_at| Endpoint {
            expires_at,
            ..endpoint("2")
        };
        let later = detail(&snapshot, 3, record(Some(minutes(8))));
        assert_eq!(shown(&snapshot, &later).expires_at, Some(minutes(8)));
        let silent = detail(&snapshot, 3, record(None));
        assert_eq!(shown(&snapshot, &silent).expires_at, Some(minutes(5)));
        let row = snapshot.endpoint("2").unwrap();
        let earlier = Detail {
            retrieved_at: UnixMillis(NOON.0 - 1),
            ..Detail::new(record(Some(minutes(8))), &row, true, NOON)
        };
        let earlier = Details::default().with([("2".into(), earlier)]);
        assert_eq!(shown(&snapshot, &earlier).expires_at, Some(minutes(5)));
    }

    #[test]
    fn addresses_of_devices_are_not_even_kept_where_nobody_wants_them() {
        let snapshot = snapshot(["1", "2", "3"].map(endpoint));
        let record = Endpoint {
            contact: Some("192.0.2.7".to_owned()),
            received: Some("198.51.100.9".to_owned()),
            ..endpoint("2")
        };
        let row = snapshot.endpoint("2").unwrap();
        let detail = Detail::new(record, &row, false, NOON);
        assert_eq!((detail.contact, detail.received), (None, None));
    }

    #[test]
    fn a_detail_belongs_to_its_row_until_the_row_says_something_else() {
        let before = snapshot(["1", "2", "3"].map(endpoint));
        let details = detail(&before, 1, endpoint("2"));
        let renamed = Endpoint {
            alias: Some("new".to_owned()),
            ..endpoint("2")
        };
        let after = snapshot([endpoint("1"), renamed, endpoint("3")]);
        let known = details.get("2").unwrap();
        assert!(known.is_of(&before.endpoint("2").unwrap()));
        assert!(!known.is_of(&after.endpoint("2").unwrap()));
    }
}
