//! Lists as CSV with slow clients, and accounts without a list of endpoints.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use tokio::time::sleep;

use super::{Answer, ApiRequest, Csv, Refusal, WebApi};
use crate::{
    clock::{Clock, UnixMillis},
    config::PagesLevel,
    exposition::{AccountSummary, DataSource, EncodedBody, Encoding, Format},
    fleet::Threads,
    snapshot::{
        AccountState, Endpoint, Retention, Row, RowKey, Snapshot, SnapshotBuilder, WalkFacts,
        WalkHistory, WalkRecord, WalkResult,
    },
};

const NOW: UnixMillis = UnixMillis(1_795_851_000_000);
const MAX_AGE: Duration = Duration::from_secs(300);
/// More rows than the parts that a client can get ahead of its reading.
const ENDPOINTS: usize = 5000;

struct States(Vec<Arc<AccountState>>);

impl DataSource for States {
    fn body(&self, _: Format, _: Encoding) -> Option<EncodedBody> {
        None
    }

    fn accounts(&self) -> Option<Vec<AccountSummary>> {
        None
    }

    fn states(&self) -> Option<Vec<Arc<AccountState>>> {
        Some(self.0.clone())
    }
}

/// A snapshot with these endpoints.
fn snapshot<T: Into<String>>(ids: impl IntoIterator<Item = T>) -> Snapshot {
    let mut builder = SnapshotBuilder::new(false);
    for (key, id) in (0..).zip(ids) {
        let endpoint = Endpoint {
            id: id.into(),
            ..Endpoint::default()
        };
        let row = Row {
            key: RowKey(key),
            content: Ok(endpoint),
        };
        builder.take(&row, key);
    }
    let facts = WalkFacts::new(NOW, NOW, Duration::ZERO);
    let list = builder.finish();
    list.build(None, facts, Retention::default(), &|_| None).0
}

/// An account with so many endpoints.
fn account(name: &str, endpoints: usize) -> AccountState {
    let ids = (0..endpoints).map(|number| format!("id{number:05}"));
    AccountState {
        account: name.into(),
        snapshot: Some(Arc::new(snapshot(ids))),
        ..AccountState::default()
    }
}

/// An account whose first walk failed at the time `started_at`.
fn failing(name: &str, started_at: UnixMillis) -> AccountState {
    let walk = WalkRecord {
        started_at,
        duration: Duration::from_secs(1),
        pages: 0,
        retries: 0,
        result: WalkResult::Failed {
            reason: "network",
            status: None,
            detail: "".into(),
        },
    };
    AccountState {
        account: name.into(),
        walks: WalkHistory::default().with(walk),
        up: Some(false),
        failure: Some("network"),
        max_age: MAX_AGE,
        ..AccountState::default()
    }
}

fn api(states: impl IntoIterator<Item = AccountState>) -> WebApi {
    let states = states.into_iter().map(Arc::new).collect();
    let clock = Clock::anchored(NOW);
    WebApi::new(Arc::new(States(states)), None, clock, Threads::start())
}

async fn csv(api: &WebApi) -> Result<Csv, Refusal> {
    let request = ApiRequest {
        path: "/endpoints".to_owned(),
        query: "format=csv".to_owned(),
        base: String::new(),
        level: PagesLevel::Full,
    };
    match api.respond(&request).await? {
        Answer::Csv(csv) => Ok(csv),
        Answer::Json(_) => panic!("JSON"),
    }
}

/// The number of lines of a list that a client reads to its end.
async fn lines(csv: Csv) -> Result<usize, Refusal> {
    let parts: Vec<_> = csv.parts.collect().await;
    let mut lines = 0;
    for part in parts {
        lines += String::from_utf8_lossy(&part?).lines().count();
    }
    Ok(lines)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_its_list_ends_after_ten_seconds() {
    let api = api([account("main", ENDPOINTS)]);
    let stalled = [csv(&api).await.unwrap(), csv(&api).await.unwrap()];
    assert!(
        csv(&api).await.is_err(),
        "both places are taken for five seconds"
    );
    sleep(Duration::from_secs(6)).await;
    let good = csv(&api).await.unwrap();
    assert_eq!(lines(good).await, Ok(1 + ENDPOINTS));
    for csv in stalled {
        // The list is not complete, and the client can see that.
        assert!(lines(csv).await.is_err());
    }
}

#[tokio::test]
async fn a_list_as_csv_says_what_it_lacks() {
    let api = api([account("main", 3), failing("branch", NOW)]);
    let csv = csv(&api).await.unwrap();
    assert!(csv.warnings[0].contains("branch"), "{:?}", csv.warnings);
    assert_eq!(lines(csv).await, Ok(4));
}

#[tokio::test]
async fn an_account_without_a_list_costs_the_others_their_targets_only_for_the_maximum_age() {
    let targets = async |started_at| {
        let api = api([account("main", 2), failing("branch", started_at)]);
        api.targets("").await
    };
    assert!(matches!(targets(NOW).await, Err(Refusal::Unavailable(_))));
    let found = targets(NOW.minus(MAX_AGE)).await.unwrap();
    let text = String::from_utf8_lossy(&found);
    assert!(
        text.contains("id00001") && !text.contains("branch"),
        "{text}"
    );
}

#[tokio::test]
async fn an_endpoint_that_no_probe_can_ask_for_is_no_target() {
    let mut odd = account("main", 0);
    odd.snapshot = Some(Arc::new(snapshot(["good", "a/b", ".."])));
    let found = api([odd]).targets("").await.unwrap();
    let text = String::from_utf8_lossy(&found);
    assert!(text.contains(r#""targets":["good"]"#), "{text}");
}
