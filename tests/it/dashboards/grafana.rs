//! What Grafana makes of a query before Prometheus sees it.

use std::time::Duration;

use super::board::{Board, Query};

/// So many points fit into a panel that is about as wide as a screen.
const POINTS: u64 = 1000;

/// How somebody looks at a dashboard: some accounts are chosen, one endpoint, and all of the rest.
#[derive(Debug, Clone)]
pub struct View {
    pub range: Duration,
    /// The data source's scrape interval.
    pub scrape: Duration,
    pub account: String,
    pub endpoint: String,
}

impl View {
    /// A dashboard as it is opened, at an endpoint.
    pub fn opened(board: &Board, scrape: Duration, endpoint: &str) -> Self {
        Self {
            range: board.range(),
            scrape,
            account: ".*".to_owned(),
            endpoint: endpoint.to_owned(),
        }
    }

    /// `$__interval`, which is also the step of a query over a range.
    pub fn interval(&self, query: &Query) -> Duration {
        let exact = u64::try_from(self.range.as_millis()).unwrap() / POINTS;
        rounded(exact).max(self.scrape).max(query.least)
    }

    /// Beginning, end and step of a query over the range that ends at `now`, in Unix seconds. Grafana goes back
    /// to a multiple of the step, which here would be to the time before what runs now.
    pub fn steps(&self, query: &Query, now: i64) -> (i64, i64, i64) {
        let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap();
        (
            now - seconds(self.range),
            now,
            seconds(self.interval(query)),
        )
    }

    /// The expression with everything filled in. Fails if a variable is left.
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
        // What is left is of label_replace.
        assert!(!text.replace("\"$1\"", "").contains('$'), "{text}");
        text
    }
}

/// A span as Grafana rounds it, of those that occur here.
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
fn intervals_are_round_and_never_shorter_than_between_two_scrapes() {
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
