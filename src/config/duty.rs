//! Reads the times of duty. They have the grammar of Alertmanager's `time_intervals`, with stricter limits: a list must
//! not be empty, and months are from 1 to 12.

use config::ValueKind;

use super::known_keys::{Node, suggestion};
use crate::duty::{Duty, Location, MinuteRange, Range, TimeInterval};

const WEEKDAYS: [&str; 7] = [
    "sunday",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
];

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// The maximum number of intervals of a key, and of ranges of a field. It limits the time of a search.
const MAX_ITEMS: usize = 50;

/// The shortest month. A range of days that is empty in this month and in all longer months is an error.
const SHORTEST_MONTH: i16 = 28;

/// The values of `duty` and `off_duty` of a group. `None` after an error.
pub(super) fn duty(group: &Node<'_>) -> Option<Duty> {
    let errors = group.diagnostics.error_count();
    let duty = Duty {
        duty: intervals(&group.child("duty")),
        off_duty: intervals(&group.child("off_duty")),
    };
    (group.diagnostics.error_count() == errors).then_some(duty)
}

fn intervals(list: &Node<'_>) -> Vec<TimeInterval> {
    let interval = |node: &Node<'_>| TimeInterval {
        times: items(&node.child("times"), minutes),
        weekdays: items(&node.child("weekdays"), |node| {
            let must_be =
                "a weekday, or a range in the order from sunday to saturday, such as monday:friday";
            range(node, must_be, |name| position(&WEEKDAYS, name))
        }),
        days_of_month: items(&node.child("days_of_month"), days),
        months: items(&node.child("months"), |node| {
            range(node, "a month, or a range such as june:august", month)
        }),
        years: items(&node.child("years"), |node| {
            range(node, "a year, or a range such as 2026:2028", |text| {
                text.parse().ok()
            })
        }),
        location: node
            .get("location")
            .and_then(|node| location(&node))
            .unwrap_or_default(),
    };
    items(list, |node| {
        matches!(node.kind(), ValueKind::Table(_)).then(|| interval(node))
    })
}

/// The items of a list, which must be short and not empty, unless the key is absent.
fn items<'t, T>(list: &Node<'t>, read: impl Fn(&Node<'t>) -> Option<T>) -> Vec<T> {
    let items = list.items();
    if items.is_empty() && matches!(list.kind(), ValueKind::Array(_)) {
        list.error("has no items; add one, or remove the key");
    } else if items.len() > MAX_ITEMS {
        list.error(format!("has more than {MAX_ITEMS} items"));
    }
    items.iter().take(MAX_ITEMS).filter_map(read).collect()
}

fn minutes(node: &Node<'_>) -> Option<MinuteRange> {
    if !matches!(node.kind(), ValueKind::Table(_)) {
        // The check of the keys has reported it.
        return None;
    }
    let time = |key| {
        let message = "needs `start_time` and `end_time`, such as \"08:00\" and \"19:00\"";
        let node = node.required(key, message)?;
        let must_be = "a time from 00:00 to 24:00 with two digits each, in quotes";
        node.convert(must_be, |text| Some((text.to_owned(), minute(text)?)))
    };
    let ((start_time, start), (end_time, end)) = (time("start_time")?, time("end_time")?);
    if start >= end {
        return node.reject(
            "must end after its start; write a range over midnight as two, up to 24:00 and from 00:00",
        );
    }
    Some(MinuteRange {
        start_time,
        end_time,
        minutes: start..end,
    })
}

/// The minute of the day in a text such as `08:00`.
fn minute(text: &str) -> Option<i16> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| {
        let is_usual = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i16>().ok().filter(|_| is_usual)
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    let is_valid = hour < 24 && minute < 60 || (hour, minute) == (24, 0);
    is_valid.then_some(hour * 60 + minute)
}

/// Reads one value, or a range of the form `first:last` whose ends are in order. Letters may have either case.
fn range(node: &Node<'_>, must_be: &str, number: impl Fn(&str) -> Option<i16>) -> Option<Range> {
    node.convert(must_be, |text| {
        let text = text.to_lowercase();
        let (first, last) = text.split_once(':').unwrap_or((&text, &text));
        let numbers = number(first)?..=number(last)?;
        (numbers.start() <= numbers.end()).then_some(Range { text, numbers })
    })
}

fn days(node: &Node<'_>) -> Option<Range> {
    node.convert(
        "a day from 1 to 31, or from -31 to -1 counted from the end of the month, or a range such as 1:7 or -3:-1",
        |text| {
            let (first, last) = text.split_once(':').unwrap_or((text, text));
            let day = |text: &str| {
                let day = text.parse::<i16>().ok()?;
                (day != 0 && day.abs() <= 31).then_some(day)
            };
            let (first, last) = (day(first)?, day(last)?);
            let from_start = |day: i16| if day < 0 { SHORTEST_MONTH + day } else { day };
            let is_valid =
                !(first < 0 && last > 0) && from_start(first) <= from_start(last);
            is_valid.then(|| Range {
                text: text.to_owned(),
                numbers: first..=last,
            })
        },
    )
}

fn month(text: &str) -> Option<i16> {
    let number = text.parse().ok().filter(|number| (1..=12).contains(number));
    number.or_else(|| Some(position(&MONTHS, text)? + 1))
}

fn position(names: &[&str], name: &str) -> Option<i16> {
    let position = names.iter().position(|known| *known == name)?;
    i16::try_from(position).ok()
}

fn location(node: &Node<'_>) -> Option<Location> {
    let name = node.text()?;
    Location::named(name).or_else(|| {
        let known: Vec<_> = Location::names().collect();
        let hint = suggestion(name, known.iter().map(String::as_str));
        node.reject(format!(
            "must be a name of the time zone database, such as Europe/Berlin{hint}"
        ))
    })
}
