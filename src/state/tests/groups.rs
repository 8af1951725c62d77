//! Events about groups: times of duty, and endpoints that move.

use super::*;
use crate::config;

/// The snapshot of a walk at `at` that finds the endpoint "1" with this alias, and the state that it is published with.
fn walked(at: i64, alias: &str, previous: Option<&Snapshot>, groups: &str) -> Arc<AccountState> {
    let yaml = format!("accounts: [{{name: main, auth_id: a, auth_token: t, groups: {groups}}}]");
    let loaded = config::load_yaml(&yaml, &[]).unwrap_or_else(|errors| panic!("{errors}"));
    let groups = loaded.config.accounts[0].groups.clone();
    let mut builder = SnapshotBuilder::new(false);
    let endpoint = Endpoint {
        id: "1".to_owned(),
        alias: Some(alias.to_owned()),
        ..Endpoint::default()
    };
    let content = Ok(endpoint);
    let key = RowKey(0);
    builder.take(&Row { key, content }, 0);
    let facts = WalkFacts::new(minute(at), minute(at), Duration::from_secs(1));
    let group_of = |one: &crate::snapshot::EndpointView<'_>| {
        (0..)
            .zip(&groups)
            .find(|(_, group)| one.alias.starts_with(&group.name))
            .map(|(at, _)| at)
    };
    let built = builder
        .finish()
        .build(previous, facts, Retention::default(), &group_of);
    let state = published(&Arc::new(built.0));
    let shown = Shown {
        groups,
        ..Shown::default()
    };
    Arc::new(AccountState {
        shown: Arc::new(shown),
        ..(*state).clone()
    })
}

/// The time in minutes, the kind and the detail of each event about a group.
fn group_events(directory: &Path) -> Vec<(i64, String, String)> {
    let connection = Connection::open(schema::path(directory)).unwrap();
    let select =
        "SELECT at, kind, detail FROM event WHERE kind LIKE 'duty%' OR kind = 'group' ORDER BY id";
    let mut select = connection.prepare(select).unwrap();
    let rows = select.query_map((), |row| {
        let at: i64 = row.get(0)?;
        Ok(((at - minute(0).0) / 60_000, row.get(1)?, row.get(2)?))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

#[test]
fn changes_of_duty_and_moves_to_another_group_are_events() {
    // Minute 0 is at 8:00 UTC.
    const GROUPS: &str = "[{name: shop, match: {alias: x}, duty: [{times: [{start_time: '08:10', end_time: '08:20'}]}]}, \
        {name: desk, match: {alias: x}}]";
    let folder = tempfile::tempdir().unwrap();
    let (mut process, _) = Process::start(folder.path(), minute(0));
    let mut previous = None;
    for (at, alias) in [
        (0, "shop 1"),
        (5, "shop 2"),
        (11, "desk 1"),
        (12, "desk 1"),
        (25, "nobody"),
    ] {
        let state = walked(at, alias, previous.as_deref(), GROUPS);
        assert!(process.0.save([Arc::clone(&state)]).unwrap().is_none());
        previous.clone_from(&state.snapshot);
    }
    // Other groups move no endpoint.
    let other = walked(
        26,
        "desk 1",
        previous.as_deref(),
        "[{name: desk, match: {alias: x}}]",
    );
    assert!(process.0.save([other]).unwrap().is_none());
    let event = |at, kind: &str, detail: &str| (at, kind.to_owned(), detail.to_owned());
    let expected = [
        event(10, "duty_started", "group shop"),
        event(11, "group", "shop to desk"),
        event(20, "duty_ended", "group shop"),
        event(25, "group", "desk to none"),
    ];
    assert_eq!(group_events(folder.path()), expected);
}
