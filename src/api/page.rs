//! One page of the endpoint list: the envelope `meta` and `objects`.

use std::fmt;

use serde::{
    Deserializer as _,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use serde_json::{error::Category, value::RawValue};

use super::{
    error,
    json::{Json, is_integer, pick},
    row::{Row, read_row},
};
use crate::telemetry::ErrorKind;

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
}

/// Reads the body of a list response; `limit` rows were asked for. The error repeats no text of the body.
pub(super) fn read_page(body: &str, limit: u32) -> Result<Page, (ErrorKind, String)> {
    let malformed = |message: &str| (ErrorKind::Malformed, message.to_owned());
    let invalid = |error| malformed(&syntax_error(&error));
    let envelope = pick(body, &["meta", "objects", "error", "status"]);
    let [meta, objects, error, status] = envelope.map_err(invalid)?;
    if error::is_error_body(error, status) {
        return Err(malformed("an error where a list was expected"));
    }
    let objects = objects.ok_or_else(|| malformed("no `objects`"))?;
    if !objects.starts_with('[') {
        return Err(malformed("`objects` is not a list"));
    }
    let reader = RowReader(limit as usize + EXTRA_ROWS - 1);
    let mut input = serde_json::Deserializer::from_str(objects);
    let Some(rows) = input.deserialize_seq(reader).map_err(invalid)? else {
        let message = "the page holds far more rows than were asked for";
        return Err((ErrorKind::TooLarge, message.to_owned()));
    };
    Ok(Page {
        rows,
        total: meta.and_then(total),
        clock_offset: None,
    })
}

/// Where the body stopped being a page.
fn syntax_error(error: &serde_json::Error) -> String {
    match error.classify() {
        Category::Eof => "the JSON ends too early".to_owned(),
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

/// Reads the rows of a list; `None` if there are more than this.
struct RowReader(usize);

impl<'de> Visitor<'de> for RowReader {
    type Value = Option<Vec<Row>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut rows = Vec::new();
        while let Some(raw) = list.next_element::<&RawValue>()? {
            if rows.len() == self.0 {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(None);
            }
            rows.push(read_row(raw.get()));
        }
        Ok(Some(rows))
    }
}
