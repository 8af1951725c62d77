//! Content negotiation: the format and the encoding that a request prefers.
//!
//! There is no 406: without an acceptable format, the response is text 0.0.4 without compression. An
//! element of a header that is not valid counts as absent.

use hyper::{
    HeaderMap,
    header::{ACCEPT, ACCEPT_ENCODING, HeaderName, HeaderValue},
};

use crate::exposition::{Encoding, Format};

/// A preference (`q`) in thousandths; 0 means "not acceptable".
type Weight = u16;
const FULL: Weight = 1000;

/// The media type of an exposition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MediaType {
    Text,
    /// With the escaping of metric names. Every name of this exporter is valid under every escaping, so
    /// the response only repeats the requested one.
    OpenMetrics(&'static str),
}

impl MediaType {
    fn open_metrics(escaping: Option<&str>) -> Self {
        let known = ["allow-utf-8", "dots", "values"].into_iter();
        let mut requested = known.filter(|known| Some(*known) == escaping);
        Self::OpenMetrics(requested.next().unwrap_or("underscores"))
    }

    pub(super) fn format(self) -> Format {
        match self {
            Self::Text => Format::Text,
            Self::OpenMetrics(_) => Format::OpenMetrics,
        }
    }

    pub(super) fn content_type(self) -> HeaderValue {
        let value = match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8".to_owned(),
            Self::OpenMetrics(escaping) => format!(
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping={escaping}"
            ),
        };
        HeaderValue::try_from(value).expect("the value is ASCII")
    }
}

/// How specific a media range is about text 0.0.4. The most specific range gives the weight of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Specificity {
    Any,
    AnyText,
    PlainText,
    Version,
}

/// The media type that the `Accept` headers prefer. `OpenMetrics` requires its name and version 1.0.0.
/// If two weights are equal, the first one wins.
pub(super) fn media_type(headers: &HeaderMap) -> MediaType {
    let mut open_metrics: Option<(Weight, usize, MediaType)> = None;
    let mut text: Option<(Specificity, Weight, usize)> = None;
    for (position, element) in elements(headers, &ACCEPT).enumerate() {
        let version = element.parameter("version");
        if element.is("application/openmetrics-text") {
            let is_better = open_metrics.is_none_or(|(weight, ..)| element.weight > weight);
            if version == Some("1.0.0") && is_better {
                let media_type = MediaType::open_metrics(element.parameter("escaping"));
                open_metrics = Some((element.weight, position, media_type));
            }
            continue;
        }
        let specificity = match version {
            Some("0.0.4") if element.is("text/plain") => Specificity::Version,
            None if element.is("text/plain") => Specificity::PlainText,
            _ if element.is("text/*") => Specificity::AnyText,
            _ if element.is("*/*") => Specificity::Any,
            _ => continue,
        };
        if text.is_none_or(|(best, weight, _)| (specificity, element.weight) > (best, weight)) {
            text = Some((specificity, element.weight, position));
        }
    }
    match (open_metrics, text) {
        (None | Some((0, ..)), _) => MediaType::Text,
        (Some((_, _, open_metrics)), None) => open_metrics,
        (
            Some((weight, position, open_metrics)),
            Some((specificity, text_weight, text_position)),
        ) => {
            let is_first = specificity >= Specificity::PlainText && text_position < position;
            if text_weight > weight || (text_weight == weight && is_first) {
                MediaType::Text
            } else {
                open_metrics
            }
        }
    }
}

/// The encoding that the `Accept-Encoding` headers prefer.
pub(super) fn encoding(headers: &HeaderMap) -> Encoding {
    let (mut gzip, mut identity, mut any) = (None, None, None);
    for element in elements(headers, &ACCEPT_ENCODING) {
        let weight = if element.is("gzip") || element.is("x-gzip") {
            &mut gzip
        } else if element.is("identity") {
            &mut identity
        } else if element.is("*") {
            &mut any
        } else {
            continue;
        };
        *weight = (*weight).max(Some(element.weight));
    }
    match (gzip.or(any), identity) {
        // The request refuses uncompressed bytes, and every client can decode gzip.
        (None, Some(0)) => Encoding::Gzip,
        (None | Some(0), _) => Encoding::Identity,
        (Some(gzip), Some(identity)) if identity > gzip => Encoding::Identity,
        _ => Encoding::Gzip,
    }
}

/// One element of an `Accept` or `Accept-Encoding` header.
struct Element<'a> {
    name: &'a str,
    parameters: &'a str,
    weight: Weight,
}

impl<'a> Element<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (name, parameters) = text.split_once(';').unwrap_or((text, ""));
        let mut element = Self {
            name: name.trim(),
            parameters,
            weight: FULL,
        };
        if let Some(text) = element.parameter("q") {
            element.weight = parse_weight(text)?;
        }
        Some(element)
    }

    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    fn parameter(&self, name: &str) -> Option<&'a str> {
        split(self.parameters, ';').find_map(|parameter| {
            let (key, value) = parameter.split_once('=')?;
            let value = value.trim();
            let quoted = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
            let is_it = key.trim().eq_ignore_ascii_case(name);
            is_it.then_some(quoted.unwrap_or(value))
        })
    }
}

/// The valid elements of all headers with this name: several headers count as one list.
fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = Element<'a>> {
    let values = headers.get_all(name).into_iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| split(value, ','))
        .filter_map(Element::parse)
}

/// Splits at `separator`, except inside double quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |c: char| {
        let is_separator = !is_quoted && c == separator;
        if is_escaped {
            is_escaped = false;
        } else if is_quoted && c == '\\' {
            is_escaped = true;
        } else if c == '"' {
            is_quoted = !is_quoted;
        }
        is_separator
    })
}

/// Parses `0`, `0.5`, `1`, `1.000`. Digits after the third are cut off.
fn parse_weight(text: &str) -> Option<Weight> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    match whole {
        "0" => format!("{fraction:0<3.3}").parse().ok(),
        "1" if fraction.bytes().all(|digit| digit == b'0') => Some(FULL),
        _ => None,
    }
}
