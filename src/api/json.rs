//! Reads selected keys of a JSON object as slices of its text. Builds no tree of all values of the object.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// One JSON value, which borrows from its source text if possible. The value of an absent key is `Null`.
#[derive(Default)]
pub(super) enum Json<'a> {
    #[default]
    Null,
    Bool(bool),
    /// The number as written, because an id may have more digits than a float can hold.
    Number(&'a str),
    /// The text after the decoding of escapes. Only text with escapes is a copy.
    Text(Cow<'a, str>),
    /// The JSON text of the list.
    Array(&'a str),
    /// The JSON text of the object.
    Object(&'a str),
}

impl Json<'_> {
    /// A number as written, or text without surrounding spaces; `None` for any other value.
    pub(super) fn word(&self) -> Option<&str> {
        match self {
            Self::Number(number) => Some(number),
            Self::Text(text) => Some(text.trim()),
            _ => None,
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Json<'a> {
    /// Among valid JSON values, only text with a lone surrogate gives an error.
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(input)?.get();
        Ok(match raw.as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'[') => Self::Array(raw),
            Some(b'{') => Self::Object(raw),
            // Text without a backslash has no escapes to decode.
            Some(b'"') if !raw.contains('\\') => Self::Text(raw[1..raw.len() - 1].into()),
            Some(b'"') => Self::Text(serde_json::from_str(raw).map_err(D::Error::custom)?),
            _ => Self::Number(raw),
        })
    }
}

/// Whether the number is an integer. `1e5` and `1.0` do not count as integers, because no id has this form.
pub(super) fn is_integer(number: &str) -> bool {
    let digits = number.strip_prefix('-').unwrap_or(number);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The values of `keys` in an object's text, in the order of `keys`. If a key repeats, its later value is used.
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
        // The search begins after the previous match, because most objects have the requested order.
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

/// A key, which is borrowed unless it has escapes. Reading a key as [`Json`] would take 50 % more time.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);
