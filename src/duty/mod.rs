//! The times at which the endpoints of a group are expected to be registered.
//!
//! The fields of a [`TimeInterval`] are those of Alertmanager's `time_interval`, with the same meaning.

use std::{ops::RangeInclusive, time::Duration};

use jiff::{
    Timestamp, ToSpan,
    civil::Date,
    tz::{self, TimeZone},
};
use serde::{Serialize, Serializer};

use crate::clock::UnixMillis;

const DAY: Duration = Duration::from_secs(24 * 3600);
const MILLISECOND: Duration = Duration::from_millis(1);

/// A search for the next change ends after this number of days. The caller searches again then.
const SEARCHED_AHEAD: u32 = 8;

/// When the endpoints of a group are on duty. Without intervals in `duty`, they are always on duty.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Duty {
    /// On duty while one of these intervals contains the time, unless `off_duty` has one that contains it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub duty: Vec<TimeInterval>,
    /// Off duty while one of these intervals contains the time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub off_duty: Vec<TimeInterval>,
}

/// The times that all of its fields contain. A field without ranges contains every time.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TimeInterval {
    /// Minutes of the day.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub times: Vec<MinuteRange>,
    /// Days of the week: 0 is Sunday, 6 is Saturday.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub weekdays: Vec<Range>,
    /// Days of the month from 1. A negative number counts from the end of the month: -1 is the last day.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub days_of_month: Vec<Range>,
    /// Months from 1.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub months: Vec<Range>,
    /// Years.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub years: Vec<Range>,
    /// The zone of the times and days.
    #[serde(skip_serializing_if = "Location::is_default")]
    pub location: Location,
}

/// A range of whole numbers, which includes both ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Range {
    /// The form in the configuration, such as `monday:friday`.
    pub text: String,
    /// The numbers.
    pub numbers: RangeInclusive<i16>,
}

impl Serialize for Range {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// A range of minutes of a day, which includes the first minute and excludes the last.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MinuteRange {
    /// The first minute, as HH:MM.
    pub start_time: String,
    /// The minute after the last one, as HH:MM, up to 24:00.
    pub end_time: String,
    /// Both as minutes since the midnight before.
    #[serde(skip)]
    pub minutes: std::ops::Range<i16>,
}

/// A time zone with its name in the zone database. The default is UTC.
#[derive(Debug, Clone, PartialEq)]
pub struct Location(TimeZone);

impl Location {
    /// The zone with this name, such as `Europe/Berlin`. `None` if the zone database in the program does not have it.
    pub fn named(name: &str) -> Option<Self> {
        let zone = TimeZone::get(name).ok()?;
        // Jiff ignores the case of letters, but other programs do not.
        (zone.iana_name() == Some(name)).then_some(Self(zone))
    }

    /// The names of all zones.
    pub fn names() -> impl Iterator<Item = String> {
        tz::db().available().map(|name| name.to_string())
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Location {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl Serialize for Location {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.iana_name().unwrap_or("UTC"))
    }
}

impl Duty {
    /// Whether the group has times of duty. Otherwise it is always on duty.
    pub fn is_limited(&self) -> bool {
        !(self.duty.is_empty() && self.off_duty.is_empty())
    }

    /// Whether the group is on duty at the time `at`.
    pub fn is_on(&self, at: UnixMillis) -> bool {
        let contains = |interval: &TimeInterval| interval.contains(at);
        (self.duty.is_empty() || self.duty.iter().any(contains))
            && !self.off_duty.iter().any(contains)
    }

    /// The last change of the state before or at the time `at`, and after `not_before`.
    pub fn last_change(&self, at: UnixMillis, not_before: UnixMillis) -> Option<UnixMillis> {
        if !self.is_limited() {
            return None;
        }
        let is_on = self.is_on(at);
        let mut to = at;
        while to > not_before {
            let after = to.minus(DAY).max(not_before);
            let mut back = self.boundaries(after, to).into_iter().rev();
            let change = back.find(|time| self.is_on(time.minus(MILLISECOND)) != is_on);
            if change.is_some() {
                return change;
            }
            to = after;
        }
        None
    }

    /// The time until which the group has the same state as at the time `at`; at most 8 days later.
    pub fn until(&self, at: UnixMillis) -> UnixMillis {
        let end = at.plus(DAY * SEARCHED_AHEAD);
        if !self.is_limited() {
            return end;
        }
        let is_on = self.is_on(at);
        let mut ahead = (0..SEARCHED_AHEAD).flat_map(|day| {
            let after = at.plus(DAY * day);
            self.boundaries(after, after.plus(DAY))
        });
        let change = ahead.find(|boundary| self.is_on(*boundary) != is_on);
        change.unwrap_or(end)
    }

    /// The times after `after` and not after `to` at which the state can change, in order.
    fn boundaries(&self, after: UnixMillis, to: UnixMillis) -> Vec<UnixMillis> {
        let mut boundaries = Vec::new();
        for interval in self.duty.iter().chain(&self.off_duty) {
            interval.add_boundaries(after, to, &mut boundaries);
        }
        boundaries.retain(|boundary| after < *boundary && *boundary <= to);
        boundaries.sort_unstable();
        // All days off begin at the same midnights.
        boundaries.dedup();
        boundaries
    }
}

impl TimeInterval {
    /// Whether each field contains the time `at`.
    pub fn contains(&self, at: UnixMillis) -> bool {
        let local = self.location.0.to_datetime(timestamp(at));
        let minute = i16::from(local.hour()) * 60 + i16::from(local.minute());
        let holds = |ranges: &[Range], number: i16| {
            ranges.is_empty() || ranges.iter().any(|range| range.numbers.contains(&number))
        };
        let weekday = i16::from(local.weekday().to_sunday_zero_offset());
        (self.times.is_empty()
            || self
                .times
                .iter()
                .any(|range| range.minutes.contains(&minute)))
            && holds(&self.weekdays, weekday)
            && holds(&self.months, local.month().into())
            && holds(&self.years, local.year())
            && self.contains_day(local.date())
    }

    /// Whether the days of the month contain `date`.
    fn contains_day(&self, date: Date) -> bool {
        let last = i16::from(date.days_in_month());
        let from_start = |day: i16| if day < 0 { last + day + 1 } else { day };
        let holds = |range: &Range| {
            let (first, last) = (range.numbers.start(), range.numbers.end());
            (from_start(*first)..=from_start(*last)).contains(&date.day().into())
        };
        self.days_of_month.is_empty() || self.days_of_month.iter().any(holds)
    }

    /// Adds each time from `after` to `to`, and some around them, at which [`Self::contains`] can change: the limits of
    /// `times`, midnights, and the changes of the zone's offset. Other times are added, too.
    fn add_boundaries(&self, after: UnixMillis, to: UnixMillis, boundaries: &mut Vec<UnixMillis>) {
        let zone = &self.location.0;
        let [first, last] = [after, to].map(|time| zone.to_datetime(timestamp(time)).date());
        let limits = self.times.iter().map(|range| &range.minutes);
        let limits = limits.flat_map(|minutes| [minutes.start, minutes.end]);
        for minute in limits.chain([0]) {
            for date in first.series(1.day()).take_while(|date| *date <= last) {
                let local = date
                    .at(0, 0, 0, 0)
                    .saturating_add(i64::from(minute).minutes());
                let ambiguous = zone.to_ambiguous_timestamp(local);
                // A local time occurs twice when the clocks are set back.
                let both = [ambiguous.earlier(), ambiguous.later()]
                    .into_iter()
                    .flatten();
                boundaries.extend(both.map(|time| UnixMillis(time.as_millisecond())));
            }
        }
        let transitions = zone.following(timestamp(after)).map(|one| one.timestamp());
        let transitions = transitions.map(|time| UnixMillis(time.as_millisecond()));
        boundaries.extend(transitions.take_while(|time| *time <= to));
    }
}

/// The same time for calculations with zones. A time outside of the years -9999 to 9999 becomes 1970.
fn timestamp(time: UnixMillis) -> Timestamp {
    Timestamp::from_millisecond(time.0).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests;
