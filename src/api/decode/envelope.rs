//! The envelope of a list: `meta` and `objects`.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{
    json::{Json, Position, integer, pick, place},
    row,
};
use crate::api::{Row, RowShape, refusal};

/// A page may hold fewer than this many rows more than were asked for. A vendor that gives pages of any
/// size, without end, would fill the memory.
const EXTRA_ROWS: usize = 10;

const KEYS: [&str; 4] = ["meta", "objects", "error", "status"];

/// Why a body is not a page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotAPage {
    /// Not JSON, an error, or without a list under `objects`; says which, without the body's words.
    Malformed(String),
    /// Far more rows than were asked for.
    TooManyRows,
}

/// Reads a list's body: its rows in order, `meta.total_count` (or `meta.total`), and their shape.
/// `limit` rows were asked for.
pub(crate) fn page(body: &str, limit: u32) -> Result<(Vec<Row>, Option<u64>, RowShape), NotAPage> {
    let malformed = |what: &str| NotAPage::Malformed(what.to_owned());
    let mut input = serde_json::Deserializer::from_str(body);
    let envelope = Envelope {
        most_rows: limit as usize + EXTRA_ROWS - 1,
        ..Envelope::default()
    };
    let envelope = input
        .deserialize_map(envelope)
        .and_then(|envelope| input.end().map(|()| envelope))
        .map_err(|fault| NotAPage::Malformed(place(&fault)))?;
    if refusal::is_told_by(envelope.error, envelope.status) {
        return Err(malformed("an error where a list was expected"));
    }
    match envelope.objects {
        Some(Objects::Rows(rows, shape)) => Ok((rows, envelope.meta.and_then(total), shape)),
        Some(Objects::TooMany) => Err(NotAPage::TooManyRows),
        Some(Objects::NotAList) => Err(malformed("`objects` is not a list")),
        None => Err(malformed("no `objects`")),
    }
}

fn total(meta: &str) -> Option<u64> {
    let [total_count, total] = pick(meta, &["total_count", "total"]).ok()?;
    [total_count, total]
        .into_iter()
        .flatten()
        .find_map(|raw| match Json::read(raw).ok()? {
            Json::Number(number) if integer(number) => number.parse().ok(),
            Json::Text(text) => text.trim().parse().ok(),
            _ => None,
        })
}

#[derive(Default)]
struct Envelope<'a> {
    /// A list of more is refused.
    most_rows: usize,
    meta: Option<&'a str>,
    objects: Option<Objects>,
    error: Option<&'a str>,
    status: Option<&'a str>,
}

enum Objects {
    Rows(Vec<Row>, RowShape),
    TooMany,
    NotAList,
}

impl<'de> Visitor<'de> for Envelope<'de> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some(known) = map.next_key_seed(Position::in_order(&KEYS))? {
            match known {
                Some(0) => self.meta = Some(map.next_value::<&RawValue>()?.get()),
                Some(1) => self.objects = Some(map.next_value_seed(Reading(self.most_rows))?),
                Some(2) => self.error = Some(map.next_value::<&RawValue>()?.get()),
                Some(_) => self.status = Some(map.next_value::<&RawValue>()?.get()),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(self)
    }
}

/// Reads `objects`, whatever it is; a list of at most so many rows.
struct Reading(usize);

impl<'de> DeserializeSeed<'de> for Reading {
    type Value = Objects;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Objects, D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reading {
    type Value = Objects;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Objects, A::Error> {
        let mut rows = Vec::new();
        let mut shape = RowShape::default();
        while let Some(raw) = list.next_element::<&RawValue>()? {
            if rows.len() == self.0 {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(Objects::TooMany);
            }
            let (row, seen) = row::row(raw.get());
            rows.push(row);
            shape = shape.and(seen);
        }
        Ok(Objects::Rows(rows, shape))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Objects, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Objects::NotAList)
    }

    fn visit_unit<E>(self) -> Result<Objects, E> {
        Ok(Objects::NotAList)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Objects, E> {
        Ok(Objects::NotAList)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Objects, E> {
        Ok(Objects::NotAList)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Objects, E> {
        Ok(Objects::NotAList)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Objects, E> {
        Ok(Objects::NotAList)
    }

    fn visit_str<E>(self, _: &str) -> Result<Objects, E> {
        Ok(Objects::NotAList)
    }
}
