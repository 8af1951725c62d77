//! The time in which the exporter saw an account.

use std::time::Duration;

use super::spans::{Period, Spans};
use crate::{
    clock::UnixMillis,
    state::{EventKind, GAP, LoggedAccount, PastEvent, PastEventKind},
};

/// Why the exporter did not see an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// No walk of the account was published yet.
    NoWalk,
    /// The walks failed, or none was published for long.
    Failing,
    /// The exporter was stopped.
    Stopped,
    /// The exporter ended without a stop, for example after `kill -9`.
    Crashed,
    /// The exporter did not poll the account.
    NotPolled,
}

impl Why {
    /// The reason in words.
    pub fn text(self) -> &'static str {
        match self {
            Self::NoWalk => "no walk was published yet",
            Self::Failing => "no walk succeeded",
            Self::Stopped => "the exporter was stopped",
            Self::Crashed => "the exporter ended without a stop",
            Self::NotPolled => "the account was not polled",
        }
    }
}

/// A time in which the exporter did not see an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownSpan {
    /// The time.
    pub period: Period,
    /// The reason.
    pub why: Why,
}

/// What is known about the exporter at the moment of the report.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writer {
    /// Whether an exporter uses the database.
    pub(super) is_running: bool,
    /// The newest end of a published walk of any account.
    pub(super) newest_success: Option<UnixMillis>,
    /// The present time.
    pub(super) now: UnixMillis,
}

/// The known and the unknown time of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// The known time within the period.
    pub(super) spans: Spans,
    /// The unknown time within the period.
    pub(super) unknown: Vec<UnknownSpan>,
    /// The first known moment of the log.
    pub(super) begins: UnixMillis,
}

/// From a time on, an account is known (`None`), or unknown for a reason.
type Step = (UnixMillis, Option<Why>);

/// Divides the `period` by the events of the account and of the exporter, oldest first.
/// `interval` is the time between two walks, if it is known.
pub(super) fn known(
    account: &LoggedAccount,
    events: &[PastEvent],
    (writer, interval): (Writer, Option<Duration>),
    period: Period,
) -> Known {
    let mut steps = steps(account, events);
    steps.extend(end(account, &steps, writer, interval));
    let ends = steps.iter().skip(1).map(|step| step.0);
    let ends = ends.chain([UnixMillis(i64::MAX)]);
    let (mut known, mut unknown) = (Vec::new(), Vec::<UnknownSpan>::new());
    for ((from, why), until) in steps.iter().copied().zip(ends) {
        let part = Period { from, until }.clip(period);
        match why {
            _ if part.length() == Duration::ZERO => {}
            None => known.push(part),
            Some(why) => match unknown.last_mut() {
                Some(last) if last.why == why && last.period.until == part.from => {
                    last.period.until = part.until;
                }
                _ => unknown.push(UnknownSpan { period: part, why }),
            },
        }
    }
    let first = steps.iter().find(|step| step.1.is_none());
    Known {
        spans: Spans::new(known),
        unknown,
        begins: first.map_or(UnixMillis(i64::MAX), |step| step.0),
    }
}

fn steps(account: &LoggedAccount, events: &[PastEvent]) -> Vec<Step> {
    let mut steps = vec![(UnixMillis(i64::MIN), Some(Why::NoWalk))];
    steps.extend(before(account, events));
    for event in events {
        let PastEventKind::Known(kind) = event.kind else {
            continue;
        };
        let (last, now) = steps[steps.len() - 1];
        let is_polled = now != Some(Why::NotPolled);
        let step = match kind {
            EventKind::Seeing => (event.at, None),
            EventKind::Blind => (event.at, Some(Why::Failing)),
            EventKind::Unpolled => (event.at, Some(Why::NotPolled)),
            EventKind::Stop if is_polled && now != Some(Why::NoWalk) => {
                (event.at, Some(Why::Stopped))
            }
            // An earlier version did not write until when the run before had worked. Nothing is known about this run.
            EventKind::Start if now.is_none() => {
                (event.earlier.unwrap_or(last), Some(Why::Crashed))
            }
            _ => continue,
        };
        steps.push((step.0.max(last), step.1));
    }
    steps
}

/// The end of a known time that no event has shown yet.
fn end(
    account: &LoggedAccount,
    steps: &[Step],
    writer: Writer,
    interval: Option<Duration>,
) -> Option<Step> {
    let &(last, None) = steps.last()? else {
        return None;
    };
    if !writer.is_running {
        let end = writer.newest_success.unwrap_or(last).max(last);
        return Some((end, Some(Why::Crashed)));
    }
    let success = account.last_success?;
    // The exporter notes a gap only with the next walk that it can save.
    // Ticks that fall into a long walk are left out.
    let between = interval? + account.walk_took;
    let is_gap = success.plus(between * GAP) < writer.now;
    is_gap.then(|| (success.max(last), Some(Why::Failing)))
}

/// What the first event says about the time before it, if the account had endpoints then. An event before it is deleted.
fn before(account: &LoggedAccount, events: &[PastEvent]) -> Option<Step> {
    let first_seen = account.first_seen?;
    let mut shown = events.iter().filter_map(|event| {
        let PastEventKind::Known(kind) = event.kind else {
            return None;
        };
        let why = match kind {
            EventKind::Blind | EventKind::Stop | EventKind::Unpolled => None,
            // After a crash, the event has the last time at which the run before is known to have worked.
            EventKind::Start if event.earlier.is_some() => None,
            EventKind::Start => Some(Why::Stopped),
            EventKind::Seeing => Some(Why::Failing),
            EventKind::Polled => Some(Why::NotPolled),
            _ => return None,
        };
        Some((event.at, why))
    });
    let Some((at, why)) = shown.next() else {
        // Nothing has happened for long.
        let why = if !account.is_polled {
            Some(Why::NotPolled)
        } else if account.is_failing {
            Some(Why::Failing)
        } else {
            None
        };
        return account.last_success.map(|_| (first_seen, why));
    };
    (first_seen < at).then_some((first_seen, why))
}
