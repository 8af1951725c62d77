//! Tests times of duty on the nights on which clocks change, and the search for changes.

use jiff::Timestamp;

use super::Duty;
use crate::{clock::UnixMillis, config};

/// The duty of a group with these keys.
fn duty(keys: &str) -> Duty {
    let yaml = format!(
        "accounts: [{{name: main, auth_id: a, auth_token: t, groups: [\
         {{name: site, match: {{alias: x}}, {keys}}}]}}]"
    );
    let loaded = config::load_yaml(&yaml, &[]).unwrap_or_else(|errors| panic!("{errors}"));
    loaded.config.accounts[0].groups[0].duty.clone()
}

fn at(time: &str) -> UnixMillis {
    let time: Timestamp = time.parse().unwrap();
    UnixMillis(time.as_millisecond())
}

/// The start of the present state, within the last year.
fn since(duty: &Duty, now: UnixMillis) -> Option<UnixMillis> {
    duty.last_change(now, UnixMillis(now.0 - 365 * 24 * 3_600_000))
}

/// The times, in UTC, at which the duty changes on the day that begins at `start`, and its first state.
fn changes(duty: &Duty, start: &str, hours: i64) -> (bool, Vec<String>) {
    let start = at(start);
    let is_on = |minute: i64| duty.is_on(UnixMillis(start.0 + minute * 60_000));
    let changes = (1..=hours * 60).filter(|minute| is_on(*minute) != is_on(minute - 1));
    let text = |minute: i64| {
        let text = UnixMillis(start.0 + minute * 60_000).to_rfc3339();
        text[11..16].to_owned()
    };
    (is_on(0), changes.map(text).collect())
}

const NIGHT: &str =
    "times: [{start_time: '01:30', end_time: '02:30'}, {start_time: '05:00', end_time: '24:00'}]";

#[test]
fn a_skipped_hour_lasts_no_time_and_a_repeated_hour_lasts_twice() {
    let on = |zone: &str| duty(&format!("duty: [{{{NIGHT}, location: {zone}}}]"));
    for (zone, start, hours, expected) in [
        // The clocks go from 02:00 to 03:00 at 01:00 UTC.
        (
            "Europe/Berlin",
            "2026-03-28T23:00:00Z",
            23,
            ["00:30", "01:00", "03:00"].as_slice(),
        ),
        // The clocks go from 03:00 back to 02:00 at 01:00 UTC.
        (
            "Europe/Berlin",
            "2026-10-24T22:00:00Z",
            25,
            &["23:30", "00:30", "01:00", "01:30", "04:00"],
        ),
        // The clocks go from 02:00 to 03:00 at 07:00 UTC.
        (
            "America/New_York",
            "2026-03-08T05:00:00Z",
            23,
            &["06:30", "07:00", "09:00"],
        ),
        // The clocks go from 02:00 back to 01:00 at 06:00 UTC.
        (
            "America/New_York",
            "2026-11-01T04:00:00Z",
            25,
            &["05:30", "06:00", "06:30", "07:30", "10:00"],
        ),
        (
            "Asia/Kolkata",
            "2026-10-24T18:30:00Z",
            24,
            &["20:00", "21:00", "23:30"],
        ),
        (
            "UTC",
            "2026-10-25T00:00:00Z",
            24,
            &["01:30", "02:30", "05:00"],
        ),
    ] {
        let (first, mut found) = changes(&on(zone), start, hours);
        // The last time of the day is the midnight that follows.
        let midnight = found.pop();
        assert!(!first && midnight.is_some(), "{zone} {start}");
        assert_eq!(found, expected, "{zone} {start}");
    }
}

#[test]
fn off_duty_takes_precedence_over_duty() {
    let duty = duty(
        "duty: [{weekdays: ['monday:friday']}], off_duty: [{months: [december], days_of_month: ['25:26']}]",
    );
    assert!(duty.is_on(at("2026-12-24T12:00:00Z")));
    assert!(
        !duty.is_on(at("2026-12-25T12:00:00Z")),
        "a holiday on a Friday"
    );
    assert!(!duty.is_on(at("2026-12-27T12:00:00Z")), "a Sunday");
    let holidays = self::duty("off_duty: [{months: [december], days_of_month: [-1]}]");
    assert!(holidays.is_on(at("2026-12-30T12:00:00Z")));
    assert!(!holidays.is_on(at("2026-12-31T12:00:00Z")));
}

#[test]
fn a_day_of_the_month_counts_from_its_end_also_when_the_clocks_change() {
    let last = duty("duty: [{days_of_month: [-1], location: Europe/Berlin}]");
    assert!(last.is_on(at("2026-03-31T12:00:00Z")));
    assert!(!last.is_on(at("2026-03-30T12:00:00Z")));
    assert!(last.is_on(at("2028-02-29T12:00:00Z")));
    let thirty_first = duty("duty: [{days_of_month: ['30:31']}]");
    assert!(!thirty_first.is_on(at("2026-02-28T12:00:00Z")));
}

#[test]
fn the_search_finds_the_start_and_the_end_of_the_present_state() {
    let shift = "weekdays: ['monday:friday'], times: [{start_time: '08:00', end_time: '19:00'}]";
    let duty = duty(&format!("duty: [{{{shift}, location: Asia/Kolkata}}]"));
    let state = |time| {
        let time = at(time);
        let (since, until) = (since(&duty, time).unwrap(), duty.until(time));
        (duty.is_on(time), since.to_rfc3339(), until.to_rfc3339())
    };
    let expected = |is_on, since: &str, until: &str| (is_on, since.to_owned(), until.to_owned());
    // In India, 08:00 is 02:30 UTC, and 19:00 is 13:30 UTC. 27 November 2026 is a Friday.
    let friday = expected(true, "2026-11-27T02:30:00Z", "2026-11-27T13:30:00Z");
    assert_eq!(state("2026-11-27T02:30:00Z"), friday, "the first moment");
    assert_eq!(state("2026-11-27T10:00:00Z"), friday);
    assert_eq!(state("2026-11-27T13:29:59.999Z"), friday, "the last moment");
    let weekend = expected(false, "2026-11-27T13:30:00Z", "2026-11-30T02:30:00Z");
    assert_eq!(state("2026-11-27T13:30:00Z"), weekend);
    assert_eq!(state("2026-11-29T00:00:00Z"), weekend);
}

#[test]
fn a_long_duty_has_its_start_and_is_searched_again_within_days() {
    let season = duty("duty: [{months: ['june:december']}]");
    let now = at("2026-11-27T12:00:00Z");
    assert_eq!(since(&season, now), Some(at("2026-06-01T00:00:00Z")));
    let until = season.until(now);
    assert!(season.is_on(now) && until > now && until < at("2026-12-31T00:00:00Z"));
    let always = duty("watch: page");
    assert!(always.is_on(now) && since(&always, now).is_none() && always.until(now) > now);
    let past = duty("duty: [{years: [2020]}]");
    assert!(!past.is_on(now) && since(&past, now).is_none());
}

#[test]
fn the_state_is_constant_between_its_start_and_its_end() {
    let mut random = fastrand::Rng::with_seed(20_261_127);
    for _ in 0..60 {
        let mut pick = |texts: &[&str]| texts[random.usize(..texts.len())].to_owned();
        let interval = format!(
            "{}{}location: {}",
            pick(&[
                "",
                "times: [{start_time: '02:15', end_time: '02:45'}], ",
                "times: [{start_time: '00:00', end_time: '08:00'}, {start_time: '22:00', end_time: '24:00'}], "
            ]),
            pick(&[
                "",
                "weekdays: [sunday, 'friday:saturday'], ",
                "days_of_month: ['-2:-1'], "
            ]),
            pick(&[
                "UTC",
                "Europe/Berlin",
                "America/New_York",
                "Asia/Kolkata",
                "Australia/Lord_Howe",
                "Pacific/Apia"
            ]),
        );
        let off = format!(
            "times: [{{start_time: '03:00', end_time: '03:30'}}], location: {}",
            pick(&["Europe/Berlin", "America/New_York"])
        );
        let duty = duty(&format!("duty: [{{{interval}}}], off_duty: [{{{off}}}]"));
        for _ in 0..20 {
            let now = UnixMillis(random.i64(1_700_000_000_000..1_900_000_000_000));
            let (is_on, until) = (duty.is_on(now), duty.until(now));
            let start = since(&duty, now).expect("each of these changes within a month");
            for _ in 0..20 {
                let between = UnixMillis(random.i64(start.0..until.0));
                assert_eq!(
                    duty.is_on(between),
                    is_on,
                    "{interval}: {now:?}, {between:?}"
                );
            }
            assert!(
                duty.is_on(UnixMillis(start.0 - 1)) != is_on,
                "{interval}: {now:?}"
            );
            let is_end = duty.is_on(until) != is_on;
            assert!(
                is_end || until.since(now).as_secs() == 8 * 24 * 3600,
                "{interval}"
            );
        }
    }
}
