//! The vendor's forms of a point in time.

use std::borrow::Cow;

use jiff::{fmt::temporal::DateTimeParser, tz::Offset};

use crate::clock::UnixMillis;

/// A point in time as a row tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// With its zone.
    Exact(UnixMillis),
    /// Without one, read as UTC.
    Assumed(UnixMillis),
}

/// Digits of a second's fraction that the parser takes.
const FRACTION_DIGITS: usize = 9;

const PARSER: DateTimeParser = DateTimeParser::new();

/// Reads `2025-10-28T11:30:00Z` and its kin: a space for the `T`, a fraction of any length, any
/// offset or none, a date alone. Anything else is `None`: numbers (seconds since when, or to go?),
/// other words, and times up to 1970, which are somebody's zero and no fact about an endpoint.
pub(super) fn moment(text: &str) -> Option<Moment> {
    let text = text.trim();
    let (date, time) = text.split_at_checked("2025-10-28".len())?;
    if !date.starts_with(|first: char| first.is_ascii_digit()) || date.as_bytes()[4] != b'-' {
        return None;
    }
    let text = shortened(text);
    let has_zone = time.contains(['Z', 'z', '+', '-', '[']);
    let moment = if has_zone {
        PARSER.parse_timestamp(text.as_bytes()).ok()?
    } else {
        let naive = PARSER.parse_datetime(text.as_bytes()).ok()?;
        Offset::UTC.to_timestamp(naive).ok()?
    };
    let moment = UnixMillis(moment.as_millisecond());
    match has_zone {
        _ if moment.0 <= 0 => None,
        true => Some(Moment::Exact(moment)),
        false => Some(Moment::Assumed(moment)),
    }
}

/// The text with its fraction cut to what the parser takes.
fn shortened(text: &str) -> Cow<'_, str> {
    let Some(start) = text.find(['.', ',']).map(|point| point + 1) else {
        return Cow::Borrowed(text);
    };
    let digits = text[start..].bytes().take_while(u8::is_ascii_digit).count();
    if digits <= FRACTION_DIGITS {
        return Cow::Borrowed(text);
    }
    let (kept, rest) = (start + FRACTION_DIGITS, start + digits);
    Cow::Owned([&text[..kept], &text[rest..]].concat())
}
