//! Simulates the changes that Grafana makes to a query before Prometheus receives the query.

use std::time::Duration;

use super::board::{Board, Query};

/// The number of points that Grafana requests for a panel with the width of a screen.
const POINTS: u64 = 1000;

/// The state of an open dashboard: time range, scrape interval, and chosen account and endpoint.
#[derive(Debug, Clone)]
pub struct View {
    pub range: Duration,
    /// The scrape interval in the settings of the data source.
    pub scrape: Duration,
    pub account: String,
    pub endpoint: String,
}

impl View {
    /// A dashboard with its default range, all accounts and this endpoint.
    pub fn opened(board: &Board, scrape: Duration, endpoint: &str) -> Self {
        Self {
            range: board.range(),
            scrape,
            account: ".*".to_owned(),
            endpoint: endpoint.to_owned(),
        }
    }

    /// The value of `$__interval`, which is also the step of a range query.
    pub fn interval(&self, query: &Query) -> Duration {
        let exact = u64::try_from(self.range.as_millis()).unwrap() / POINTS;
        rounded(exact).max(self.scrape).max(query.least)
    }

    /// Start, end and step of a range query that ends at `now`, in Unix seconds. Grafana rounds the
    /// end down. This function does not round, because the newest samples are after a rounded end.
    pub fn steps(&self, query: &Query, now: i64) -> (i64, i64, i64) {
        let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap();
        (
            now - seconds(self.range),
            now,
            seconds(self.interval(query)),
        )
    }

    /// The expression in which each variable is replaced by its value. Fails if a variable remains.
    pub fn fill(&self, query: &Query) -> String {
        let interval = self.interval(query);
        let rate = (interval + self.scrape).max(4 * self.scrape);
        let span = |span: Duration| format!("{}s", span.as_secs());
        let mut text = query.expression.clone();
        for (variable, value) in [
            ("$__rate_interval", span(rate)),
            ("$__interval", span(interval)),
            ("$__range", span(self.range)),
            ("$job", ".+".to_owned()),
            ("$account", self.account.clone()),
            ("$group", ".*".to_owned()),
            ("$instance", ".+".to_owned()),
            ("$search", String::new()),
            ("$endpoint", self.endpoint.clone()),
        ] {
            text = text.replace(variable, &value);
        }
        // Only `$1` may remain, which is an argument of `label_replace` and no variable of Grafana.
        assert!(!text.replace("\"$1\"", "").contains('$'), "{text}");
        text
    }
}

/// Rounds an interval as Grafana does. Covers only the intervals of these tests.
fn rounded(milliseconds: u64) -> Duration {
    let (_, seconds) = [
        (7_500, 5),
        (12_500, 10),
        (17_500, 15),
        (25_000, 20),
        (45_000, 30),
        (90_000, 60),
        (210_000, 120),
    ]
    .into_iter()
    .find(|(below, _)| milliseconds < *below)
    .expect("no dashboard shows weeks at first");
    Duration::from_secs(seconds)
}

#[test]
fn intervals_are_rounded_and_never_shorter_than_the_scrape_interval() {
    let view = |hours: u64, scrape| View {
        range: Duration::from_secs(hours * 3600),
        scrape: Duration::from_secs(scrape),
        account: ".*".to_owned(),
        endpoint: "1".to_owned(),
    };
    let query = |least| Query {
        letter: "A".to_owned(),
        expression: "rate(x[$__rate_interval:$__interval])".to_owned(),
        instant: false,
        least: Duration::from_secs(least),
    };
    assert_eq!(view(6, 15).fill(&query(0)), "rate(x[60s:20s])");
    assert_eq!(view(6, 30).fill(&query(0)), "rate(x[120s:30s])");
    assert_eq!(view(24, 30).fill(&query(0)), "rate(x[120s:60s])");
    assert_eq!(view(6, 30).fill(&query(300)), "rate(x[330s:300s])");
}
