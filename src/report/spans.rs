//! Sets of times, whose parts are measured quickly.

use std::time::Duration;

use crate::{clock::UnixMillis, duty::Duty};

/// A time from a moment until another one, which it does not include.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// The first moment.
    pub from: UnixMillis,
    /// The moment after the last one.
    pub until: UnixMillis,
}

impl Period {
    /// The length; zero if the period ends before its beginning.
    pub fn length(self) -> Duration {
        self.until.since(self.from)
    }

    /// The part within `other`, which can be empty.
    pub(super) fn clip(self, other: Self) -> Self {
        let from = self.from.max(other.from);
        let until = self.until.min(other.until).max(from);
        Self { from, until }
    }
}

/// Periods without overlap, in order. Each is kept with the sum of those before it, so a measure needs two binary searches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Spans(Vec<Span>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    period: Period,
    before: Duration,
}

impl Spans {
    /// The periods, of which none begins before the end of the one before it. Empty ones are left out.
    pub(super) fn new(periods: impl IntoIterator<Item = Period>) -> Self {
        let mut spans = Vec::new();
        let mut before = Duration::ZERO;
        for period in periods {
            let length = period.length();
            if !length.is_zero() {
                spans.push(Span { period, before });
                before += length;
            }
        }
        Self(spans)
    }

    /// The time of duty within `period`.
    pub(super) fn of_duty(duty: &Duty, period: Period) -> Self {
        let mut on = Vec::new();
        let mut from = period.from;
        while from < period.until {
            let until = duty.until(from).min(period.until);
            if duty.is_on(from) {
                on.push(Period { from, until });
            }
            from = until;
        }
        Self::new(on)
    }

    /// The time that both contain.
    pub(super) fn intersect(&self, other: &Self) -> Self {
        let (mut a, mut b) = (self.periods().peekable(), other.periods().peekable());
        let mut both = Vec::new();
        while let (Some(one), Some(two)) = (a.peek(), b.peek()) {
            both.push(one.clip(*two));
            if one.until <= two.until {
                a.next();
            } else {
                b.next();
            }
        }
        Self::new(both)
    }

    /// The length of the time within `period`.
    pub(super) fn within(&self, period: Period) -> Duration {
        let [until, from] = [period.until, period.from].map(|at| self.up_to(at));
        until.saturating_sub(from)
    }

    /// The length of the time before `at`.
    fn up_to(&self, at: UnixMillis) -> Duration {
        let number = self.0.partition_point(|span| span.period.from < at);
        let last = number.checked_sub(1).map(|last| &self.0[last]);
        last.map_or(Duration::ZERO, |last| {
            last.before + last.period.until.min(at).since(last.period.from)
        })
    }

    pub(super) fn periods(&self) -> impl Iterator<Item = Period> {
        self.0.iter().map(|span| span.period)
    }
}
