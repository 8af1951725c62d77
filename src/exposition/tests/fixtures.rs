//! Functions that build snapshots and account states, and functions that read bodies.

use std::{io::Read, sync::Arc, time::Duration};

use flate2::read::GzDecoder;
use tokio::time::Instant;

use crate::{
    clock::{Clock, UnixMillis},
    config::{self, Group},
    exposition::{EncodedBody, Encoding, Exposition, Format},
    snapshot::{
        AccountState, Application, Endpoint, EndpointView, LastSuccess, Publisher, Retention, Row,
        RowKey, Shown, Snapshot, SnapshotBuilder, WalkFacts, channel,
    },
    telemetry::Instruments,
};

pub(super) const MAX_AGE: Duration = Duration::from_secs(300);

/// A fixed timestamp plus `seconds`.
pub(super) fn at(seconds: i64) -> UnixMillis {
    UnixMillis(1_732_200_000_000 + seconds * 1000)
}

/// The groups of a configuration.
pub(super) fn groups(yaml: &str) -> Vec<Group> {
    let account = format!("accounts: [{{name: main, auth_id: a, auth_token: t, groups: {yaml}}}]");
    let mut config = config::load_yaml(&account, &[]).unwrap().config;
    config.accounts.remove(0).groups
}

pub(super) fn facts(ended: i64) -> WalkFacts {
    WalkFacts {
        pages: 2,
        reported: Some(5),
        ..WalkFacts::new(at(ended - 2), at(ended), Duration::from_millis(2_250))
    }
}

/// A snapshot of these endpoints. Endpoints with an alias that begins with `BLR` belong to the first group.
pub(super) fn snapshot(
    endpoints: impl IntoIterator<Item = Endpoint>,
    previous: Option<&Snapshot>,
    facts: WalkFacts,
) -> Arc<Snapshot> {
    let mut builder = SnapshotBuilder::new(true);
    for (position, endpoint) in (0..).zip(endpoints) {
        let key = RowKey(position);
        let content = Ok(endpoint);
        builder.take(&Row { key, content }, position);
    }
    let group = |view: &EndpointView<'_>| view.alias.starts_with("BLR").then_some(0);
    let (snapshot, _) = builder
        .finish()
        .build(previous, facts, Retention::default(), &group);
    Arc::new(snapshot)
}

/// `count` endpoints; every third endpoint is unregistered.
pub(super) fn phones(count: u64) -> impl Iterator<Item = Endpoint> {
    (0..count).map(|number| Endpoint {
        id: (9_007_199_254_740_993 + number).to_string(),
        username: Some(format!("phone{number}")),
        alias: Some(format!("Phone {number}")),
        registered: Some(number % 3 != 0),
        user_agent: Some(format!("Phone/{}", number % 4)),
        application: (number % 2 == 0).then(|| Application {
            id: (number % 6).to_string(),
            name: None,
        }),
        ..Endpoint::default()
    })
}

pub(super) fn shown() -> Shown {
    Shown {
        username: true,
        user_agent: true,
        ..Shown::default()
    }
}

/// The state of an account whose first walk has not finished.
pub(super) fn fresh(account: &str) -> AccountState {
    AccountState {
        account: account.into(),
        shown: Arc::new(shown()),
        poll_interval: Duration::from_secs(60),
        max_age: MAX_AGE,
        ..AccountState::default()
    }
}

/// The state of an account after a successful walk that has just ended.
pub(super) fn good(account: &str, snapshot: Arc<Snapshot>) -> AccountState {
    let (now, new) = (Instant::now(), fresh(account));
    AccountState {
        last_success: Some(LastSuccess::new(snapshot.walk.ended_at, Duration::ZERO)),
        snapshot: Some(snapshot),
        up: Some(true),
        stale_at: Some(now + new.poll_interval * 3),
        withdraw_at: Some(now + MAX_AGE),
        ..new
    }
}

/// The state of an account after a failed walk. `before` is its state before this walk.
pub(super) fn failed(before: &AccountState, reason: &'static str) -> AccountState {
    AccountState {
        up: Some(false),
        failure: Some(reason),
        ..before.clone()
    }
}

/// An exposition of these accounts, with all their counters at 0.
pub(super) fn exposition(
    states: impl IntoIterator<Item = AccountState>,
) -> (Arc<Exposition>, Vec<Publisher>) {
    let instruments = Instruments::new();
    let channels = states.into_iter().map(|state| {
        instruments.account(&state.account);
        channel(state)
    });
    let (publishers, readers): (Vec<_>, Vec<_>) = channels.unzip();
    (
        Exposition::new(readers, instruments, Clock::system()),
        publishers,
    )
}

/// The bytes of a body. Fails if their number differs from `Content-Length`.
pub(super) fn bytes(body: EncodedBody) -> Vec<u8> {
    let length = body.length;
    let pieces: Vec<_> = body.pieces.collect();
    let bytes = pieces.concat();
    assert_eq!(bytes.len() as u64, length, "Content-Length");
    bytes
}

/// The text that a client without compression receives.
pub(super) fn text(exposition: &Exposition, format: Format) -> String {
    String::from_utf8(bytes(exposition.body(format, Encoding::Identity))).unwrap()
}

/// The text that a client with gzip receives. Fails unless the body is one gzip member with a
/// correct checksum and length.
pub(super) fn inflated(exposition: &Exposition, format: Format) -> String {
    let compressed = bytes(exposition.body(format, Encoding::Gzip));
    let mut decoder = GzDecoder::new(&compressed[..]);
    let mut text = String::new();
    decoder.read_to_string(&mut text).unwrap();
    assert!(decoder.into_inner().is_empty(), "bytes after the member");
    text
}
