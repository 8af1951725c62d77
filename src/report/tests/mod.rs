//! Calculates reports from events in memory.

mod model;
mod render;

use std::time::Duration;

use super::{
    availability::{Adding, EndpointReport, Times},
    known::{Known, Why, Writer, known},
    spans::{Period, Spans},
};
use crate::{
    clock::UnixMillis,
    config::{Group, load_yaml},
    state::{EventKind, LoggedAccount, LoggedEndpoint, PastEvent, PastEventKind, StoredRow},
};

/// 25 October 2026, 00:55:00 UTC. Five minutes later, the clocks in Berlin go from 03:00 back to 02:00.
const START: i64 = 1_792_889_700;

/// The second `second` after the start.
fn at(second: i64) -> UnixMillis {
    UnixMillis((START + second) * 1000)
}

fn period(from: i64, until: i64) -> Period {
    Period {
        from: at(from),
        until: at(until),
    }
}

fn event(second: i64, kind: EventKind) -> PastEvent {
    PastEvent {
        at: at(second),
        kind: PastEventKind::Known(kind),
        earlier: None,
        detail: None,
    }
}

fn detailed(second: i64, kind: EventKind, detail: &str) -> PastEvent {
    PastEvent {
        detail: Some(detail.to_owned()),
        ..event(second, kind)
    }
}

/// The groups `desk`, which is on duty in Berlin from 02:05 to 02:58, and `hall`, which always is.
fn groups() -> Vec<Group> {
    let text = "accounts:
  - name: main
    auth_id: a
    auth_token: t
    groups:
      - name: desk
        match: {alias: desk}
        duty: [{times: [{start_time: '02:05', end_time: '02:58'}], location: Europe/Berlin}]
      - {name: hall, match: {alias: hall}, watch: ignore}
";
    let config = load_yaml(text, &[]).unwrap().config;
    config.accounts.into_iter().next().unwrap().groups
}

fn account() -> LoggedAccount {
    LoggedAccount {
        name: "main".to_owned(),
        last_success: Some(at(0)),
        walk_took: Duration::ZERO,
        is_failing: false,
        is_polled: true,
        first_seen: Some(at(-20)),
    }
}

const RUNNING: Writer = Writer {
    is_running: true,
    newest_success: None,
    now: UnixMillis((START + 1000) * 1000),
};

/// The row of an endpoint that was first seen at the start.
fn row(last_known: Option<bool>) -> StoredRow {
    StoredRow {
        username: "phone".to_owned(),
        alias: String::new(),
        sub_account: String::new(),
        application: None,
        last_known,
        since: at(0),
        first_seen: at(0),
        removed_at: None,
    }
}

fn endpoint(row: Option<StoredRow>, events: Vec<PastEvent>) -> LoggedEndpoint {
    LoggedEndpoint {
        id: "1".to_owned(),
        row,
        events,
    }
}

fn times(registered: u64, unregistered: u64, unknown: u64) -> Times {
    let [registered, unregistered, unknown] =
        [registered, unregistered, unknown].map(Duration::from_secs);
    Times {
        registered,
        unregistered,
        unknown,
    }
}

/// The account is seen at all times from the start on.
fn seen(period: Period) -> Known {
    known(
        &account(),
        &[event(0, EventKind::Seeing)],
        (RUNNING, None),
        period,
    )
}

/// The report about an endpoint of an account that is seen at all times.
fn reported(of: LoggedEndpoint, period: Period) -> Option<EndpointReport> {
    Adding::new("main", &groups(), &seen(period), period).endpoint(of)
}

fn times_of(of: LoggedEndpoint, period: Period) -> Times {
    reported(of, period).unwrap().times
}

#[test]
fn a_loss_and_a_return_divide_the_time() {
    let events = vec![event(10, EventKind::Lost), event(40, EventKind::Back)];
    let one = reported(endpoint(Some(row(Some(true))), events), period(0, 100)).unwrap();
    assert_eq!((one.times, one.changes), (times(70, 30, 0), 2));
    assert_eq!(one.times.availability(), Some(0.7));
    assert_eq!((one.group.as_str(), one.watch), ("", None));
}

#[test]
fn the_state_at_the_beginning_follows_from_events_before_it_else_from_the_next_one() {
    let lost = vec![event(10, EventKind::Lost), event(90, EventKind::Back)];
    let row = || Some(row(Some(true)));
    assert_eq!(
        times_of(endpoint(row(), lost.clone()), period(50, 60)),
        times(0, 10, 0)
    );
    assert_eq!(
        times_of(endpoint(row(), lost[1..].to_vec()), period(50, 60)),
        times(0, 10, 0)
    );
    assert_eq!(
        times_of(endpoint(row(), lost[..1].to_vec()), period(5, 15)),
        times(5, 5, 0)
    );
    assert_eq!(
        times_of(endpoint(row(), Vec::new()), period(5, 15)),
        times(10, 0, 0)
    );
}

#[test]
fn an_endpoint_counts_from_its_addition_until_its_removal() {
    let added = detailed(10, EventKind::Added, "unregistered");
    let events = vec![
        added,
        event(20, EventKind::Back),
        detailed(50, EventKind::Removed, "registered"),
    ];
    let removed = endpoint(Some(row(Some(true))), events.clone());
    assert_eq!(times_of(removed, period(0, 100)), times(30, 10, 0));
    let forgotten = || endpoint(None, events[2..].to_vec());
    assert_eq!(times_of(forgotten(), period(0, 100)), times(50, 0, 0));
    assert_eq!(reported(forgotten(), period(60, 100)), None);
    let mut later = row(Some(true));
    later.first_seen = at(30);
    later.since = at(30);
    assert_eq!(
        times_of(endpoint(Some(later), Vec::new()), period(0, 100)),
        times(70, 0, 0)
    );
}

#[test]
fn events_without_a_registration_are_understood_from_the_next_one() {
    let added = event(10, EventKind::Added);
    for (next, expected) in [
        (event(20, EventKind::Lost), times(10, 80, 0)),
        (event(20, EventKind::Back), times(80, 10, 0)),
        (
            detailed(20, EventKind::Removed, "unregistered"),
            times(0, 10, 0),
        ),
        (
            detailed(20, EventKind::Known, "registered"),
            times(80, 0, 10),
        ),
    ] {
        let one = endpoint(Some(row(Some(true))), vec![added.clone(), next]);
        assert_eq!(times_of(one, period(0, 100)), expected);
    }
    let one = endpoint(Some(row(Some(false))), vec![added]);
    assert_eq!(times_of(one, period(0, 100)), times(0, 90, 0));
}

#[test]
fn time_before_the_first_usable_value_is_unknown() {
    let known = detailed(30, EventKind::Known, "unregistered");
    let one = endpoint(Some(row(Some(false))), vec![known]);
    assert_eq!(times_of(one, period(0, 100)), times(0, 70, 30));
    let never = endpoint(Some(row(None)), Vec::new());
    assert_eq!(times_of(never, period(0, 100)), times(0, 0, 100));
    let mut without_event = row(Some(true));
    without_event.since = at(40);
    let one = endpoint(Some(without_event), Vec::new());
    assert_eq!(times_of(one, period(0, 100)), times(60, 0, 40));
}

#[test]
fn only_time_on_duty_counts_also_when_the_clocks_change() {
    let mut desk = row(Some(true));
    desk.alias = "desk".to_owned();
    // On duty until 02:58, and again from 02:05 after the change of the clocks at 03:00.
    let lost = vec![event(60, EventKind::Lost)];
    let one = endpoint(Some(desk), lost);
    assert_eq!(times_of(one, period(0, 700)), times(60, 120 + 100, 0));
}

#[test]
fn the_time_before_a_move_counts_for_the_group_before() {
    let mut hall = row(Some(false));
    hall.alias = "hall".to_owned();
    let moves = vec![detailed(200, EventKind::Group, "desk to hall")];
    let (groups, period) = (groups(), period(0, 300));
    let known = seen(period);
    let mut adding = Adding::new("main", &groups, &known, period);
    let one = adding.endpoint(endpoint(Some(hall), moves)).unwrap();
    assert_eq!((one.times, one.group.as_str()), (times(0, 280, 0), "hall"));
    let sums = adding
        .sums
        .iter()
        .map(|sum| (&*sum.name, sum.endpoints, sum.times));
    let expected = [
        ("desk", 0, times(0, 180, 0)),
        ("hall", 1, times(0, 100, 0)),
        ("", 0, times(0, 0, 0)),
    ];
    assert_eq!(sums.collect::<Vec<_>>(), expected);
}

#[test]
fn a_move_from_a_group_of_an_earlier_configuration_counts_for_the_later_group() {
    let moves = |detail: &str| vec![detailed(200, EventKind::Group, detail)];
    let of = |detail| {
        let one = endpoint(None, moves(detail));
        reported(one, period(0, 300)).unwrap()
    };
    let one = of("old to hall");
    assert_eq!((one.times, one.group.as_str()), (times(0, 0, 300), "hall"));
    assert_eq!(of("hall to none").group, "");
    let mut events = moves("desk to hall");
    events.push(detailed(250, EventKind::Removed, "registered, group hall"));
    let one = reported(endpoint(None, events), period(0, 300)).unwrap();
    assert_eq!((one.times, &*one.group), (times(180 + 50, 0, 0), "hall"));
    assert_eq!(of("none to desk").times, times(0, 0, 200));
}

#[test]
fn an_endpoint_flaps_again_after_it_was_quiet() {
    let flap = |from: i64, number: i64| {
        (0..number).map(move |change| {
            let kind = [EventKind::Lost, EventKind::Back][usize::from(change % 2 == 1)];
            event(from + change * 300, kind)
        })
    };
    let events = || {
        flap(0, 8)
            .chain(flap(10_000, 6))
            .chain(flap(20_000, 5))
            .collect()
    };
    let of = |from, until| {
        let one = reported(
            endpoint(Some(row(Some(true))), events()),
            period(from, until),
        );
        let one = one.unwrap();
        (one.changes, one.times_flapping)
    };
    assert_eq!(of(-10, 30_000), (19, 2));
    assert_eq!(of(1_800, 30_000), (13, 1), "it flapped before the period");
    assert_eq!(of(-10, 1_500), (5, 0));
}

/// The unknown times of the seconds from 0 to 100.
fn unknown(events: &[PastEvent], writer: Writer) -> Vec<(i64, i64, Why)> {
    let found = known(&account(), events, (writer, None), period(0, 100));
    let seconds = |time: UnixMillis| time.0 / 1000 - START;
    let known: Duration = found.spans.within(period(0, 100));
    let spans = found.unknown.iter();
    let spans: Vec<_> = spans
        .map(|span| {
            (
                seconds(span.period.from),
                seconds(span.period.until),
                span.why,
            )
        })
        .collect();
    let sum: i64 = spans.iter().map(|span| span.1 - span.0).sum();
    assert_eq!(i64::try_from(known.as_secs()).unwrap() + sum, 100);
    spans
}

#[test]
fn an_account_is_unknown_while_its_walks_fail() {
    use EventKind::{Blind, Seeing};
    let events = [
        event(-5, Seeing),
        event(10, Blind),
        event(30, Seeing),
        event(90, Blind),
    ];
    let expected = [(10, 30, Why::Failing), (90, 100, Why::Failing)];
    assert_eq!(unknown(&events, RUNNING), expected);
    // The log has lost what was before.
    assert_eq!(unknown(&events[1..], RUNNING), expected);
    assert_eq!(
        unknown(&events[2..], RUNNING),
        [(0, 30, Why::Failing), expected[1]]
    );
}

#[test]
fn an_account_is_unknown_from_a_stop_or_a_crash_until_a_walk_is_published() {
    use EventKind::{Seeing, Start, Stop};
    let stopped = [
        event(-9, Seeing),
        event(10, Stop),
        event(15, Start),
        event(20, Seeing),
    ];
    assert_eq!(unknown(&stopped, RUNNING), [(10, 20, Why::Stopped)]);
    let crashed = [event(-9, Seeing), crashed_at(8, 15), event(20, Seeing)];
    assert_eq!(unknown(&crashed, RUNNING), [(8, 20, Why::Crashed)]);
    // An earlier version did not write until when it had worked.
    let crashed = [event(-9, Seeing), event(15, Start), event(20, Seeing)];
    assert_eq!(unknown(&crashed, RUNNING), [(0, 20, Why::Crashed)]);
    // The log has lost the walks before.
    let crashed = [crashed_at(8, 15), event(20, Seeing)];
    assert_eq!(unknown(&crashed, RUNNING), [(8, 20, Why::Crashed)]);
    let stopped = [event(15, Start), event(20, Seeing)];
    assert_eq!(unknown(&stopped, RUNNING), [(0, 20, Why::Stopped)]);
}

/// A start at the second `second` after a crash of a run that had worked until the second `until`.
fn crashed_at(until: i64, second: i64) -> PastEvent {
    PastEvent {
        earlier: Some(at(until)),
        ..event(second, EventKind::Start)
    }
}

#[test]
fn an_account_is_unknown_before_its_first_endpoint() {
    use EventKind::{Seeing, Start, Stop};
    let new = LoggedAccount {
        first_seen: Some(at(20)),
        ..account()
    };
    // Another account was there before.
    for events in [
        vec![event(10, Stop), event(15, Start), event(20, Seeing)],
        vec![event(15, Start), event(20, Seeing)],
        vec![crashed_at(8, 15), event(20, Seeing)],
    ] {
        let found = known(&new, &events, (RUNNING, None), period(0, 100));
        let [span] = found.unknown[..] else {
            panic!("{found:?}");
        };
        assert_eq!((span.period, span.why), (period(0, 20), Why::NoWalk));
    }
}

#[test]
fn an_account_without_a_walk_for_three_intervals_is_unknown_since_the_last_one() {
    let events = [event(-9, EventKind::Seeing)];
    let seen = |seconds: u64, now: i64| {
        let writer = Writer {
            now: at(now),
            ..RUNNING
        };
        let account = LoggedAccount {
            last_success: Some(at(40)),
            ..account()
        };
        let interval = Some(Duration::from_secs(seconds));
        let found = known(&account, &events, (writer, interval), period(0, 100));
        found.unknown.first().map(|span| (span.period, span.why))
    };
    assert_eq!(seen(20, 100), None);
    assert_eq!(seen(20, 101), Some((period(40, 100), Why::Failing)));
}

#[test]
fn an_account_is_unknown_while_it_is_not_polled() {
    use EventKind::{Polled, Seeing, Start, Stop, Unpolled};
    let events = [
        event(-9, Seeing),
        event(10, Unpolled),
        event(20, Stop),
        event(30, Start),
        event(40, Polled),
        event(45, Seeing),
    ];
    assert_eq!(unknown(&events, RUNNING), [(10, 45, Why::NotPolled)]);
}

#[test]
fn a_crash_without_a_later_start_is_seen_by_the_lock_of_the_directory() {
    let events = [event(-9, EventKind::Seeing)];
    let gone = Writer {
        is_running: false,
        newest_success: Some(at(60)),
        ..RUNNING
    };
    assert_eq!(unknown(&events, gone), [(60, 100, Why::Crashed)]);
    assert_eq!(unknown(&events, RUNNING), []);
    let stopped = [events[0].clone(), event(70, EventKind::Stop)];
    assert_eq!(unknown(&stopped, gone), [(70, 100, Why::Stopped)]);
}

#[test]
fn without_events_the_row_of_the_account_decides() {
    assert_eq!(unknown(&[], RUNNING), []);
    let find = |account| {
        let found = known(&account, &[], (RUNNING, None), period(0, 100));
        found.unknown.first().map(|span| span.why)
    };
    let (failing, unpolled, new) = (account(), account(), account());
    let failing = LoggedAccount {
        is_failing: true,
        ..failing
    };
    let unpolled = LoggedAccount {
        is_polled: false,
        ..unpolled
    };
    let new = LoggedAccount {
        last_success: None,
        ..new
    };
    assert_eq!(find(failing), Some(Why::Failing));
    assert_eq!(find(unpolled), Some(Why::NotPolled));
    assert_eq!(find(new), Some(Why::NoWalk));
}

#[test]
fn spans_measure_what_is_within_a_period() {
    let spans = Spans::new([period(0, 10), period(10, 10), period(20, 40)]);
    for (from, until, expected) in [
        (-5, 50, 30),
        (5, 25, 10),
        (10, 20, 0),
        (39, 40, 1),
        (50, 60, 0),
    ] {
        let within = spans.within(period(from, until));
        assert_eq!(within, Duration::from_secs(expected), "{from} to {until}");
    }
    let other = Spans::new([period(5, 22), period(30, 35)]);
    let both: Vec<_> = spans.intersect(&other).periods().collect();
    assert_eq!(both, [period(5, 10), period(20, 22), period(30, 35)]);
}
