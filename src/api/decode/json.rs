//! Chosen keys of a JSON object, as slices of its text.

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{error::Category, value::RawValue};

/// One JSON value, borrowed from the text it was read from.
#[derive(Debug, PartialEq)]
pub(crate) enum Json<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number as it was written: ids have more digits than a float keeps.
    Number(&'a str),
    /// Text without its escapes.
    Text(Cow<'a, str>),
    /// An object's text, to be given to [`pick`].
    Object(&'a str),
    /// An array; nothing in a row is one.
    Array,
}

impl<'a> Json<'a> {
    /// Reads the text of one value, as [`pick`] gives it. Only text can fail: on a lone surrogate.
    pub(crate) fn read(raw: &'a str) -> serde_json::Result<Self> {
        Ok(match raw.as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'{') => Self::Object(raw),
            Some(b'[') => Self::Array,
            Some(b'"') => Self::Text(unquote(raw)?),
            _ => Self::Number(raw),
        })
    }
}

/// Is the text of a number an integer? (`1e5` and `1.0` are not: no id is written so.)
pub(super) fn integer(number: &str) -> bool {
    let digits = number.strip_prefix('-').unwrap_or(number);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Where a body stopped being what was expected, without a word of the body itself.
pub(super) fn place(fault: &serde_json::Error) -> String {
    match fault.classify() {
        Category::Eof => "the JSON ends too early".to_owned(),
        Category::Data => "not a JSON object".to_owned(),
        Category::Syntax | Category::Io => {
            let (line, column) = (fault.line(), fault.column());
            format!("not JSON at line {line}, column {column}")
        }
    }
}

fn unquote(raw: &str) -> serde_json::Result<Cow<'_, str>> {
    let inner = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"'));
    match inner {
        // The value has been scanned before, so that without a backslash it is what it looks like.
        Some(inner) if !inner.contains('\\') => Ok(Cow::Borrowed(inner)),
        _ => serde_json::from_str(raw).map(Cow::Owned),
    }
}

/// Reads an object's text and gives the raw text of the values of `keys`, in their order; of a key
/// that stands there twice the last one. Other keys are skipped whatever they hold.
pub(crate) fn pick<'a, const N: usize>(
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
        let mut keys = Position::in_order(self.0);
        while let Some(known) = map.next_key_seed(keys)? {
            match known {
                Some(position) => {
                    picked[position] = Some(map.next_value::<&RawValue>()?.get());
                    keys.expected = position + 1;
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(picked)
    }
}

/// Where a key stands in a list of keys, read without copying it.
#[derive(Clone, Copy)]
pub(super) struct Position<'k> {
    keys: &'k [&'k str],
    /// Where to look first: objects tend to keep their order.
    expected: usize,
}

impl<'k> Position<'k> {
    pub(super) fn in_order(keys: &'k [&'k str]) -> Self {
        Self { keys, expected: 0 }
    }
}

impl<'de> DeserializeSeed<'de> for Position<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Self::Value, D::Error> {
        input.deserialize_str(self)
    }
}

impl Visitor<'_> for Position<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        let (before, after) = self.keys.split_at(self.expected);
        let position = |keys: &[&str]| keys.iter().position(|known| *known == key);
        Ok(position(after)
            .map(|position| position + before.len())
            .or_else(|| position(before)))
    }
}
