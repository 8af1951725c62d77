//! `poll`: the schedule, and how its times must stand to one another.

use std::time::Duration;

use super::Written;
use crate::config::{
    entry::{Section, shown},
    mistake::Report,
    model::Poll,
};

/// The deadline where none is set, if the interval has room for it.
const USUAL_DEADLINE: Duration = Duration::from_secs(50);
/// The least `max_age` where none is set.
const USUAL_MAX_AGE: Duration = Duration::from_secs(300);
const SHORTEST_INTERVAL: Duration = Duration::from_secs(5);
const SECOND: Duration = Duration::from_secs(1);
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

/// What one layer says.
#[derive(Debug)]
pub(in crate::config) struct PollKeys {
    interval: Option<Duration>,
    max_age: Written<Duration>,
    deadline: Written<Duration>,
    flip_share: Option<f64>,
    /// A key was wrong: the times cannot be compared with one another.
    faulty: bool,
}

impl PollKeys {
    pub(super) fn read(section: &Section<'_>, report: &mut Report) -> Self {
        let before = report.mistakes.len();
        let interval = (section.entry("interval"))
            .and_then(|entry| entry.duration(report, SHORTEST_INTERVAL..=MONTH));
        let max_age = Written::read(section, "max_age", |entry| {
            entry.duration(report, SECOND..=12 * MONTH)
        });
        let deadline = Written::read(section, "deadline", |entry| {
            entry.duration(report, SECOND..=MONTH)
        });
        let flip_share = section.entry("flip_share").and_then(|entry| {
            entry.number(report, "a share from 0 to 1, such as 0.5", |share| {
                (0.0..=1.0).contains(&share)
            })
        });
        let faulty = report.mistakes.len() > before;
        Self {
            interval,
            max_age,
            deadline,
            flip_share,
            faulty,
        }
    }

    /// The global schedule, whose keys are these.
    pub(in crate::config) fn finish(
        &self,
        section: &Section<'_>,
        report: &mut Report,
    ) -> Option<Poll> {
        let poll = decide(
            self.interval?,
            &self.max_age,
            &self.deadline,
            self.flip_share?,
        );
        if !self.faulty {
            if self.deadline.is_given() {
                check_deadline(&poll, section, report);
            }
            check_max_age(&poll, section, report);
        }
        Some(poll)
    }

    /// The schedule of an account whose own keys are these, laid over the global ones.
    pub(in crate::config) fn finish_over(
        &self,
        global: &Self,
        section: &Section<'_>,
        report: &mut Report,
    ) -> Option<Poll> {
        let interval = self.interval.or(global.interval)?;
        let mut deadline = self.deadline.over(&global.deadline);
        let inherited = !self.deadline.is_given() && self.interval.is_some();
        if let Written::Value(too_long) = deadline
            && inherited
            && too_long > interval
        {
            // Whoever shortens one account's interval should not have to know that a deadline is
            // written elsewhere; but neither is it changed in silence. What was asked for was a long
            // one, so the usual 50 s do not hold here.
            let longest = five_sixths(interval);
            deadline = Written::Value(longest);
            report.warnings.push(format!(
                "{}: the inherited deadline {} is above this account's interval {}; {} is used",
                section.path,
                shown(too_long),
                shown(interval),
                shown(longest),
            ));
        }
        let max_age = self.max_age.over(&global.max_age);
        let poll = decide(
            interval,
            &max_age,
            &deadline,
            self.flip_share.or(global.flip_share)?,
        );
        if !self.faulty && !global.faulty {
            if self.deadline.is_given() {
                check_deadline(&poll, section, report);
            }
            if self.interval.is_some() || self.deadline.is_given() || self.max_age.is_given() {
                check_max_age(&poll, section, report);
            }
        }
        Some(poll)
    }
}

fn decide(
    interval: Duration,
    max_age: &Written<Duration>,
    deadline: &Written<Duration>,
    flip_share: f64,
) -> Poll {
    Poll {
        interval,
        max_age: max_age
            .value()
            .unwrap_or_else(|| USUAL_MAX_AGE.max(5 * interval)),
        deadline: deadline.value().unwrap_or_else(|| usual_deadline(interval)),
        flip_share,
    }
}

/// 50 s, or five sixths of a shorter interval.
fn usual_deadline(interval: Duration) -> Duration {
    USUAL_DEADLINE.min(five_sixths(interval))
}

fn five_sixths(interval: Duration) -> Duration {
    interval * 5 / 6
}

fn check_deadline(poll: &Poll, section: &Section<'_>, report: &mut Report) {
    if poll.deadline > poll.interval {
        let message = format!(
            "a deadline of {} is above the interval of {}; set it to at most {1}, or lengthen the interval",
            shown(poll.deadline),
            shown(poll.interval),
        );
        wrong_at_first_of(&["deadline"], section, report, message);
    }
}

fn check_max_age(poll: &Poll, section: &Section<'_>, report: &mut Report) {
    let least = 2 * poll.interval + poll.deadline;
    if poll.max_age < least {
        let message = format!(
            "a max_age of {} is below 2 x interval + deadline = {}; set max_age to at least {1}",
            shown(poll.max_age),
            shown(least),
        );
        wrong_at_first_of(
            &["max_age", "interval", "deadline"],
            section,
            report,
            message,
        );
    }
}

/// Reports at the first of `keys` that this layer writes: there the reader can change something.
fn wrong_at_first_of(keys: &[&str], section: &Section<'_>, report: &mut Report, message: String) {
    match keys.iter().find_map(|key| section.entry(key)) {
        Some(entry) => entry.wrong(report, message),
        None => section.wrong(report, message),
    }
}
