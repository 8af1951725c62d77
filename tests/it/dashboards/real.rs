//! Sends every query of the dashboards to two Prometheus servers, one with rules and one without.
//! Each server has a day of samples and scrapes two replicas.

use std::collections::BTreeMap;

use super::{
    board::{Board, Query, boards},
    day::STEP,
    grafana::View,
    present::{Look, the_present_is_shown_as_it_is},
    remembered::the_day_is_shown_as_it_was,
    stage::Stage,
};
use crate::harness::Prometheus;

/// Queries that return nothing in this test, each with the reason.
const EMPTY: [(&str, &str); 5] = [
    (
        "vobiz-endpoint, annotation Critical alerts",
        "the loss of a phone that nobody is to be woken for is a warning",
    ),
    ("vobiz-exporter, annotation Critical alerts", CALM),
    ("vobiz-exporter, annotation Warnings", CALM),
    ("vobiz-fleet, annotation Critical alerts", CALM),
    ("vobiz-fleet, annotation Warnings", CALM),
];
const CALM: &str =
    "the rules have run for seconds, so that nothing fires yet but for single phones";

/// The number of series that a query returns. A range query covers the time range of the dashboard.
async fn answers(prometheus: &Prometheus, view: &View, query: &Query) -> usize {
    let expression = view.fill(query);
    if query.instant {
        return prometheus.query(&expression).await.len();
    }
    let range = view.steps(query, jiff::Timestamp::now().as_second());
    prometheus.range(&expression, range).await.len()
}

/// Checks that every query returns series, except the queries in `EMPTY`. If Prometheus has no
/// rules, the queries about alerts must return nothing.
async fn every_query_answers(
    boards: &[Board],
    prometheus: &Prometheus,
    endpoint: &str,
    rules: bool,
) {
    let empty: BTreeMap<_, _> = EMPTY.into_iter().collect();
    assert_eq!(empty.len(), EMPTY.len());
    let mut wrong = Vec::new();
    let mut asked = 0;
    for board in boards {
        let view = View::opened(board, STEP, endpoint);
        let panels = board.panels().into_iter().flat_map(|panel| {
            let alerts = panel.description().contains("Needs the alerting rules");
            let place = panel.place.clone();
            let queries = panel.queries().into_iter();
            queries.map(move |query| (format!("{place} {}", query.letter), query, alerts))
        });
        let others = board.others().into_iter().map(|(place, query)| {
            let alerts = place.contains("Critical") || place.contains("Warnings");
            (place, query, alerts)
        });
        for (place, query, alerts) in panels.chain(others) {
            let expected = !empty.contains_key(&*place) && (rules || !alerts);
            let found = answers(prometheus, &view, &query).await;
            if (found > 0) != expected {
                wrong.push(format!("{place}: {found} series"));
            }
            asked += 1;
        }
    }
    assert!(wrong.is_empty(), "rules: {rules}\n{}", wrong.join("\n"));
    assert!(asked > 100, "{asked}");
}

/// Waits until the panel `State of the data` shows `state` for all accounts. Then the panels about
/// endpoints must show no numbers.
async fn nothing_is_known(look: &Look<'_>, state: f64) {
    let expression = look.expression("State of the data", "A");
    look.prometheus
        .until(&expression, |found| {
            found.len() == 3 && found.iter().all(|one| (one.value - state).abs() < 1e-9)
        })
        .await;
    for title in [
        "Registered now",
        "Lost in 15 minutes",
        "Lost for longest",
        "Lost endpoints",
        "Never, in all",
    ] {
        let shown = look.shown(title, "A").await;
        assert!(shown.is_empty(), "{title}: {shown:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it takes minutes: make test-slow"]
async fn every_panel_is_right_with_and_without_rules_and_while_data_is_withdrawn() {
    let boards = boards();
    let [endpoint, _, fleet] = &boards[..] else {
        panic!("three")
    };
    let stage = Stage::set().await;
    assert!(stage.day.samples > 2_000_000, "{}", stage.day.samples);
    let (id, begin) = stage.lose_one_more();
    for (prometheus, rules) in [(&stage.ruled, true), (&stage.plain, false)] {
        let fleet = Look::at(fleet, prometheus, &id);
        let endpoint = Look::at(endpoint, prometheus, &id);
        the_present_is_shown_as_it_is(&fleet, &stage, begin).await;
        the_day_is_shown_as_it_was(&fleet, &endpoint, &stage.day, rules).await;
        every_query_answers(&boards, prometheus, &id, rules).await;
    }

    let Stage {
        vendor,
        replicas,
        ruled,
        plain,
        ..
    } = stage;
    let looks = [&ruled, &plain].map(|prometheus| Look::at(fleet, prometheus, &id));
    drop(vendor.stop().await);
    for look in &looks {
        nothing_is_known(look, 2.0).await;
    }
    let age = looks[1].shown("Age of the data", "A").await;
    assert!(
        age.len() == 3 && age.values().all(|age| *age > 14.0),
        "{age:?}"
    );
    drop(replicas);
    for look in &looks {
        nothing_is_known(look, 0.0).await;
    }
}
