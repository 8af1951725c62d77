//! Converts the values of a configuration to types. An error says what the value must be.

use std::{
    collections::HashMap,
    fmt::Display,
    fs::{self, File},
    io::{self, Read},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use bytesize::ByteSize;
use config::ValueKind;
use jiff::fmt::friendly::{Designator, Spacing, SpanParser, SpanPrinter};
use serde::Serializer;
use url::{Host, Url};

use super::known_keys::{Node, suggestion};

/// The maximum length of a text that messages quote, in bytes. A longer text may be a token.
const LONGEST_QUOTED: usize = 12;

impl<'t> Node<'t> {
    /// The value as text. Empty text is an error. A number is an error, because YAML reads `0123` as 123.
    pub(super) fn text(&self) -> Option<&'t str> {
        let found = match self.kind() {
            ValueKind::String(text) if text.is_empty() => return self.reject("must not be empty"),
            ValueKind::String(text) => return Some(text),
            ValueKind::Boolean(_) => "true or false",
            ValueKind::Table(_) | ValueKind::Array(_) | ValueKind::Nil => return None,
            _ => "a number",
        };
        self.reject(format!(
            "must be text, but reads as {found}; write the value in quotes"
        ))
    }

    /// Reports that the value must be `must_be`, not `text`. For a key of an account, and for a long text, the
    /// message omits `text`, because `text` may be a token.
    fn mismatch<T>(&self, must_be: &str, text: &str, hint: &str) -> Option<T> {
        let quoted = if self.path.starts_with("accounts") || text.len() > LONGEST_QUOTED {
            String::new()
        } else {
            format!(", not {text:?}")
        };
        self.reject(format!("must be {must_be}{quoted}{hint}"))
    }

    /// The element of `all` whose label is `word`. An unknown `word` is reported as an error of this node.
    pub(super) fn find<T: Copy>(&self, word: &str, labels: &[&str], all: &[T]) -> Option<T> {
        let found = labels.iter().zip(all).find(|(label, _)| **label == word);
        found.map(|(_, setting)| *setting).or_else(|| {
            let hint = suggestion(word, labels.iter().copied());
            let must_be = format!("one of {}", labels.join(", "));
            self.mismatch(&must_be, word, &hint)
        })
    }

    /// Converts the value with `parse`. The value may be text, such as `page_size: "50"`, because every
    /// environment variable is text.
    pub(super) fn convert<T>(
        &self,
        must_be: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = match self.kind() {
            ValueKind::String(text) => text.trim().to_owned(),
            ValueKind::Table(_) | ValueKind::Array(_) | ValueKind::Nil => return None,
            other => other.to_string(),
        };
        parse(&text).or_else(|| self.mismatch(must_be, &text, ""))
    }

    /// The value as `true` or `false`.
    pub(super) fn flag(&self) -> Option<bool> {
        self.convert("true or false", |text| text.parse().ok())
    }

    /// The path of a file. In the configuration file, relative paths start from the folder of that file.
    pub(super) fn file_path(&self) -> Option<PathBuf> {
        let text = self.text()?;
        Some(if self.is_from_environment() {
            PathBuf::from(text)
        } else {
            self.diagnostics.folder.join(text)
        })
    }

    /// Every word, with its node for errors. Words are the items of a list, or parts of a text between commas.
    pub(super) fn words(&self) -> Vec<(Self, &'t str)> {
        let ValueKind::String(text) = self.kind() else {
            let items = self.items().into_iter();
            return items
                .filter_map(|item| Some((item.clone(), item.text()?)))
                .collect();
        };
        let words = text
            .split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty());
        words.map(|word| (self.clone(), word)).collect()
    }
}

/// Returns a function that converts a value with `parse` and rejects a value outside `range`.
fn bounded<T: PartialOrd>(
    must_be: String,
    range: RangeInclusive<T>,
    parse: impl FnOnce(&str) -> Option<T>,
) -> impl FnOnce(&Node<'_>) -> Option<T> {
    let parse = move |text: &str| parse(text).filter(|value| range.contains(value));
    move |node| node.convert(&must_be, parse)
}

/// Returns a converter of whole numbers in `range`.
pub(super) fn whole<T: FromStr + PartialOrd + Display>(
    range: RangeInclusive<T>,
) -> impl FnOnce(&Node<'_>) -> Option<T> {
    let must_be = format!("a whole number from {} to {}", range.start(), range.end());
    bounded(must_be, range, |text| text.parse().ok())
}

/// Returns a converter of numbers in `range`. `must_be` describes the range.
pub(super) fn number(
    must_be: &str,
    range: RangeInclusive<f64>,
) -> impl FnOnce(&Node<'_>) -> Option<f64> {
    bounded(must_be.to_owned(), range, |text| text.parse().ok())
}

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Returns a converter of durations with their unit, in `range`.
pub(super) fn duration(
    range: RangeInclusive<Duration>,
) -> impl FnOnce(&Node<'_>) -> Option<Duration> {
    let (least, most) = range.clone().into_inner();
    let must_be = if least < DAY {
        let (least, most) = (format_duration(least), format_duration(most));
        format!("a duration with its unit, such as 60s or 1h30m, from {least} to {most}")
    } else {
        let [least, most] = [least, most].map(|limit| limit.as_secs() / DAY.as_secs());
        format!("a duration with its unit, such as 7d or 30d, from {least}d to {most}d")
    };
    bounded(must_be, range, parse_duration)
}

/// A duration with its units, such as `1h30m` or `7d`. Other forms give `None`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    static PARSER: SpanParser = SpanParser::new();
    // The parser also accepts `00:01:30`, `60,5s`, `+` and `-`. This check refuses these forms.
    let is_usual = |c: char| c.is_ascii_alphanumeric() || ". µ".contains(c);
    let text = Some(text).filter(|text| text.chars().all(is_usual))?;
    // The parser refuses days, because a day of the calendar may have 23 or 25 hours. Here, it has 24.
    let (days, rest) = match text.split_once('d') {
        Some((days, rest)) if days.bytes().all(|byte| byte.is_ascii_digit()) => {
            (days.parse().ok()?, rest)
        }
        _ => (0, text),
    };
    let days = DAY.checked_mul(days)?;
    match rest.trim_start() {
        "" => Some(days).filter(|days| !days.is_zero()),
        rest => days.checked_add(PARSER.parse_unsigned_duration(rest).ok()?),
    }
}

/// Returns a converter of sizes with their unit, in `range`.
pub(super) fn size(range: RangeInclusive<u64>) -> impl FnOnce(&Node<'_>) -> Option<u64> {
    let (least, most) = (ByteSize(*range.start()), ByteSize(*range.end()));
    let must_be = format!("a size with its unit, such as 8MiB, from {least} to {most}");
    bounded(must_be, range, |text| {
        let has_unit = text.ends_with(|last: char| last.is_ascii_alphabetic());
        let size = text.parse::<ByteSize>().ok().filter(|_| has_unit)?;
        Some(size.0)
    })
}

/// Formats a duration with units, such as `1h30m`. [`duration`] accepts this text.
pub(super) fn format_duration(duration: Duration) -> String {
    static PRINTER: SpanPrinter = SpanPrinter::new()
        .designator(Designator::Compact)
        .spacing(Spacing::None);
    PRINTER.unsigned_duration_to_string(&duration)
}

pub(super) fn write_duration<S: Serializer>(
    duration: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format_duration(*duration))
}

/// The URL at `node`. The error message gives an `example`.
pub(super) fn url(node: &Node<'_>, example: &str) -> Option<Url> {
    let url = Url::parse(node.text()?.trim()).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let message = format!("must be a URL with http or https, such as {example}");
    url.or_else(|| node.reject(message))
}

/// Whether the host of the URL is a loopback address or `localhost`. Any other name gives `false`, because DNS
/// may resolve this name to any machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Maps the name of each account, or of each group, to the path of its table in the configuration.
pub(super) type Names<'t> = HashMap<&'t str, String>;

/// The `name` of an account or group. Reports an error with `hint` if `names` already has this name.
pub(super) fn unique_name<'t>(
    owner: &Node<'t>,
    needs: &str,
    names: &mut Names<'t>,
    hint: &str,
) -> Option<String> {
    let node = owner.required("name", needs)?;
    let name = valid_name(&node)?;
    match names.get(name) {
        Some(first) => node.error(format!("is also the name of {first}; {hint}")),
        None => _ = names.insert(name, owner.path.clone()),
    }
    Some(name.to_owned())
}

/// Reads a name that becomes the value of a label.
fn valid_name<'t>(node: &Node<'t>) -> Option<&'t str> {
    let name = node.text()?;
    let is_odd = |c: char| c.is_control() || is_bidirectional_control(c);
    if name.trim() != name || name.len() > 128 || name.contains(is_odd) {
        return node.reject(
            "must be one line of at most 128 bytes, without white space at its ends and without \
             bidirectional control characters",
        );
    }
    Some(name)
}

/// Whether `c` reorders the text of its line. Such characters can make two names look alike.
fn is_bidirectional_control(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether `text` has only printable ASCII characters and no space. A header can hold such text.
pub(super) fn is_header_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Reads a regular file. Refuses a pipe or a device without opening it. Opening a pipe waits until another
/// process opens this pipe for writing. Reading a device may never end.
pub(super) fn read_regular(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.is_file() {
        read_bounded(path, max_bytes)
    } else {
        Err(io::Error::other("it is not a regular file"))
    }
}

pub(super) fn read_bounded(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(max_bytes + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        let message = format!("it is larger than {}", ByteSize(max_bytes));
        return Err(io::Error::other(message));
    }
    Ok(bytes)
}
