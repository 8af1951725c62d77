//! One page of the endpoint list: the envelope `meta` and `objects`, read in one pass.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{error::Category, value::RawValue};

use super::{
    error::{self, ErrorKind},
    json::{Json, Key, is_integer, pick},
    row::{Row, RowShape, read_row},
};

/// A page may hold fewer than this many rows more than were asked for. Pages without end would fill the
/// memory.
const EXTRA_ROWS: usize = 10;

/// The result of one list request.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// Every row in the order received, readable or not; at most nine more than were asked for.
    pub rows: Vec<Row>,
    /// `meta.total_count` (or `meta.total`), where it is a number.
    pub total: Option<u64>,
    /// The response's `Date` header minus our clock when its head arrived, in seconds. Too low by up
    /// to a second, because the header has no fraction, and by the way back.
    pub clock_offset: Option<f64>,
    /// Which of the documented shapes the readable rows have.
    pub shape: RowShape,
}

/// Reads the body of a list response; `limit` rows were asked for. The error repeats no text of the body.
pub(super) fn read_page(body: &str, limit: u32) -> Result<Page, (ErrorKind, String)> {
    let malformed = |what: &str| (ErrorKind::Malformed, what.to_owned());
    let mut input = serde_json::Deserializer::from_str(body);
    let envelope = Envelope {
        max_rows: limit as usize + EXTRA_ROWS - 1,
        ..Envelope::default()
    };
    let envelope = input
        .deserialize_map(envelope)
        .and_then(|envelope| input.end().map(|()| envelope))
        .map_err(|error| malformed(&syntax_error(body, &error)))?;
    if error::is_error_body(envelope.error, envelope.status) {
        return Err(malformed("an error where a list was expected"));
    }
    let list = envelope.objects.ok_or_else(|| malformed("no `objects`"))?;
    if list.is_too_long {
        let message = "the page holds far more rows than were asked for";
        return Err((ErrorKind::TooLarge, message.to_owned()));
    }
    Ok(Page {
        rows: list.rows,
        total: envelope.meta.and_then(total),
        clock_offset: None,
        shape: list.shape,
    })
}

/// Where the body stopped being a page.
fn syntax_error(body: &str, error: &serde_json::Error) -> String {
    match error.classify() {
        Category::Eof => "the JSON ends too early".to_owned(),
        Category::Data if body.trim_start().starts_with('{') => {
            "`objects` is not a list".to_owned()
        }
        Category::Data => "not a JSON object".to_owned(),
        Category::Syntax | Category::Io => {
            let (line, column) = (error.line(), error.column());
            format!("not JSON at line {line}, column {column}")
        }
    }
}

fn total(meta: &str) -> Option<u64> {
    let keys = pick(meta, &["total_count", "total"]).ok()?;
    let mut values = keys.into_iter().map(Json::read);
    values.find_map(|value| match value.ok()? {
        Json::Number(number) if is_integer(number) => number.parse().ok(),
        Json::Text(text) => text.trim().parse().ok(),
        _ => None,
    })
}

#[derive(Default)]
struct Envelope<'a> {
    max_rows: usize,
    meta: Option<&'a str>,
    objects: Option<RowList>,
    error: Option<&'a str>,
    status: Option<&'a str>,
}

impl<'de> Visitor<'de> for Envelope<'de> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some(Key(key)) = map.next_key()? {
            match &*key {
                "meta" => self.meta = Some(map.next_value::<&RawValue>()?.get()),
                "objects" => self.objects = Some(map.next_value_seed(RowReader(self.max_rows))?),
                "error" => self.error = Some(map.next_value::<&RawValue>()?.get()),
                "status" => self.status = Some(map.next_value::<&RawValue>()?.get()),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(self)
    }
}

#[derive(Default)]
struct RowList {
    rows: Vec<Row>,
    shape: RowShape,
    /// The list has more rows than were read.
    is_too_long: bool,
}

/// Reads `objects`, up to this many rows.
struct RowReader(usize);

impl<'de> DeserializeSeed<'de> for RowReader {
    type Value = RowList;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<RowList, D::Error> {
        input.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for RowReader {
    type Value = RowList;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<RowList, A::Error> {
        let mut list = RowList::default();
        while let Some(raw) = elements.next_element::<&RawValue>()? {
            if list.rows.len() == self.0 {
                list.is_too_long = true;
                while elements.next_element::<IgnoredAny>()?.is_some() {}
                break;
            }
            let (row, shape) = read_row(raw.get());
            list.rows.push(row);
            list.shape = list.shape.and(shape);
        }
        Ok(list)
    }
}
