//! The lines before a family's samples, the only ones that differ between the formats.

use super::Format;
use crate::telemetry::catalogue::Family;

/// What ends an `OpenMetrics` exposition.
pub(super) const END_OF_OPEN_METRICS: &str = "# EOF\n";

impl Format {
    pub(super) const ALL: [Self; 2] = [Self::Text, Self::OpenMetrics];

    /// Appends what is known about the family.
    pub(super) fn describe(self, family: &Family, text: &mut String) {
        let help = self.escaped(family.help);
        let kind = family.kind.word();
        match self {
            Self::Text => {
                put(text, "HELP", family.name, &help);
                put(text, "TYPE", family.name, kind);
            }
            Self::OpenMetrics => {
                let name = family.base_name();
                put(text, "TYPE", name, kind);
                if let Some(unit) = family.unit() {
                    put(text, "UNIT", name, unit);
                }
                put(text, "HELP", name, &help);
            }
        }
    }

    /// A quote is escaped in `OpenMetrics` only.
    fn escaped(self, help: &str) -> String {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        match self {
            Self::Text => help,
            Self::OpenMetrics => help.replace('"', "\\\""),
        }
    }
}

fn put(text: &mut String, word: &str, name: &str, rest: &str) {
    for part in ["# ", word, " ", name, " ", rest, "\n"] {
        text.push_str(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::catalogue::{Kind, Part};

    const FAMILY: Family = Family {
        name: "odd_wait_seconds_total",
        kind: Kind::Counter,
        part: Part::Instruments,
        labels: &[],
        help: "A \"quote\", a \\ and a\nline.",
    };

    fn described(format: Format) -> String {
        let mut text = String::new();
        format.describe(&FAMILY, &mut text);
        text
    }

    #[test]
    fn the_text_format_names_a_counter_in_full_and_leaves_quotes_alone() {
        assert_eq!(
            described(Format::Text),
            "# HELP odd_wait_seconds_total A \"quote\", a \\\\ and a\\nline.\n\
             # TYPE odd_wait_seconds_total counter\n"
        );
    }

    #[test]
    fn open_metrics_names_a_counter_without_total_and_tells_its_unit() {
        assert_eq!(
            described(Format::OpenMetrics),
            "# TYPE odd_wait_seconds counter\n\
             # UNIT odd_wait_seconds seconds\n\
             # HELP odd_wait_seconds A \\\"quote\\\", a \\\\ and a\\nline.\n"
        );
    }
}
