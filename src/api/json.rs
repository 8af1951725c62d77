//! Chosen keys of a JSON object, as slices of its text: no tree of values is built for a page.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// One JSON value, borrowed from the text it was read from. An absent key is `Null`.
pub(super) enum Json<'a> {
    Null,
    Bool(bool),
    /// The number as it was written: ids have more digits than a float keeps.
    Number(&'a str),
    /// Text without its escapes.
    Text(Cow<'a, str>),
    /// The text of an array or of an object.
    Array(&'a str),
    Object(&'a str),
}

impl Json<'_> {
    /// A number as it was written, or text without surrounding spaces.
    pub(super) fn word(&self) -> Option<&str> {
        match self {
            Self::Number(number) => Some(number),
            Self::Text(text) => Some(text.trim()),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Json<'de> {
    /// Of valid JSON, only text with a lone surrogate gives an error.
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(input)?.get();
        Ok(match raw.as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'[') => Self::Array(raw),
            Some(b'{') => Self::Object(raw),
            // Text without a backslash needs no second pass.
            Some(b'"') if !raw.contains('\\') => Self::Text(raw[1..raw.len() - 1].into()),
            Some(b'"') => Self::Text(serde_json::from_str(raw).map_err(D::Error::custom)?),
            _ => Self::Number(raw),
        })
    }
}

/// Whether the number is an integer. `1e5` and `1.0` are not: no id is written so.
pub(super) fn is_integer(number: &str) -> bool {
    let digits = number.strip_prefix('-').unwrap_or(number);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The values of `keys` in the text of an object, in the order of `keys`. Of a repeated key the last
/// value counts; other keys are skipped.
pub(super) fn pick<'a, const N: usize>(
    object: &'a str,
    keys: &[&str; N],
) -> serde_json::Result<[Json<'a>; N]> {
    let mut input = serde_json::Deserializer::from_str(object);
    let picked = input.deserialize_map(Picker(keys))?;
    input.end()?;
    Ok(picked)
}

struct Picker<'k, const N: usize>(&'k [&'k str; N]);

impl<'de, const N: usize> Visitor<'de> for Picker<'_, N> {
    type Value = [Json<'de>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut picked = [const { Json::Null }; N];
        // The search begins behind the last match: rows tend to have their keys in the same order.
        let mut expected = 0;
        while let Some(Key(key)) = map.next_key()? {
            let mut positions = (expected..N).chain(0..expected);
            if let Some(position) = positions.find(|position| self.0[*position] == key) {
                picked[position] = map.next_value()?;
                expected = position + 1;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(picked)
    }
}

/// A key; borrowed unless it has escapes. Reading it as [`Json`] would take half as long again.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);
