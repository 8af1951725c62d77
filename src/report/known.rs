//! The time in which the exporter saw an account.

use std::time::Duration;

use super::spans::{Period, Spans};
use crate::{
    clock::UnixMillis,
    state::{EventKind, LoggedAccount, PastEvent, PastEventKind},
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
pub(super) fn known(
    account: &LoggedAccount,
    events: &[PastEvent],
    writer: Writer,
    period: Period,
) -> Known {
    let steps = steps(account, events, writer);
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

fn steps(account: &LoggedAccount, events: &[PastEvent], writer: Writer) -> Vec<Step> {
    let mut steps = vec![(UnixMillis(i64::MIN), before(account, events))];
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
    let (last, now) = steps[steps.len() - 1];
    if now.is_none() && !writer.is_running {
        let end = writer.newest_success.unwrap_or(last).max(last);
        steps.push((end, Some(Why::Crashed)));
    }
    steps
}

/// What holds before the first event.
fn before(account: &LoggedAccount, events: &[PastEvent]) -> Option<Why> {
    let known = events.iter().find_map(|event| match event.kind {
        PastEventKind::Known(EventKind::Blind | EventKind::Stop | EventKind::Unpolled) => {
            Some(None)
        }
        PastEventKind::Known(EventKind::Seeing | EventKind::Start) => Some(Some(Why::NoWalk)),
        PastEventKind::Known(EventKind::Polled) => Some(Some(Why::NotPolled)),
        _ => None,
    });
    // The log may have lost all of these events, because nothing has happened for long.
    known.unwrap_or(match account.last_success {
        None => Some(Why::NoWalk),
        Some(_) if !account.is_polled => Some(Why::NotPolled),
        Some(_) if account.is_failing => Some(Why::Failing),
        Some(_) => None,
    })
}
