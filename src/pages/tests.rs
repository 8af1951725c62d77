use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::sync::watch;

use super::{Page, PageRequest, PageResponse, Pages, Settings};
use crate::{
    clock::{Clock, UnixMillis},
    exposition::{AccountSummary, DataSource, EncodedBody, Encoding, Format},
    fleet::Threads,
    snapshot::{
        AccountState, Endpoint, Retention, Row, RowKey, Shown, Snapshot, SnapshotBuilder, WalkFacts,
    },
};

const NOW: i64 = 1_795_851_000_000;

/// The states of accounts, without an exposition.
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

/// A data source whose state is not loaded.
fn starting() -> Arc<dyn DataSource> {
    Arc::new(OnceLock::<Arc<crate::exposition::Exposition>>::new())
}

fn snapshot(endpoints: impl IntoIterator<Item = Endpoint>) -> Snapshot {
    let mut builder = SnapshotBuilder::new(false);
    for (number, endpoint) in (0..).zip(endpoints) {
        let row = Row {
            key: RowKey(number),
            content: Ok(endpoint),
        };
        builder.take(&row, number);
    }
    let facts = WalkFacts::new(UnixMillis(NOW), UnixMillis(NOW), Duration::ZERO);
    let list = builder.finish();
    list.build(None, facts, Retention::default(), &|_| None).0
}

fn endpoint(number: usize) -> Endpoint {
    Endpoint {
        id: format!("id{number:03}"),
        alias: Some(format!("Phone {}", number % 60)),
        username: Some(format!("user{}", 999 - number)),
        registered: (!number.is_multiple_of(3)).then_some(number.is_multiple_of(2)),
        ..Endpoint::default()
    }
}

fn pages(endpoints: impl IntoIterator<Item = Endpoint>) -> Pages {
    let state = AccountState {
        account: "main".into(),
        snapshot: Some(Arc::new(snapshot(endpoints))),
        shown: Arc::new(Shown {
            username: true,
            ..Shown::default()
        }),
        ..AccountState::default()
    };
    with(Arc::new(States(vec![Arc::new(state)])))
}

fn with(data: Arc<dyn DataSource>) -> Pages {
    let settings = watch::Sender::new(Settings::default()).subscribe();
    Pages::new(
        data,
        settings,
        None,
        Clock::anchored(UnixMillis(NOW)),
        Threads::start(),
    )
}

async fn ask(pages: &Pages, page: Page, query: &str) -> PageResponse {
    let request = PageRequest {
        page,
        query: query.to_owned(),
        root: ".".to_owned(),
        metrics_path: "/metrics".to_owned(),
        answer: None,
    };
    pages.respond(request).await
}

async fn html(pages: &Pages, page: Page, query: &str) -> String {
    match ask(pages, page, query).await {
        PageResponse::Html(html) => html,
        other => panic!("{query}: {other:?}"),
    }
}

/// The ids of the endpoints in the links of a list, in its order.
fn ids(page: &str) -> Vec<String> {
    let links = page.split("endpoints/main/").skip(1);
    links
        .map(|rest| rest.split('"').next().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn the_pages_of_each_order_have_each_endpoint_once() {
    let pages = pages((0..120).map(endpoint));
    for sort in ["alias", "username", "group", "registration", "expiry"] {
        let mut all = Vec::new();
        for order in ["", "desc"] {
            let mut found = Vec::new();
            for from in [0, 50, 100] {
                let query = format!("sort={sort}&order={order}&from={from}");
                let page = html(&pages, Page::Endpoints, &query).await;
                found.extend(ids(&page));
            }
            assert_eq!(
                found.iter().collect::<BTreeSet<_>>().len(),
                120,
                "{sort} {order}"
            );
            all.push(found);
        }
        if sort == "username" {
            let reversed: Vec<_> = all[1].iter().rev().cloned().collect();
            assert_eq!(all[0], reversed);
        }
    }
    // A page behind the end is the last one.
    let last = html(&pages, Page::Endpoints, "from=100").await;
    assert_eq!(
        ids(&html(&pages, Page::Endpoints, "from=5000").await),
        ids(&last)
    );
}

#[tokio::test]
async fn the_search_finds_parts_of_the_id_the_alias_and_the_username_in_any_case() {
    let named = |id: &str, alias: &str, username: &str| Endpoint {
        id: id.to_owned(),
        alias: Some(alias.to_owned()),
        username: Some(username.to_owned()),
        ..Endpoint::default()
    };
    let pages = pages([
        named("1", "Küche ÖST", "kitchen"),
        named("2", "Front desk", "Desk_2"),
        named("abc3", "", "x"),
    ]);
    for (text, expected) in [
        ("küche", &["1"][..]),
        ("öst", &["1"]),
        ("DESK", &["2"]),
        ("ABC", &["abc3"]),
        ("c", &["abc3", "1"]),
        ("nothing", &[]),
        ("", &["abc3", "2", "1"]),
    ] {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("q", text)
            .finish();
        let found = ids(&html(&pages, Page::Endpoints, &query).await);
        let found: BTreeSet<_> = found.iter().map(String::as_str).collect();
        assert_eq!(found, expected.iter().copied().collect(), "{text}");
    }
}

#[tokio::test]
async fn unknown_values_of_filters_find_nothing_and_break_nothing() {
    let pages = pages((0..10).map(endpoint));
    for (query, number) in [
        ("account=other", 0),
        ("group=other", 0),
        ("group=(none)", 10),
        ("application=(none)&sub_account=(none)", 10),
        ("registration=unknown", 4),
        ("watch=other", 10),
        ("missed=yes", 0),
        ("from=-1&sort=other&order=other&more=x", 10),
        ("q=%FF%00&registration=%22%3E", 0),
    ] {
        let page = html(&pages, Page::Endpoints, query).await;
        assert_eq!(ids(&page).len(), number, "{query}");
        assert!(!page.contains("\">\""), "{query}");
    }
}

#[tokio::test]
async fn a_withdrawn_or_unread_account_says_so_and_shows_no_endpoint() {
    let unread = AccountState {
        account: "new".into(),
        ..AccountState::default()
    };
    let withdrawn = AccountState {
        account: "main".into(),
        snapshot: Some(Arc::new(snapshot((0..5).map(endpoint)))),
        withdraw_at: Some(tokio::time::Instant::now()),
        last_success: Some(crate::snapshot::LastSuccess::new(
            UnixMillis(NOW),
            Duration::ZERO,
        )),
        ..AccountState::default()
    };
    let pages = with(Arc::new(States(vec![
        Arc::new(unread),
        Arc::new(withdrawn),
    ])));
    let page = html(&pages, Page::Endpoints, "").await;
    assert_eq!(ids(&page).len(), 0);
    assert!(
        page.contains("account main are not shown: its data is too old"),
        "{page}"
    );
    assert!(
        page.contains("account new are not shown: no walk has been published"),
        "{page}"
    );
    let page = html(&pages, Page::Overview, "").await;
    assert!(
        page.contains("the data is no longer shown") && page.contains("first walk under way"),
        "{page}"
    );
    let one = Page::Endpoint {
        account: "main".to_owned(),
        id: "id001".to_owned(),
    };
    let page = html(&pages, one, "").await;
    assert!(
        page.contains("Shown in metrics") && !page.contains("vobiz_endpoint_info"),
        "{page}"
    );
}

#[tokio::test]
async fn before_the_state_is_loaded_no_page_is_shown() {
    let response = ask(&with(starting()), Page::Overview, "").await;
    assert!(
        matches!(response, PageResponse::Unavailable(_)),
        "{response:?}"
    );
}
