//! Tests of snapshots whose endpoints have details.

use std::{sync::Arc, time::Duration};

use super::builder;
use crate::{
    api::Endpoint,
    clock::UnixMillis,
    snapshot::{Detail, Details, EndpointView, Retention, Snapshot, WalkFacts},
};

const NOON: UnixMillis = UnixMillis(1_700_000_000_000);

fn endpoint(id: &str) -> Endpoint {
    Endpoint {
        id: id.to_owned(),
        registered: Some(true),
        ..Endpoint::default()
    }
}

/// The snapshot of a walk that started at noon.
fn snapshot(endpoints: impl IntoIterator<Item = Endpoint>) -> Snapshot {
    let facts = WalkFacts::new(NOON, NOON, Duration::ZERO);
    builder(endpoints)
        .finish()
        .build(None, facts, Retention::default(), &|_| None)
        .0
}

fn minutes(after_noon: u64) -> UnixMillis {
    NOON.plus(Duration::from_secs(60 * after_noon))
}

/// The detail of endpoint "2". The time of its retrieval is noon plus `at` minutes.
fn detail(snapshot: &Snapshot, at: u64, record: Endpoint) -> Details {
    let row = snapshot.endpoint("2").unwrap();
    let detail = Detail::new(record, &row, true, minutes(at));
    Details::from([("2".into(), Arc::new(detail))])
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
fn of_two_expiries_the_one_that_was_read_later_is_valid() {
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
    let before = UnixMillis(NOON.0 - 1);
    let earlier = Detail::new(record(Some(minutes(8))), &row, true, before);
    let earlier = Details::from([("2".into(), Arc::new(earlier))]);
    assert_eq!(shown(&snapshot, &earlier).expires_at, Some(minutes(5)));
}

#[test]
fn addresses_of_devices_are_not_stored_unless_configured() {
    let snapshot = snapshot(["1", "2", "3"].map(endpoint));
    let record = Endpoint {
        contact: Some("192.0.2.7".to_owned()),
        received: Some("198.51.100.9".to_owned()),
        ..endpoint("2")
    };
    let row = snapshot.endpoint("2").unwrap();
    let detail = Detail::new(record, &row, false, NOON);
    let details = Details::from([("2".into(), Arc::new(detail))]);
    let shown = shown(&snapshot, &details);
    assert_eq!((shown.contact, shown.received), (None, None));
}

#[test]
fn a_detail_applies_until_its_row_changes() {
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
