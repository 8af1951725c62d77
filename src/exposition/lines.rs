//! Sample lines, which are the same bytes in both text formats.

use std::fmt::Write;

use super::press::Press;
use crate::{clock::UnixMillis, telemetry::catalogue::Metric};

/// A sample's value.
#[derive(Debug, Clone, Copy)]
pub enum Value {
    /// A whole number.
    Integer(u64),
    /// A point in time, shown in Unix seconds.
    Time(UnixMillis),
    /// Any other number.
    Float(f64),
}

impl Value {
    /// What every info series has.
    pub const ONE: Self = Self::Integer(1);

    /// 1 or 0.
    pub fn flag(yes: bool) -> Self {
        Self::Integer(u64::from(yes))
    }

    /// Appends the value in its shortest exact form.
    pub(super) fn push(self, line: &mut String) {
        match self {
            Self::Integer(number) => push_integer(line, number),
            Self::Time(time) => push_time(line, time),
            Self::Float(number) => push_float(line, number),
        }
    }
}

impl Press {
    /// Writes one sample. For the many lines of endpoints there is a faster way.
    pub(super) fn sample(&mut self, metric: Metric, labels: &[(&str, &str)], value: Value) {
        self.named_sample(metric.family().name, labels.iter().copied(), value);
    }

    /// The same with a name that is not a family's, as a histogram's samples have it.
    pub(super) fn named_sample<'a>(
        &mut self,
        name: &str,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
        value: Value,
    ) {
        let line = self.text();
        line.push_str(name);
        let mut separator = '{';
        for (label, value) in labels {
            line.push(separator);
            line.push_str(label);
            line.push_str("=\"");
            push_escaped(line, value);
            line.push('"');
            separator = ',';
        }
        if separator == ',' {
            line.push('}');
        }
        line.push(' ');
        value.push(line);
        self.end_sample();
    }
}

/// Appends a label's value: backslash, quote and line feed are escaped, all else stands as it is.
pub(super) fn push_escaped(line: &mut String, value: &str) {
    let special = |byte: u8| byte == b'\\' || byte == b'"' || byte == b'\n';
    // Nearly no value holds one of them, so all bytes are looked at without a branch.
    if !value.bytes().fold(false, |any, byte| any | special(byte)) {
        line.push_str(value);
        return;
    }
    for character in value.chars() {
        match character {
            '\\' => line.push_str("\\\\"),
            '"' => line.push_str("\\\""),
            '\n' => line.push_str("\\n"),
            other => line.push(other),
        }
    }
}

fn push_integer(line: &mut String, number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    line.push_str(std::str::from_utf8(&digits[at..]).unwrap_or_default());
}

/// Seconds with at most three decimals: what a float would print, without the way through one.
fn push_time(line: &mut String, time: UnixMillis) {
    if time.0 < 0 {
        line.push('-');
    }
    let millis = time.0.unsigned_abs();
    push_integer(line, millis / 1000);
    let rest = millis % 1000;
    if rest > 0 {
        let decimals = format!(".{rest:03}");
        line.push_str(decimals.trim_end_matches('0'));
    }
}

/// The shortest decimals that give this very float again, never with an exponent.
fn push_float(line: &mut String, number: f64) {
    if number.is_infinite() {
        line.push_str(if number > 0.0 { "+Inf" } else { "-Inf" });
    } else {
        // Writing to a string cannot fail.
        let _ = write!(line, "{number}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: Value) -> String {
        let mut line = String::new();
        value.push(&mut line);
        line
    }

    #[test]
    fn numbers_take_their_shortest_exact_form() {
        assert_eq!(written(Value::Integer(0)), "0");
        assert_eq!(written(Value::Integer(u64::MAX)), u64::MAX.to_string());
        assert_eq!(written(Value::Float(1.0)), "1");
        assert_eq!(written(Value::Float(0.1)), "0.1");
        assert_eq!(written(Value::Float(-2.5)), "-2.5");
        assert_eq!(written(Value::Float(f64::INFINITY)), "+Inf");
        assert_eq!(written(Value::Float(f64::NEG_INFINITY)), "-Inf");
        assert_eq!(written(Value::Float(f64::NAN)), "NaN");
    }

    #[test]
    fn a_time_reads_as_the_float_would() {
        for millis in [
            0,
            1,
            10,
            999,
            1_000,
            1_732_200_000_123,
            1_732_200_000_120,
            1_732_200_000_000,
            -1,
            -62_135_596_800_000,
        ] {
            let time = UnixMillis(millis);
            assert_eq!(written(Value::Time(time)), time.as_seconds().to_string());
        }
    }

    #[test]
    fn only_backslash_quote_and_line_feed_are_escaped() {
        let mut line = String::new();
        push_escaped(&mut line, "a\\b\"c\nd\re\tf\u{0}é");
        assert_eq!(line, "a\\\\b\\\"c\\nd\re\tf\u{0}é");
    }
}
