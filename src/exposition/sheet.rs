//! A small exposition that is written for one answer.

use std::fmt;

use bytes::Bytes;

use super::{
    answer::{Answer, Encoding, Format},
    lines::Value,
    press::{Fragment, Press},
    published::{Member, weave},
};
use crate::telemetry::catalogue::Metric;

/// Samples of a few families, to be given out in either format and encoding.
///
/// The samples of one family are written one after another. Families may come in any order; they
/// stand in that of the catalogue.
pub struct Sheet {
    press: Press,
    /// The family that is being written.
    open: Option<Metric>,
    families: Vec<(Metric, Fragment)>,
}

impl Sheet {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            press: Press::new(),
            open: None,
            families: Vec::new(),
        }
    }

    /// Writes a sample; `labels` are names and values in their order.
    pub fn sample(&mut self, metric: Metric, labels: &[(&str, &str)], value: Value) {
        if self.open != Some(metric) {
            self.close();
            self.open = Some(metric);
        }
        self.press.sample(metric, labels, value);
    }

    /// The whole exposition.
    pub fn finish(mut self, format: Format, encoding: Encoding) -> Bytes {
        self.close();
        self.families.sort_by_key(|(metric, _)| *metric);
        self.press.begin_member();
        weave(&self.families, format, &mut self.press);
        let begun = self.press.pieces();
        let member = Member::end(&begun, format, &mut self.press);
        let pieces: Vec<_> = Answer::new(&member, encoding).body.collect();
        pieces.concat().into()
    }

    fn close(&mut self) {
        if let Some(metric) = self.open.take() {
            let fragment = self.press.fragment();
            self.families.push((metric, fragment));
        }
    }
}

impl Default for Sheet {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Sheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sheet")
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    fn sheet() -> Sheet {
        let mut sheet = Sheet::new();
        for reason in ["auth", "throttled"] {
            let labels = [("reason", reason)];
            sheet.sample(Metric::ProbeFailure, &labels, Value::flag(false));
        }
        sheet.sample(Metric::ProbeSuccess, &[], Value::ONE);
        sheet
    }

    #[test]
    fn families_stand_in_the_order_of_the_catalogue_below_their_metadata() {
        let text = sheet().finish(Format::OpenMetrics, Encoding::Identity);
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
    fn a_packed_sheet_is_the_plain_one() {
        let packed = sheet().finish(Format::Text, Encoding::Gzip);
        let mut text = String::new();
        GzDecoder::new(&packed[..])
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, sheet().finish(Format::Text, Encoding::Identity));
    }
}
