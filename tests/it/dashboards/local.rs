//! The local time of the simulated accounts. At night and at weekends, far fewer agents work. So
//! the simulated day ends at the same local time in every run of the test.

use std::env;

use jiff::{SignedDuration, Timestamp};

/// The local time at which simulated days end. At this time, two shifts work. No shift starts or
/// ends in the two hours before and after this time.
const ENDS: &str = "wednesday 15:00";
/// The environment variable that replaces the weekday and time of `ENDS`.
const VARIABLE: &str = "SIMULATED_DAY_ENDS";

const DAYS: [&str; 7] = [
    "sunday",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
];
const HOUR: i64 = 3600;
const WEEK: i64 = 7 * 24 * HOUR;
/// The index in `DAYS` of the first day of 1970, a Thursday.
const FIRST_DAY: i64 = 4;

/// The offset from UTC with which the local time at `end` is the configured time.
#[expect(
    clippy::disallowed_methods,
    reason = "which hour is tried is for the person who runs the test to say"
)]
pub fn zone(end: Timestamp) -> SignedDuration {
    let ends = env::var(VARIABLE).unwrap_or_else(|_| ENDS.to_owned());
    let local = seconds_of_week(&ends)
        .unwrap_or_else(|| panic!("{VARIABLE} must be like {ENDS:?}, not {ends:?}"));
    let here = (end.as_second() + FIRST_DAY * 24 * HOUR).rem_euclid(WEEK);
    SignedDuration::from_secs(local - here)
}

fn seconds_of_week(text: &str) -> Option<i64> {
    let (day, time) = text.split_once(' ')?;
    let day = DAYS.iter().position(|known| *known == day)?;
    let (hour, minute) = time.split_once(':')?;
    let (hour, minute): (i64, i64) = (hour.parse().ok()?, minute.parse().ok()?);
    let valid = (0..24).contains(&hour) && (0..60).contains(&minute);
    valid.then_some((i64::try_from(day).ok()? * 24 + hour) * HOUR + minute * 60)
}

#[test]
fn a_simulated_day_ends_at_the_same_local_time_at_every_hour() {
    let monday_at_ten: Timestamp = "2026-03-02T04:30:00Z".parse().unwrap();
    let mut hour = SignedDuration::ZERO;
    let local = |end: Timestamp| (end + zone(end)).as_second().rem_euclid(WEEK);
    while hour < SignedDuration::from_hours(8 * 24) {
        assert_eq!(local(monday_at_ten + hour), local(monday_at_ten));
        hour += SignedDuration::from_mins(37);
    }
    assert_eq!(seconds_of_week("sunday 00:01"), Some(60));
    assert_eq!(seconds_of_week("saturday 23:59"), Some(WEEK - 60));
    for wrong in ["", "sunday", "someday 1:00", "sunday 24:00", "sunday 1:60"] {
        assert_eq!(seconds_of_week(wrong), None, "{wrong}");
    }
}
