//! Compares the panels about the present with the state of the simulator.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use vobiz_simulator::Account;

use super::{
    board::Board,
    day::{ACCOUNTS, BARE, LATE, LOST, OVERDUE, OVERDUE_SINCE, STEP, seconds, value},
    grafana::View,
    stage::Stage,
};
use crate::harness::{Prometheus, Sample, auth_id, until};

/// The maximum difference between a shown and a computed number.
pub const EXACT: f64 = 1e-6;

/// An open dashboard and its Prometheus.
pub struct Look<'a> {
    pub board: &'a Board,
    pub prometheus: &'a Prometheus,
    pub view: View,
}

impl<'a> Look<'a> {
    pub fn at(board: &'a Board, prometheus: &'a Prometheus, endpoint: &str) -> Self {
        Self {
            board,
            prometheus,
            view: View::opened(board, STEP, endpoint),
        }
    }

    /// The expression of a panel's query, with all variables replaced.
    pub fn expression(&self, title: &str, letter: &str) -> String {
        self.view.fill(&self.board.panel(title).query(letter))
    }

    /// The current values of a query. A key is the account, then the alias, user agent or group. If
    /// endpoints have the same key, one value remains. Fails if one endpoint occurs twice.
    pub async fn shown(&self, title: &str, letter: &str) -> BTreeMap<String, f64> {
        let samples = self.prometheus.query(&self.expression(title, letter)).await;
        by_name(title, &samples)
    }

    /// The values of a query at `time`, with the keys of [`Self::shown`].
    pub async fn shown_at(
        &self,
        title: &str,
        letter: &str,
        time: Timestamp,
    ) -> BTreeMap<String, f64> {
        let expression = self.expression(title, letter);
        let samples = (self.prometheus).query_at(&expression, seconds(time)).await;
        by_name(title, &samples)
    }
}

fn by_name(title: &str, samples: &[Sample]) -> BTreeMap<String, f64> {
    let name = |labels: &serde_json::Value| {
        let account = labels["account"].as_str();
        let one = ["alias", "user_agent", "group"]
            .into_iter()
            .find_map(|key| labels[key].as_str());
        let name: Vec<_> = account.into_iter().chain(one).collect();
        name.join(" ")
    };
    let shown: BTreeMap<_, _> = samples
        .iter()
        .map(|one| (name(&one.labels), one.value))
        .collect();
    // Several endpoints can have the same alias, so this check uses the id of an endpoint.
    let one = |labels: &serde_json::Value| {
        let id = labels["endpoint_id"].as_str();
        id.map_or_else(
            || name(labels),
            |id| format!("{} {id}", labels["account"].as_str().unwrap_or_default()),
        )
    };
    let ones: BTreeSet<_> = samples.iter().map(|sample| one(&sample.labels)).collect();
    assert_eq!(
        ones.len(),
        samples.len(),
        "{title} shows something twice: {samples:?}"
    );
    shown
}

/// Checks the panels about the present. The endpoint `LATE` has been lost since `begin`. The other
/// endpoints change as simulated.
pub async fn the_present_is_shown_as_it_is(look: &Look<'_>, stage: &Stage, begin: Timestamp) {
    let fresh = ACCOUNTS.map(|(name, ..)| (name.to_owned(), 4.0));
    assert_eq!(
        look.shown("State of the data", "A").await,
        BTreeMap::from(fresh)
    );
    // Two replicas export each endpoint, but the panel must count it once. Registrations change
    // every few seconds, so the test waits until the panel and the simulator agree.
    until("everybody who is registered counts once", || async {
        let there = registered(stage);
        let shown = look.shown("Registered now", "A").await;
        (shown == BTreeMap::from([(String::new(), there)])).then_some(())
    })
    .await;
    let bengaluru = format!("{} bengaluru", ACCOUNTS[0].0);
    let listed = look.shown("Groups now and a week ago", "B").await[&bengaluru];
    assert!((listed - aliases(stage, "BLR-")).abs() < EXACT, "{listed}");

    let late = format!("main {LATE}");
    let lost = until("the late one is lost", || async {
        let lost = look.shown("Lost endpoints", "B").await;
        lost.get(&late).copied()
    })
    .await;
    let since = lost / 1000.0 - seconds(begin);
    assert!((-15.0..60.0).contains(&since), "{since}");
    assert!(look.shown("Lost in 15 minutes", "A").await[""] >= 1.0);
    assert!(look.shown("State unknown", "A").await[""].abs() < EXACT);

    let flaps = look.shown("Flapping endpoints", "A").await;
    let flaps_of_one = flaps.get(&format!("main {LOST}"));
    assert_eq!(flaps_of_one, Some(&f64::from(stage.day.flaps)), "{flaps:?}");
    let bare = look.shown("Endpoints without an application", "A").await;
    assert!(bare.contains_key(&format!("main {BARE}")), "{bare:?}");
    let overdue = look.shown("Overdue expiries", "A").await;
    let overdue = overdue.get(&format!("main {OVERDUE}"));
    let overdue = overdue.expect("a registration that ran out is shown");
    let ran_out = seconds(stage.day.end) - 60.0 * value(OVERDUE_SINCE);
    let by = seconds(Timestamp::now()) - ran_out;
    assert!((by - 60.0..=by).contains(overdue), "{by}: {overdue}");
}

fn registered(stage: &Stage) -> f64 {
    stage.vendor.edit(|world| {
        let accounts = world.accounts().iter();
        value(accounts.map(Account::registered).sum())
    })
}

fn aliases(stage: &Stage, prefix: &str) -> f64 {
    stage.vendor.edit(|world| {
        let account = world.account(&auth_id("main")).unwrap();
        let endpoints = account.endpoints();
        value(
            endpoints
                .filter(|one| one.alias.starts_with(prefix))
                .count(),
        )
    })
}
