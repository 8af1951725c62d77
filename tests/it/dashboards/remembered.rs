//! Compares the panels about the past day with the records of the simulation.

use std::{collections::BTreeMap, time::Duration};

use super::{
    day::{ACCOUNTS, AGENT, Counts, Day, LAST_WEEK, STEP, seconds},
    present::{EXACT, Look},
};

pub async fn the_day_is_shown_as_it_was(
    fleet: &Look<'_>,
    endpoint: &Look<'_>,
    day: &Day,
    rules: bool,
) {
    every_endpoint_counted_once(fleet, day).await;
    the_lost_one_has_its_moment(endpoint, day, rules).await;
    the_lost_kind_is_remembered(fleet, day).await;
}

/// Checks the shown number of registered endpoints at each step of the day, and at the simulated
/// steps of last week. `Day::counts` has the expected numbers.
async fn every_endpoint_counted_once(fleet: &Look<'_>, day: &Day) {
    let step = i64::try_from(STEP.as_secs()).unwrap();
    let end = day.end.as_second();
    let counts = day.counts.lock().unwrap().clone();
    let all_day = (end - 24 * 3600 + step, end, step);
    let exact = compared(fleet, &counts, "A", all_day, 0).await;
    // A walk takes one or two seconds. The list seldom changes in this time, so most points are exact.
    assert!(exact > 24 * 30 * 9 / 10, "{exact}");
    let [before, after] = [LAST_WEEK.0, LAST_WEEK.1].map(|span| span.as_secs().cast_signed());
    let hour = (end - before + step, end + after - step, step);
    let exact = compared(fleet, &counts, "B", hour, 7 * 24 * 3600).await;
    assert!(exact > 30, "{exact}");
}

/// The number of points with an exact value. If one endpoint registers and another is lost during
/// the same walk, the value may differ by one.
async fn compared(
    fleet: &Look<'_>,
    counts: &Counts,
    letter: &str,
    range: (i64, i64, i64),
    ago: i64,
) -> usize {
    let (start, end, step) = range;
    let walks = Walks::of(fleet, (start - ago, end - ago, step)).await;
    let expression = fleet.expression("Registered now and a week ago", letter);
    let series = fleet.prometheus.range(&expression, range).await;
    let [(_, line)] = &series[..] else {
        panic!("{series:?}")
    };
    let exact = line.iter().map(|(at, shown)| {
        let (least, most) = walks.reported(
            counts,
            at - Duration::from_secs(ago.unsigned_abs()).as_secs_f64(),
        );
        assert!(
            (least - 1.0..=most + 1.0).contains(shown),
            "{at}: {least}, {most}, {shown}"
        );
        (shown - least).abs() + (shown - most).abs() < EXACT
    });
    exact.filter(|exact| *exact).count()
}

/// The published walks of each account.
struct Walks(BTreeMap<&'static str, Vec<Walk>>);

/// The walk whose snapshot the exporter shows at the time `at`.
struct Walk {
    at: f64,
    begin: f64,
    end: f64,
}

impl Walks {
    async fn of(look: &Look<'_>, range: (i64, i64, i64)) -> Self {
        let mut all = BTreeMap::new();
        for (name, ..) in ACCOUNTS {
            let end =
                format!("topk(1, vobiz_walk_last_success_timestamp_seconds{{account=\"{name}\"}})");
            let took = format!(
                "vobiz_walk_last_duration_seconds{{account=\"{name}\"}} and on (instance) {end}"
            );
            let [ends, took] = [end, took].map(|expression| format!("max({expression})"));
            let ends = look.prometheus.range(&ends, range).await.remove(0).1;
            let took = look.prometheus.range(&took, range).await.remove(0).1;
            let walks = ends.into_iter().zip(took);
            let walks = walks.map(|((at, end), (_, took))| Walk {
                at,
                begin: end - took,
                end,
            });
            all.insert(name, walks.collect());
        }
        Self(all)
    }

    /// At the time `at`, the exporter shows one walk of each account. Returns the lowest and the
    /// highest number of registered endpoints in the vendor's list during these walks.
    fn reported(&self, counts: &Counts, at: f64) -> (f64, f64) {
        let mut sum = (0.0, 0.0);
        for (name, walks) in &self.0 {
            let walk = walks
                .iter()
                .find(|walk| (walk.at - at).abs() < EXACT)
                .unwrap();
            let reported = counts[name].iter().filter(|(time, _)| {
                // Exported times are truncated to milliseconds.
                (walk.begin - 0.01..=walk.end + 0.01).contains(time)
            });
            let reported: Vec<_> = reported.map(|(_, count)| *count).collect();
            assert!(!reported.is_empty(), "{name} at {at}");
            sum.0 += reported.iter().copied().fold(f64::MAX, f64::min);
            sum.1 += reported.iter().copied().fold(0.0, f64::max);
        }
        sum
    }
}

/// The panel must show the time of the first walk after the loss. With rules, Prometheus keeps this
/// time when the exporter restarts.
async fn the_lost_one_has_its_moment(endpoint: &Look<'_>, day: &Day, rules: bool) {
    let mut all = vec![endpoint.shown_at("Lost since", "A", day.end).await];
    if rules {
        all.push(endpoint.shown("Lost since", "A").await);
        let remembered = "job_account_endpoint:vobiz_endpoint_lost:age_seconds";
        let remembered = format!("{remembered}{{endpoint_id=\"{}\"}}", endpoint.view.endpoint);
        assert_eq!(endpoint.prometheus.query(&remembered).await.len(), 1);
    }
    for since in all {
        let since = Duration::from_secs_f64(since[""] / 1000.0 - seconds(day.lost_at));
        // The jitter delays a walk by up to a tenth of the interval, and the walk takes some
        // seconds.
        let latest = STEP.mul_f64(1.1) + Duration::from_secs(10);
        assert!(since <= latest, "{since:?}");
    }
}

/// The panel shows the user agent of the lost phones, although their rows no longer contain it.
async fn the_lost_kind_is_remembered(fleet: &Look<'_>, day: &Day) {
    let mut look = Look::at(fleet.board, fleet.prometheus, "");
    "main".clone_into(&mut look.view.account);
    let lost = look.shown_at("Lost by user agent", "A", day.end).await;
    assert!(lost[AGENT] > 0.9, "{lost:?}");
}
