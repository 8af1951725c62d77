//! The families about walks: they stay when the snapshot is withheld.

use std::collections::BTreeMap;

use super::{
    lines::Value,
    press::{Fragment, Press},
};
use crate::{
    snapshot::{AccountState, Field, Rejection, WalkFacts},
    telemetry::catalogue::Metric,
};

/// Every family about the account's walks; `shown` is how many samples of its snapshot are shown,
/// `None` when the snapshot is withheld.
pub(super) fn write(
    state: &AccountState,
    shown: Option<u64>,
    press: &mut Press,
) -> BTreeMap<Metric, Fragment> {
    let mut pen = Pen {
        account: &state.account,
        press,
        samples: 0,
        done: BTreeMap::new(),
    };
    pen.maybe(Metric::Up, state.up.map(Value::flag));
    pen.one(Metric::DataWithdrawn, Value::flag(shown.is_none()));
    if let Some(snapshot) = &state.snapshot {
        pen.last_good_walk(&snapshot.walk);
    }
    pen.one(Metric::WalkConfirming, Value::flag(state.confirming));
    pen.maybe(Metric::ApiClockOffset, state.clock_offset.map(Value::Float));
    pen.one(
        Metric::DetailsPending,
        Value::Integer(state.details_pending),
    );
    let seconds = |duration: std::time::Duration| Value::Float(duration.as_secs_f64());
    pen.one(Metric::ExporterPollInterval, seconds(state.poll_interval));
    pen.one(Metric::ExporterMaxAge, seconds(state.max_age));
    let all = shown.unwrap_or(0) + pen.samples + 1;
    pen.one(Metric::ExporterSeries, Value::Integer(all));
    pen.done
}

struct Pen<'a> {
    account: &'a str,
    press: &'a mut Press,
    samples: u64,
    done: BTreeMap<Metric, Fragment>,
}

impl Pen<'_> {
    fn last_good_walk(&mut self, walk: &WalkFacts) {
        self.one(Metric::WalkLastSuccess, Value::Time(walk.ended_at));
        let duration = Value::Float(walk.duration.as_secs_f64());
        self.one(Metric::WalkLastDuration, duration);
        self.one(Metric::WalkPages, Value::Integer(walk.pages));
        let reported = walk.reported.map(Value::Integer);
        self.maybe(Metric::WalkReportedEndpoints, reported);
        self.one(Metric::WalkMissingEndpoints, Value::Integer(walk.missing));
        self.one(Metric::WalkRetainedEndpoints, Value::Integer(walk.retained));
        let reasons = Rejection::ALL.map(Rejection::label);
        self.each(
            Metric::WalkRejectedRows,
            "reason",
            &reasons,
            &walk.rejected_rows,
        );
        let fields = Field::ALL.map(Field::label);
        self.each(
            Metric::WalkRejectedValues,
            "field",
            &fields,
            &walk.rejected_values,
        );
        self.each(
            Metric::WalkAssumedValues,
            "field",
            &fields,
            &walk.assumed_values,
        );
    }

    fn one(&mut self, metric: Metric, value: Value) {
        self.press
            .sample(metric, &[("account", self.account)], value);
        self.end(metric);
    }

    fn maybe(&mut self, metric: Metric, value: Option<Value>) {
        if let Some(value) = value {
            self.one(metric, value);
        }
    }

    fn each(&mut self, metric: Metric, label: &str, values: &[&str], counts: &[u64]) {
        for (value, count) in values.iter().zip(counts) {
            let labels = [("account", self.account), (label, *value)];
            self.press.sample(metric, &labels, Value::Integer(*count));
        }
        self.end(metric);
    }

    fn end(&mut self, metric: Metric) {
        let fragment = self.press.fragment();
        self.samples += fragment.samples;
        self.done.insert(metric, fragment);
    }
}
