//! Every query of every panel, asked of a Prometheus that scrapes two replicas of the exporter.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    board::{Board, Query, boards, filled},
    stage::{LOST, Stage},
    world::{BRANCH, BROWSERS, OVERDUE, PHONES},
};
use crate::stand::Prometheus;

/// What has no answer here, and why that is right.
const EMPTY: [(&str, &str); 12] = [
    (
        "vobiz-fleet, Registered now and a week ago B",
        "this Prometheus has no last week",
    ),
    (
        "vobiz-fleet, Groups now and a week ago C",
        "this Prometheus has no last week",
    ),
    (
        "vobiz-fleet, Groups now and a week ago D",
        "this Prometheus has no last week",
    ),
    ("vobiz-exporter, Failures by reason A", "no walk has failed"),
    (
        "vobiz-exporter, Reread, by reason A",
        "the list stood still under every walk",
    ),
    (
        "vobiz-exporter, Rejected rows and values A",
        "every row is good",
    ),
    (
        "vobiz-exporter, Rejected rows and values B",
        "every value is good",
    ),
    ("vobiz-exporter, Assumed values A", "every time has a zone"),
    (
        "vobiz-exporter, Clock offset A",
        "this vendor sends no date",
    ),
    (
        "vobiz-exporter, Age of the oldest detail A",
        "the list tells everything, so no details are wanted",
    ),
    (
        "vobiz-exporter, Details that contradict A",
        "no details are wanted",
    ),
    (
        "vobiz-exporter, Token unreadable A",
        "the token is in the configuration",
    ),
];

/// How many series answer. Over a range, those that have a sample anywhere in the last minute.
async fn answers(prometheus: &Prometheus, query: &Query) -> usize {
    let expression = filled(&query.expression, LOST);
    if query.instant {
        return prometheus.query(&expression).await.len();
    }
    let now = prometheus.query("vector(time())").await[0].value;
    let mut path = "query_range?query=".to_owned();
    for byte in expression.bytes() {
        write!(path, "%{byte:02X}").unwrap();
    }
    write!(path, "&start={}&end={now}&step=2", now - 60.0).unwrap();
    let answer = prometheus.api(&path).await;
    answer["result"].as_array().unwrap().len()
}

async fn every_query_answers(boards: &[Board], prometheus: &Prometheus, rules: bool) {
    let empty: BTreeMap<_, _> = EMPTY.into_iter().collect();
    assert_eq!(empty.len(), EMPTY.len());
    let mut wrong = Vec::new();
    let mut asked = 0;
    for panel in boards.iter().flat_map(Board::panels) {
        let needs_rules = panel.description().contains("Needs the alerting rules");
        for query in panel.queries() {
            let place = format!("{} {}", panel.place, query.letter);
            let expected = !empty.contains_key(&*place) && (rules || !needs_rules);
            let found = answers(prometheus, &query).await;
            if (found > 0) != expected {
                wrong.push(format!("{place}: {found} series"));
            }
            asked += 1;
        }
    }
    assert!(wrong.is_empty(), "rules: {rules}\n{}", wrong.join("\n"));
    assert!(asked > 80, "{asked}");
    for board in boards {
        for (place, expression) in board.others() {
            let found = prometheus.query(&filled(&expression, LOST)).await.len();
            // What happens for certain is one warning about one endpoint.
            let rare = place.contains("Critical") || place.contains("Warnings");
            if !rare || rules && place == "vobiz-endpoint, annotation Warnings" {
                assert!(found > 0, "{place} has no answer");
            }
        }
    }
}

/// What a query of a panel is worth now, by alias, or else by account, or else by nothing.
async fn shown(
    prometheus: &Prometheus,
    board: &Board,
    title: &str,
    letter: &str,
) -> BTreeMap<String, f64> {
    let panel = board.panel(title);
    let samples = prometheus
        .query(&filled(&panel.expression(letter), LOST))
        .await;
    let count = samples.len();
    let name = |labels: &serde_json::Value| {
        let label = ["alias", "user_agent", "account"]
            .into_iter()
            .find_map(|key| labels[key].as_str());
        label.unwrap_or_default().to_owned()
    };
    let shown: BTreeMap<_, _> = samples
        .iter()
        .map(|one| (name(&one.labels), one.value))
        .collect();
    assert_eq!(
        shown.len(),
        count,
        "{title} shows something twice: {samples:?}"
    );
    shown
}

#[expect(clippy::cast_precision_loss, reason = "a dozen endpoints, an hour")]
async fn values_are_right(
    fleet: &Board,
    endpoint: &Board,
    prometheus: &Prometheus,
    since: (f64, f64),
) {
    let worth = |values: &[(&str, f64)]| -> BTreeMap<String, f64> {
        values
            .iter()
            .map(|(name, value)| ((*name).to_owned(), *value))
            .collect()
    };
    let of = async |title: &str, letter: &str| shown(prometheus, fleet, title, letter).await;

    let fresh = worth(&[("main", 4.0), ("branch", 4.0)]);
    assert_eq!(of("State of the data", "A").await, fresh);
    // Two replicas tell of them, and they count once.
    let registered = (PHONES - 1 + BRANCH) as f64;
    assert_eq!(of("Registered now", "A").await, worth(&[("", registered)]));
    assert_eq!(of("Lost in 15 minutes", "A").await, worth(&[("", 1.0)]));
    assert_eq!(
        of("Never, in all", "A").await,
        worth(&[("", BROWSERS as f64)])
    );
    assert_eq!(of("State not told", "A").await, worth(&[("", 0.0)]));
    assert_eq!(
        of("Flapping endpoints", "A").await.get("Phone 2"),
        Some(&2.0)
    );
    let bare: Vec<_> = of("Endpoints without an application", "A")
        .await
        .into_keys()
        .collect();
    assert_eq!(bare, ["Branch 1"]);

    let lost = of("Lost endpoints", "A").await;
    assert!(lost.keys().eq(["Phone 1"]), "{lost:?}");
    let moment = of("Lost endpoints", "B").await["Phone 1"] / 1000.0;
    assert!(
        (since.0 - 15.0..since.1).contains(&moment),
        "{since:?}: {moment}"
    );
    let there = shown(prometheus, endpoint, "Lost since", "A").await[""] / 1000.0;
    assert!((there - moment).abs() < 5.0, "{there} and {moment}");
    assert_eq!(
        shown(prometheus, endpoint, "Registration", "A").await,
        worth(&[("", 0.0)])
    );

    // One of eight; its user agent has vanished from the newest picture, and is remembered.
    let share = 1.0 / PHONES as f64;
    assert_eq!(
        of("Lost by application", "A").await,
        worth(&[("main", share)])
    );
    let agents = of("Lost by user agent", "A").await;
    assert_eq!(
        agents,
        worth(&[(
            "Yealink SIP-T46U 108.86.0.20",
            1.0 / (PHONES + BRANCH) as f64
        )])
    );
    let overdue = of("Overdue expiries", "A").await;
    assert!(overdue.keys().eq(["Phone 3"]), "{overdue:?}");
    let hour = OVERDUE as f64;
    assert!(
        (hour - 5.0..hour + 300.0).contains(&overdue["Phone 3"]),
        "{overdue:?}"
    );
}

/// Both accounts are in this state, and no number is shown any more.
async fn nothing_is_known(fleet: &Board, prometheus: &Prometheus, state: f64) {
    let expression = filled(&fleet.panel("State of the data").expression("A"), LOST);
    prometheus
        .until(&expression, |found| {
            found.len() == 2 && found.iter().all(|one| (one.value - state).abs() < 1e-9)
        })
        .await;
    for title in [
        "Registered now",
        "Lost in 15 minutes",
        "Lost for longest",
        "Lost endpoints",
        "Never, in all",
    ] {
        let shown = shown(prometheus, fleet, title, "A").await;
        assert!(shown.is_empty(), "{title}: {shown:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_panel_is_answered_rightly_with_and_without_rules_and_says_when_nothing_is_known() {
    let boards = boards();
    let [endpoint, _, fleet] = &boards[..] else {
        panic!("three")
    };
    let stage = Stage::set().await;
    let begin = stage.ruled.query("vector(time())").await[0].value;
    stage.something_happens().await;
    let end = stage.ruled.query("vector(time())").await[0].value;
    for (prometheus, rules) in [(&stage.ruled, true), (&stage.plain, false)] {
        every_query_answers(&boards, prometheus, rules).await;
        values_are_right(fleet, endpoint, prometheus, (begin, end)).await;
    }

    let Stage {
        vendor,
        replicas,
        ruled,
        plain,
    } = stage;
    drop(vendor.stop().await);
    nothing_is_known(fleet, &ruled, 2.0).await;
    nothing_is_known(fleet, &plain, 2.0).await;
    let age = shown(&plain, fleet, "Age of the data", "A").await;
    assert!(
        age.len() == 2 && age.values().all(|age| *age > 14.0),
        "{age:?}"
    );
    drop(replicas);
    nothing_is_known(fleet, &ruled, 0.0).await;
    nothing_is_known(fleet, &plain, 0.0).await;
}
