//! Writes sample lines, and metadata lines above them. Both formats of [`Format`] have the same sample lines.

use std::{collections::BTreeMap, fmt::Write, mem};

use bytes::Bytes;

use super::gzip::{Chunk, Encoding, GzipMember, GzipWriter};
use crate::{
    clock::UnixMillis,
    telemetry::catalogue::{Family, Metric},
};

/// The value of a sample.
#[derive(Debug, Clone, Copy)]
pub enum Value {
    /// A whole number.
    Integer(u64),
    /// A floating-point number.
    Float(f64),
}

impl Value {
    /// The value of every info series.
    pub const ONE: Self = Self::Integer(1);

    /// The value 1 for true, 0 for false.
    pub fn flag(yes: bool) -> Self {
        Self::Integer(u64::from(yes))
    }

    /// A point in time, in Unix seconds.
    pub fn time(at: UnixMillis) -> Self {
        Self::Float(at.as_seconds())
    }
}

/// Appends `separator` and a label. In the value, only backslash, quote and line feed are escaped.
pub(super) fn push_label(line: &mut String, separator: char, name: &str, value: &str) {
    line.push(separator);
    line.push_str(name);
    line.push_str("=\"");
    let special = |byte: u8| byte == b'\\' || byte == b'"' || byte == b'\n';
    // Few values need an escape. The loop has no early exit, because it is faster without branches.
    if value.bytes().fold(false, |any, byte| any | special(byte)) {
        line.push_str(&escaped(value).replace('"', "\\\""));
    } else {
        line.push_str(value);
    }
    line.push('"');
}

/// The text with escaped backslashes and line feeds.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n")
}

/// One chunk of samples per family, in the order of the catalogue of metrics.
#[derive(Debug, Clone, Default)]
pub(super) struct Families {
    pub(super) chunks: BTreeMap<Metric, Chunk>,
    pub(super) samples: u64,
}

/// Writes samples, and makes one chunk of each family.
///
/// Callers must write all samples of one family one after another. They may write families in any order.
#[derive(Debug, Default)]
pub struct FamilyWriter {
    pub(super) gzip: GzipWriter,
    /// The family whose lines are in `gzip`.
    current: Option<Metric>,
    pub(super) families: Families,
}

impl FamilyWriter {
    /// Writes a sample. `labels` are pairs of name and value, in the order in which they are written.
    pub fn sample(&mut self, metric: Metric, labels: &[(&str, &str)], value: Value) {
        let labels = labels.iter().copied();
        self.line(metric, metric.family().name, '{', labels, value);
    }

    /// Writes a sample line that begins with `start`. The first label follows after `separator`.
    pub(super) fn line<'a>(
        &mut self,
        metric: Metric,
        start: &str,
        mut separator: char,
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
        value: Value,
    ) {
        if self.current != Some(metric) {
            self.end_family();
            self.current = Some(metric);
        }
        let line = &mut self.gzip.text;
        line.push_str(start);
        for (label, value) in labels {
            push_label(line, separator, label, value);
            separator = ',';
        }
        line.push_str(if separator == ',' { "} " } else { " " });
        // Numbers have their shortest exact form, without an exponent. A write to a string cannot fail.
        let _ = match value {
            // Most values are 0 or 1. These values are written without formatting, which is faster.
            Value::Integer(0) => line.write_char('0'),
            Value::Integer(1) => line.write_char('1'),
            Value::Integer(number) => write!(line, "{number}"),
            Value::Float(f64::INFINITY) => line.write_str("+Inf"),
            Value::Float(f64::NEG_INFINITY) => line.write_str("-Inf"),
            Value::Float(number) => write!(line, "{number}"),
        };
        line.push('\n');
        self.gzip.compress_portion();
        self.families.samples += 1;
    }

    /// Returns all families that were written since the previous call of `finish`.
    pub(super) fn finish(&mut self) -> Families {
        self.end_family();
        mem::take(&mut self.families)
    }

    /// The exposition of all written families.
    pub fn encode(mut self, format: Format, encoding: Encoding) -> Bytes {
        let families = self.finish().chunks;
        let body = member(&families, format, &mut self.gzip).body(encoding);
        body.pieces.collect::<Vec<_>>().concat().into()
    }

    fn end_family(&mut self) {
        if let Some(metric) = self.current.take() {
            self.families.chunks.insert(metric, self.gzip.chunk());
        }
    }
}

/// The text format of an exposition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `text/plain; version=0.0.4`.
    Text,
    /// `application/openmetrics-text; version=1.0.0`.
    OpenMetrics,
}

impl Format {
    pub(super) const ALL: [Self; 2] = [Self::Text, Self::OpenMetrics];

    /// Appends the metadata lines of a family.
    fn push_metadata(self, family: &Family, text: &mut String) {
        let help = escaped(family.help);
        let (name, kind) = (family.name, family.kind.word());
        // Writing to a string cannot fail.
        let _ = match self {
            Self::Text => writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}"),
            Self::OpenMetrics => {
                let (name, help) = (family.base_name(), help.replace('"', "\\\""));
                let _ = writeln!(text, "# TYPE {name} {kind}");
                if let Some(unit) = family.unit() {
                    let _ = writeln!(text, "# UNIT {name} {unit}");
                }
                writeln!(text, "# HELP {name} {help}")
            }
        };
    }
}

/// The exposition of `families`, with metadata lines above the samples of each family.
pub(super) fn member<'a>(
    families: impl IntoIterator<Item = (&'a Metric, &'a Chunk)>,
    format: Format,
    gzip: &mut GzipWriter,
) -> GzipMember {
    gzip.begin_member();
    for (metric, chunk) in families {
        format.push_metadata(metric.family(), &mut gzip.text);
        gzip.append(chunk, true);
    }
    if format == Format::OpenMetrics {
        gzip.text.push_str("# EOF\n");
    }
    gzip.finish_member()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;
    use crate::telemetry::catalogue::{Kind, Part};

    fn written(value: Value) -> String {
        let mut writer = FamilyWriter::default();
        writer.sample(Metric::ProbeSuccess, &[], value);
        let (_, number) = writer.gzip.text.split_once(' ').unwrap();
        number.trim_end().to_owned()
    }

    #[test]
    fn numbers_take_their_shortest_exact_form() {
        assert_eq!(written(Value::Integer(0)), "0");
        assert_eq!(written(Value::Integer(1)), "1");
        assert_eq!(written(Value::Integer(u64::MAX)), u64::MAX.to_string());
        assert_eq!(written(Value::Float(1.0)), "1");
        assert_eq!(written(Value::Float(0.1)), "0.1");
        assert_eq!(written(Value::Float(-2.5)), "-2.5");
        assert_eq!(written(Value::Float(f64::INFINITY)), "+Inf");
        assert_eq!(written(Value::Float(f64::NEG_INFINITY)), "-Inf");
        assert_eq!(written(Value::Float(f64::NAN)), "NaN");
    }

    #[test]
    fn a_time_is_in_seconds_with_all_its_milliseconds() {
        for (millis, text) in [
            (0, "0"),
            (1, "0.001"),
            (10, "0.01"),
            (999, "0.999"),
            (1_000, "1"),
            (1_732_200_000_123, "1732200000.123"),
            (1_732_200_000_120, "1732200000.12"),
            (1_732_200_000_100, "1732200000.1"),
            (1_732_200_000_020, "1732200000.02"),
            (1_732_200_000_000, "1732200000"),
            (-1, "-0.001"),
            (-62_135_596_800_000, "-62135596800"),
        ] {
            assert_eq!(written(Value::time(UnixMillis(millis))), text);
        }
    }

    #[test]
    fn only_backslash_quote_and_line_feed_are_escaped() {
        let mut line = String::new();
        push_label(&mut line, '{', "label", "a\\b\"c\nd\re\tf\u{0}é");
        assert_eq!(line, "{label=\"a\\\\b\\\"c\\nd\re\tf\u{0}é\"");
    }

    const FAMILY: Family = Family {
        name: "odd_wait_seconds_total",
        kind: Kind::Counter,
        part: Part::Instruments,
        labels: &[],
        help: "A \"quote\", a \\ and a\nline.",
    };

    fn metadata(format: Format) -> String {
        let mut text = String::new();
        format.push_metadata(&FAMILY, &mut text);
        text
    }

    #[test]
    fn the_text_format_names_a_counter_in_full_and_does_not_escape_quotes() {
        assert_eq!(
            metadata(Format::Text),
            "# HELP odd_wait_seconds_total A \"quote\", a \\\\ and a\\nline.\n\
             # TYPE odd_wait_seconds_total counter\n"
        );
    }

    #[test]
    fn open_metrics_names_a_counter_without_total_and_has_its_unit() {
        assert_eq!(
            metadata(Format::OpenMetrics),
            "# TYPE odd_wait_seconds counter\n\
             # UNIT odd_wait_seconds seconds\n\
             # HELP odd_wait_seconds A \\\"quote\\\", a \\\\ and a\\nline.\n"
        );
    }

    fn probe() -> FamilyWriter {
        let mut writer = FamilyWriter::default();
        for reason in ["auth", "throttled"] {
            let labels = [("reason", reason)];
            writer.sample(Metric::ProbeFailure, &labels, Value::flag(false));
        }
        writer.sample(Metric::ProbeSuccess, &[], Value::ONE);
        writer
    }

    #[test]
    fn families_are_in_the_order_of_the_catalogue_below_their_metadata() {
        let text = probe().encode(Format::OpenMetrics, Encoding::Identity);
        let text = String::from_utf8(text.into()).unwrap();
        let lines: Vec<_> = text.lines().filter(|line| !line.contains("HELP")).collect();
        let expected = [
            "# TYPE probe_success gauge",
            "probe_success 1",
            "# TYPE vobiz_probe_failure gauge",
            "vobiz_probe_failure{reason=\"auth\"} 0",
            "vobiz_probe_failure{reason=\"throttled\"} 0",
            "# EOF",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_compressed_exposition_inflates_to_the_plain_one() {
        let compressed = probe().encode(Format::Text, Encoding::Gzip);
        let mut text = String::new();
        GzDecoder::new(&compressed[..])
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, probe().encode(Format::Text, Encoding::Identity));
    }
}
