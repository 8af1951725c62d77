//! Content negotiation: the format and the encoding that a request prefers.
//!
//! The server never responds with status 406. Its default is text format 0.0.4 without compression. Invalid
//! elements of a header are ignored.

use hyper::{
    HeaderMap,
    header::{ACCEPT, ACCEPT_ENCODING, HeaderName},
};

use crate::exposition::{Encoding, Format};

/// The format that the `Accept` headers prefer, and its content type. A client must request `OpenMetrics` by
/// name and version 1.0.0. With equal weights of both formats, the first format that a header names is chosen.
pub(super) fn format(headers: &HeaderMap) -> (Format, &'static str) {
    let (mut open_metrics, mut escaping) = ((0.0, 0), None);
    // Weight and position of the most specific media range that matches the text format.
    let (mut text, mut text_specificity) = ((0.0, 0), 0);
    for (position, element) in elements(headers, &ACCEPT).enumerate() {
        let specificity = match (&*element.name, element.version) {
            ("application/openmetrics-text", Some("1.0.0")) => {
                if element.weight > open_metrics.0 {
                    (open_metrics, escaping) = ((element.weight, position), element.escaping);
                }
                continue;
            }
            ("text/plain", Some("0.0.4")) => 4,
            ("text/plain", None) => 3,
            ("text/*", _) => 2,
            ("*/*", _) => 1,
            _ => continue,
        };
        if (specificity, element.weight) > (text_specificity, text.0) {
            (text, text_specificity) = ((element.weight, position), specificity);
        }
    }
    // If the weights are equal, a format that the request names takes precedence over a wildcard.
    let is_first = text_specificity >= 3 && text.1 < open_metrics.1;
    let is_text = text.0 > open_metrics.0 || (text.0 >= open_metrics.0 && is_first);
    if is_text || open_metrics.0 <= 0.0 {
        return (Format::Text, "text/plain; version=0.0.4; charset=utf-8");
    }
    // All escaping schemes give the same metric names. The default scheme of the response is `underscores`.
    let content_type = match escaping {
        Some("allow-utf-8") => {
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8"
        }
        Some("dots") => "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=dots",
        Some("values") => {
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=values"
        }
        _ => "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
    };
    (Format::OpenMetrics, content_type)
}

/// The encoding that the `Accept-Encoding` headers prefer.
pub(super) fn encoding(headers: &HeaderMap) -> Encoding {
    let (mut gzip, mut identity, mut any) = (None, None, None);
    for element in elements(headers, &ACCEPT_ENCODING) {
        let weight = match &*element.name {
            "gzip" | "x-gzip" => &mut gzip,
            "identity" => &mut identity,
            "*" => &mut any,
            _ => continue,
        };
        *weight = Some(element.weight.max(weight.unwrap_or(0.0)));
    }
    let gzip = match gzip.or(any) {
        Some(weight) => weight,
        // The request refuses uncompressed bytes, and gzip is the only other encoding.
        None if identity == Some(0.0) => 1.0,
        None => 0.0,
    };
    if gzip > 0.0 && gzip >= identity.unwrap_or(0.0) {
        Encoding::Gzip
    } else {
        Encoding::Identity
    }
}

/// One element of an `Accept` or `Accept-Encoding` header.
struct Element<'a> {
    /// The media type or the encoding, in lower case.
    name: String,
    version: Option<&'a str>,
    escaping: Option<&'a str>,
    /// The parameter `q`; 0 means "not acceptable".
    weight: f32,
}

/// The valid elements of all headers with this name. Several headers are read as one list.
fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = Element<'a>> {
    let values = headers.get_all(name).into_iter();
    let values = values.filter_map(|value| value.to_str().ok());
    let elements = values.flat_map(|value| split(value, ','));
    elements.filter_map(|element| {
        let mut parts = split(element, ';');
        let mut element = Element {
            name: parts.next()?.trim().to_ascii_lowercase(),
            version: None,
            escaping: None,
            weight: 1.0,
        };
        for (key, value) in parts.filter_map(|part| part.split_once('=')) {
            let (key, value) = (key.trim(), value.trim().trim_matches('"'));
            if key.eq_ignore_ascii_case("version") {
                element.version = Some(value);
            } else if key.eq_ignore_ascii_case("escaping") {
                element.escaping = Some(value);
            } else if key.eq_ignore_ascii_case("q") {
                // A weight has only digits and a point. `parse` also accepts signs, exponents and `inf`.
                let is_decimal = value.starts_with(['0', '1'])
                    && value
                        .bytes()
                        .all(|byte| byte.is_ascii_digit() || byte == b'.');
                let weight = value.parse().ok().filter(|weight| *weight <= 1.0);
                element.weight = weight.filter(|_| is_decimal)?;
            }
        }
        Some(element)
    })
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
