//! One value of the tree, and its conversion by the key's type.
//!
//! Text is converted whatever layer it came from (`page_size: "50"`, `...__PAGE_SIZE=50`); what is not
//! text is never made text, because YAML has already altered it (`0123`, `1e5`).

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use bytesize::ByteSize;
use config::{Map, Value, ValueKind};
use jiff::fmt::friendly::SpanParser;

use super::{
    mistake::{Report, is_from_environment, quoted, suggestion},
    schema::{join, sorted},
};

/// A value that is there, with the path of its key.
#[derive(Debug, Clone)]
pub(super) struct Entry<'t> {
    pub(super) value: &'t Value,
    pub(super) path: String,
}

/// A table of the tree; an absent one reads like an empty one.
#[derive(Debug, Clone)]
pub(super) struct Section<'t> {
    pub(super) path: String,
    pub(super) value: Option<&'t Value>,
    /// What holds it; the place of a mistake where the table itself is not there.
    around: Option<&'t Value>,
}

impl<'t> Section<'t> {
    /// The whole tree.
    pub(super) fn root(tree: &'t Value) -> Self {
        Self {
            path: String::new(),
            value: Some(tree),
            around: None,
        }
    }

    fn table(&self) -> Option<&'t Map<String, Value>> {
        match &self.value?.kind {
            ValueKind::Table(table) => Some(table),
            _ => None,
        }
    }

    /// Is the key written, be it without a value?
    pub(super) fn has(&self, key: &str) -> bool {
        self.table().is_some_and(|table| table.contains_key(key))
    }

    /// The value at `key`; `None` for `null` too.
    pub(super) fn entry(&self, key: &str) -> Option<Entry<'t>> {
        let value = self.table()?.get(key)?;
        (value.kind != ValueKind::Nil).then(|| Entry {
            value,
            path: join(&self.path, key),
        })
    }

    /// The value at `key`, if a variable that is set to nothing made it null.
    pub(super) fn emptied(&self, key: &str) -> Option<Entry<'t>> {
        let value = self.table()?.get(key)?;
        (value.kind == ValueKind::Nil && is_from_environment(value)).then(|| Entry {
            value,
            path: join(&self.path, key),
        })
    }

    /// The table at `key`.
    pub(super) fn section(&self, key: &str) -> Section<'t> {
        Section {
            path: join(&self.path, key),
            value: self.table().and_then(|table| table.get(key)),
            around: self.value.or(self.around),
        }
    }

    /// Is no key written here?
    pub(super) fn is_empty(&self) -> bool {
        self.table().is_none_or(Map::is_empty)
    }

    /// The tables in the list at `key`. Items that are no tables are reported by the schema.
    pub(super) fn items(&self, key: &str) -> Vec<Section<'t>> {
        let mut items = self.section(key).children();
        items.retain(|item| item.table().is_some());
        items
    }

    /// The items, if this is a list after all.
    pub(super) fn children(&self) -> Vec<Section<'t>> {
        let Some(ValueKind::Array(items)) = self.value.map(|value| &value.kind) else {
            return Vec::new();
        };
        (items.iter().enumerate())
            .map(|(at, value)| Section {
                path: format!("{}[{at}]", self.path),
                value: Some(value),
                around: self.value,
            })
            .collect()
    }

    /// Every entry with its key, sorted by key.
    pub(super) fn entries(&self) -> Vec<(&'t str, Entry<'t>)> {
        (self.table().into_iter().flat_map(sorted))
            .filter(|(_, value)| value.kind != ValueKind::Nil)
            .map(|(key, value)| {
                (
                    key,
                    Entry {
                        value,
                        path: join(&self.path, key),
                    },
                )
            })
            .collect()
    }

    /// A mistake of this table as a whole.
    pub(super) fn wrong(&self, report: &mut Report, message: impl Into<String>) {
        match self.value.or(self.around) {
            Some(value) => report.at(value, &self.path, message),
            None => report.whole(&self.path, message),
        }
    }
}

impl<'t> Entry<'t> {
    pub(super) fn wrong(&self, report: &mut Report, message: impl Into<String>) {
        report.at(self.value, &self.path, message);
    }

    /// A text that is not empty, exactly as it was written.
    pub(super) fn text(&self, report: &mut Report) -> Option<&'t str> {
        let read_as = match &self.value.kind {
            ValueKind::String(text) if text.is_empty() => {
                self.wrong(report, "must not be empty");
                return None;
            }
            ValueKind::String(text) => return Some(text),
            ValueKind::Boolean(_) => "true or false",
            ValueKind::Table(_) | ValueKind::Array(_) | ValueKind::Nil => return None,
            _ => "a number",
        };
        let message = format!("must be text, but reads as {read_as}; write the value in quotes");
        self.wrong(report, message);
        None
    }

    /// A text that can be a name: a label's value that people type.
    pub(super) fn name(&self, report: &mut Report) -> Option<&'t str> {
        let name = self.text(report)?;
        let is_odd = |c: char| c.is_control() || is_bidirectional_control(c);
        if name.trim() != name || name.len() > 128 || name.contains(is_odd) {
            let must = "must be one line of at most 128 bytes, without white space at its ends and \
                        without bidirectional control characters";
            self.wrong(report, must);
            return None;
        }
        Some(name)
    }

    /// The text that another type is read from: the text itself, or a number's usual form.
    fn form(&self) -> Option<String> {
        match &self.value.kind {
            ValueKind::String(text) => Some(text.trim().to_owned()),
            ValueKind::Table(_) | ValueKind::Array(_) | ValueKind::Nil => None,
            other => Some(other.to_string()),
        }
    }

    /// `, not "…"` for a message; nothing for a value of an account, because a token may stand there.
    fn but_is(&self, text: &str) -> String {
        if self.path.starts_with("accounts") {
            String::new()
        } else {
            format!(", not {}", quoted(text))
        }
    }

    /// Reports that `word`, which stands here, is none of `known`.
    pub(super) fn wrong_word(&self, word: &str, known: &[&str], report: &mut Report) {
        let hint = suggestion(word, known.iter().copied());
        let but_is = self.but_is(word);
        self.wrong(
            report,
            format!("must be {}{but_is}{hint}", known.join(", ")),
        );
    }

    fn convert<T>(
        &self,
        report: &mut Report,
        must_be: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let form = self.form()?;
        let value = read(&form);
        if value.is_none() {
            self.wrong(report, format!("must be {must_be}{}", self.but_is(&form)));
        }
        value
    }

    /// A whole number in `range`.
    pub(super) fn whole(&self, report: &mut Report, range: RangeInclusive<u64>) -> Option<u64> {
        let must_be = format!("a whole number from {} to {}", range.start(), range.end());
        self.convert(report, &must_be, |form| {
            form.parse().ok().filter(|number| range.contains(number))
        })
    }

    /// A number that `fits`.
    pub(super) fn number(
        &self,
        report: &mut Report,
        must_be: &str,
        fits: impl FnOnce(f64) -> bool,
    ) -> Option<f64> {
        self.convert(report, must_be, |form| {
            form.parse()
                .ok()
                .filter(|number: &f64| number.is_finite() && fits(*number))
        })
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, report: &mut Report) -> Option<bool> {
        self.convert(report, "true or false", |form| form.parse().ok())
    }

    /// A duration with units, in `range`.
    pub(super) fn duration(
        &self,
        report: &mut Report,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        static PARSER: SpanParser = SpanParser::new();
        let (least, most) = (shown(*range.start()), shown(*range.end()));
        let must_be =
            format!("a duration with its unit, such as 60s or 1h30m, from {least} to {most}");
        // The parser also takes `00:01:30`, `60,5s` and signs.
        let is_usual = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == ' ';
        self.convert(report, &must_be, |form| {
            let form = Some(form).filter(|form| form.chars().all(is_usual))?;
            let duration = PARSER.parse_unsigned_duration(form).ok()?;
            range.contains(&duration).then_some(duration)
        })
    }

    /// A number of bytes with its unit, in `range`.
    pub(super) fn size(&self, report: &mut Report, range: RangeInclusive<u64>) -> Option<u64> {
        let (least, most) = (ByteSize(*range.start()), ByteSize(*range.end()));
        let must_be = format!("a size with its unit, such as 8MiB, from {least} to {most}");
        self.convert(report, &must_be, |form| {
            let has_unit = form.ends_with(|last: char| last.is_ascii_alphabetic());
            let size = form.parse::<ByteSize>().ok().filter(|_| has_unit)?;
            range.contains(&size.0).then_some(size.0)
        })
    }

    /// A path. In the file, a relative one starts from the file's folder.
    pub(super) fn path(&self, report: &mut Report, folder: &std::path::Path) -> Option<PathBuf> {
        let text = self.text(report)?;
        Some(if is_from_environment(self.value) {
            PathBuf::from(text)
        } else {
            folder.join(text)
        })
    }

    /// Hands over words, each with its place: the items of a list, or a text split at commas.
    pub(super) fn each_word(
        &self,
        report: &mut Report,
        mut take: impl FnMut(&Self, &str, &mut Report),
    ) {
        match &self.value.kind {
            ValueKind::Array(items) => {
                for (at, value) in items.iter().enumerate() {
                    let path = format!("{}[{at}]", self.path);
                    let item = Self { value, path };
                    if let Some(word) = item.text(report) {
                        take(&item, word, report);
                    }
                }
            }
            ValueKind::String(text) => {
                let words = text.split(',').map(str::trim);
                for word in words.filter(|word| !word.is_empty()) {
                    take(self, word, report);
                }
            }
            _ => {
                self.text(report);
            }
        }
    }
}

/// Characters that reorder a line, so that one name can look like another.
fn is_bidirectional_control(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A duration as people write it, which can be read again.
pub(super) fn shown(duration: Duration) -> String {
    use jiff::fmt::friendly::{Designator, Spacing, SpanPrinter};
    static PRINTER: SpanPrinter = SpanPrinter::new()
        .designator(Designator::Compact)
        .spacing(Spacing::None);
    PRINTER.unsigned_duration_to_string(&duration)
}
