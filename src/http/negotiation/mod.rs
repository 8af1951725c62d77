//! Which format and which encoding a request prefers.
//!
//! An exporter that says 406 shows nothing, so there is always an answer: whoever asks only for what
//! we do not have gets text 0.0.4, uncompressed. A header that cannot be read is as good as absent.

use hyper::{
    HeaderMap,
    header::{ACCEPT, ACCEPT_ENCODING, HeaderName, HeaderValue},
};

use crate::exposition::{Encoding, Format};

/// A preference in thousandths; 0 is "not acceptable".
type Weight = u16;
const FULL: Weight = 1000;

/// How a client wants metric names escaped that are not plain. Ours all are, so it is only echoed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escaping {
    AllowUtf8,
    Underscores,
    Dots,
    Values,
}

/// The type of an answer to a scrape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MediaType {
    Text,
    OpenMetrics(Escaping),
}

impl MediaType {
    pub(super) fn format(self) -> Format {
        match self {
            Self::Text => Format::Text,
            Self::OpenMetrics(_) => Format::OpenMetrics,
        }
    }

    /// The value of `Content-Type`.
    pub(super) fn header(self) -> HeaderValue {
        macro_rules! open_metrics {
            ($escaping:literal) => {
                concat!(
                    "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=",
                    $escaping
                )
            };
        }
        HeaderValue::from_static(match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics(Escaping::AllowUtf8) => open_metrics!("allow-utf-8"),
            Self::OpenMetrics(Escaping::Underscores) => open_metrics!("underscores"),
            Self::OpenMetrics(Escaping::Dots) => open_metrics!("dots"),
            Self::OpenMetrics(Escaping::Values) => open_metrics!("values"),
        })
    }
}

impl Escaping {
    fn known(value: &str) -> Option<Self> {
        match value {
            "allow-utf-8" => Some(Self::AllowUtf8),
            "underscores" => Some(Self::Underscores),
            "dots" => Some(Self::Dots),
            "values" => Some(Self::Values),
            _ => None,
        }
    }
}

/// How closely a range names text 0.0.4; the closest one decides how much text is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Closeness {
    Anything,
    AnyText,
    Text,
    ThisVersion,
}

/// The media type that the request's `Accept` headers prefer. `OpenMetrics` must be asked for by its
/// name and version 1.0.0. Of equal weights the one that is named first wins.
pub(super) fn media_type(headers: &HeaderMap) -> MediaType {
    let mut open_metrics: Option<(Weight, usize, Escaping)> = None;
    let mut text: Option<(Closeness, Weight, usize)> = None;
    for (place, range) in ranges(headers, &ACCEPT).enumerate() {
        let version = range.parameter("version");
        let closeness = if range.is("application/openmetrics-text") {
            let better = open_metrics.is_none_or(|(weight, ..)| range.weight > weight);
            if version == Some("1.0.0") && better {
                let escaping = range.parameter("escaping").and_then(Escaping::known);
                let escaping = escaping.unwrap_or(Escaping::Underscores);
                open_metrics = Some((range.weight, place, escaping));
            }
            continue;
        } else if range.is("text/plain") {
            match version {
                Some("0.0.4") => Closeness::ThisVersion,
                Some(_) => continue,
                None => Closeness::Text,
            }
        } else if range.is("text/*") {
            Closeness::AnyText
        } else if range.is("*/*") {
            Closeness::Anything
        } else {
            continue;
        };
        let better =
            text.is_none_or(|(so_far, weight, _)| (closeness, range.weight) > (so_far, weight));
        if better {
            text = Some((closeness, range.weight, place));
        }
    }
    match (open_metrics, text) {
        (None | Some((0, ..)), _) => MediaType::Text,
        (Some((_, _, escaping)), None) => MediaType::OpenMetrics(escaping),
        (Some((weight, place, escaping)), Some((closeness, text_weight, text_place))) => {
            let named_first = closeness >= Closeness::Text && text_place < place;
            if text_weight > weight || (text_weight == weight && named_first) {
                MediaType::Text
            } else {
                MediaType::OpenMetrics(escaping)
            }
        }
    }
}

/// The encoding that the request's `Accept-Encoding` headers prefer.
pub(super) fn encoding(headers: &HeaderMap) -> Encoding {
    let (mut gzip, mut identity, mut anything) = (None, None, None);
    for range in ranges(headers, &ACCEPT_ENCODING) {
        let slot = if range.is("gzip") || range.is("x-gzip") {
            &mut gzip
        } else if range.is("identity") {
            &mut identity
        } else if range.is("*") {
            &mut anything
        } else {
            continue;
        };
        *slot = Some(slot.map_or(range.weight, |so_far: Weight| so_far.max(range.weight)));
    }
    match (gzip.or(anything), identity) {
        // Plain bytes are refused by name, and gzip, which every client knows, is not.
        (None, Some(0)) => Encoding::Gzip,
        (None | Some(0), _) => Encoding::Identity,
        (Some(gzip), Some(identity)) if identity > gzip => Encoding::Identity,
        _ => Encoding::Gzip,
    }
}

/// One element of an `Accept` or `Accept-Encoding` header.
struct Range<'a> {
    name: &'a str,
    parameters: &'a str,
    weight: Weight,
}

impl<'a> Range<'a> {
    fn parse(element: &'a str) -> Option<Self> {
        let (name, parameters) = element.split_once(';').unwrap_or((element, ""));
        let mut range = Self {
            name: name.trim(),
            parameters,
            weight: FULL,
        };
        if let Some(text) = range.parameter("q") {
            range.weight = weight(text)?;
        }
        Some(range)
    }

    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    fn parameter(&self, wanted: &str) -> Option<&'a str> {
        split(self.parameters, b';').find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            let value = value.trim();
            let quoted = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
            name.trim()
                .eq_ignore_ascii_case(wanted)
                .then_some(quoted.unwrap_or(value))
        })
    }
}

/// Every readable element of every header of this name: several headers count as one joined list.
fn ranges<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = Range<'a>> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| split(value, b','))
        .filter_map(Range::parse)
}

/// Splits at `separator`, except inside double quotes.
fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c: char| {
        let ends = !quoted && c == char::from(separator);
        if escaped {
            escaped = false;
        } else if quoted && c == '\\' {
            escaped = true;
        } else if c == '"' {
            quoted = !quoted;
        }
        ends
    })
}

/// `0`, `0.5`, `1`, `1.000`: digits after the third are cut.
fn weight(text: &str) -> Option<Weight> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    match whole {
        "0" => Some(
            fraction
                .bytes()
                .chain(std::iter::repeat(b'0'))
                .take(3)
                .fold(0, |sum, digit| sum * 10 + Weight::from(digit - b'0')),
        ),
        "1" if fraction.bytes().all(|digit| digit == b'0') => Some(FULL),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
