//! Chosen keys of a JSON object, as slices of its text: no tree of values is built for a page.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer as _,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// One JSON value, borrowed from the text it was read from.
pub(super) enum Json<'a> {
    /// `null`, or a key that is absent.
    Null,
    Bool(bool),
    /// The number as it was written: ids have more digits than a float keeps.
    Number(&'a str),
    /// Text without its escapes.
    Text(Cow<'a, str>),
    /// An object or an array.
    Compound,
}

impl<'a> Json<'a> {
    /// Reads a raw value from [`pick`]. Only text can fail: on a lone surrogate.
    pub(super) fn read(raw: Option<&'a str>) -> serde_json::Result<Self> {
        let Some(raw) = raw else {
            return Ok(Self::Null);
        };
        let unquoted = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"'));
        Ok(match (raw.as_bytes().first(), unquoted) {
            (Some(b'n'), _) => Self::Null,
            (Some(b't'), _) => Self::Bool(true),
            (Some(b'f'), _) => Self::Bool(false),
            (Some(b'{' | b'['), _) => Self::Compound,
            // `pick` has validated the value: text without a backslash needs no second pass.
            (_, Some(text)) if !text.contains('\\') => Self::Text(text.into()),
            (_, Some(_)) => Self::Text(serde_json::from_str::<String>(raw)?.into()),
            (_, None) => Self::Number(raw),
        })
    }
}

/// Whether the number is an integer. `1e5` and `1.0` are not: no id is written so.
pub(super) fn is_integer(number: &str) -> bool {
    let digits = number.strip_prefix('-').unwrap_or(number);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The raw values of `keys` in the text of an object, in the order of `keys`. Of a repeated key the last
/// value counts; other keys are skipped.
pub(super) fn pick<'a, const N: usize>(
    object: &'a str,
    keys: &[&str; N],
) -> serde_json::Result<[Option<&'a str>; N]> {
    let mut input = serde_json::Deserializer::from_str(object);
    let picked = input.deserialize_map(Picker(keys))?;
    input.end()?;
    Ok(picked)
}

struct Picker<'k, const N: usize>(&'k [&'k str; N]);

impl<'de, const N: usize> Visitor<'de> for Picker<'_, N> {
    type Value = [Option<&'de str>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut picked = [None; N];
        // The search begins behind the last match: rows tend to have their keys in the same order.
        let mut expected = 0;
        while let Some(Key(key)) = map.next_key()? {
            let mut positions = (expected..N).chain(0..expected);
            if let Some(position) = positions.find(|position| self.0[*position] == key) {
                picked[position] = Some(map.next_value::<&RawValue>()?.get());
                expected = position + 1;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(picked)
    }
}

/// A key; borrowed unless it has escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);
