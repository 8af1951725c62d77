use std::sync::Arc;

use super::{build, endpoint, minute};
use crate::{
    api::Endpoint,
    snapshot::{Details, LastSeen, LastSeenMap, Retention, Snapshot},
};

/// An endpoint as a list shows it while it is registered.
fn seen(id: &str) -> Endpoint {
    Endpoint {
        user_agent: Some("Phone 1".to_owned()),
        expires_at: Some(minute(60)),
        ..endpoint(id, Some(true))
    }
}

/// The snapshot after another walk, and the last values of its endpoints.
fn walked(
    at: i64,
    endpoints: impl IntoIterator<Item = Endpoint>,
    (before, known): (&Snapshot, &Arc<LastSeenMap>),
) -> (Snapshot, Arc<LastSeenMap>) {
    let (after, _) = build(at, endpoints, Some(before), Retention::default());
    let last = after.last_seen(Some(before), &Details::new(), known);
    (after, last)
}

#[test]
fn a_lost_endpoint_keeps_its_user_agent_and_expiry_until_it_returns() {
    let none = Arc::<LastSeenMap>::default();
    let (first, _) = build(0, ["a", "b", "c"].map(seen), None, Retention::default());
    let off = |id| endpoint(id, Some(false));
    let (second, last) = walked(
        1,
        [off("a"), seen("b"), endpoint("c", None)],
        (&first, &none),
    );
    let expected = LastSeen {
        user_agent: Some("Phone 1".into()),
        expires_at: Some(minute(60)),
    };
    assert_eq!(last.keys().map(|id| &**id).collect::<Vec<_>>(), ["a", "c"]);
    assert!(last.values().all(|one| *one == expected));

    let rows = [off("a"), seen("b"), endpoint("c", None), off("new")];
    let (third, same) = walked(2, rows, (&second, &last));
    assert!(Arc::ptr_eq(&same, &last), "nothing is copied");
    // `a` returns, and `c` is gone from the list.
    let (_, last) = walked(3, [seen("a"), seen("b")], (&third, &same));
    assert_eq!(*last, LastSeenMap::new());
}

#[test]
fn a_user_agent_that_the_row_still_has_is_not_kept() {
    let none = Arc::<LastSeenMap>::default();
    let row = |registered| Endpoint {
        user_agent: Some("Phone 1".to_owned()),
        ..endpoint("a", Some(registered))
    };
    let (first, _) = build(0, [row(true)], None, Retention::default());
    let (_, last) = walked(1, [row(false)], (&first, &none));
    assert_eq!(*last, LastSeenMap::new());
}
