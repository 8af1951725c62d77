//! A file in TOML becomes the same tree as one in YAML: every value remembers `FILE:LINE`.
//!
//! The `config` crate's own reader forgets the lines, and makes text of dates that nobody quoted.

use config::{Map, Value, ValueKind};
use toml::de::{DeTable, DeValue};

use super::{
    mistake::{DEEPEST, MOST_VALUES, Mistake, NOT_DECIMAL, TOO_DEEP, TOO_MANY},
    schema::join,
};

/// The file's root table, or what is wrong with it as TOML.
pub(super) fn read(text: &str, file: &str) -> (Map<String, Value>, Vec<Mistake>) {
    let mut reader = Reader {
        file,
        lines: text.match_indices('\n').map(|(at, _)| at).collect(),
        values: 0,
        mistakes: Vec::new(),
    };
    let table = match DeTable::parse(text) {
        Ok(table) => reader.table(table.into_inner(), "", 1),
        Err(error) => {
            // Only the message: the error's own display draws an excerpt, where a token may stand.
            let at = error.span().map_or(0, |span| span.start);
            let message = error.message().lines().collect::<Vec<_>>().join(": ");
            reader.mistake(at, "", format!("is not valid TOML: {message}"));
            Map::new()
        }
    };
    if reader.values > MOST_VALUES {
        return (Map::new(), reader.mistakes);
    }
    (table, reader.mistakes)
}

struct Reader<'f> {
    file: &'f str,
    /// Where each line ends.
    lines: Vec<usize>,
    values: usize,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn table(&mut self, table: DeTable<'_>, path: &str, depth: usize) -> Map<String, Value> {
        let mut entries = Map::new();
        for (key, value) in table {
            // A table's own span may lie before the key, in the header that it shares.
            let at = key.span().start;
            let key = key.into_inner().into_owned();
            let value = self.value(value.into_inner(), at, &join(path, &key), depth);
            entries.insert(key, value);
        }
        entries
    }

    fn value(&mut self, value: DeValue<'_>, at: usize, path: &str, depth: usize) -> Value {
        self.values += 1;
        if self.values == MOST_VALUES + 1 {
            self.mistake(at, path, TOO_MANY);
        }
        let is_deep = depth == DEEPEST && matches!(value, DeValue::Array(_) | DeValue::Table(_));
        let kind = match value {
            _ if self.values > MOST_VALUES => ValueKind::Nil,
            _ if is_deep => {
                self.mistake(at, path, TOO_DEEP);
                ValueKind::Nil
            }
            DeValue::Table(table) => ValueKind::Table(self.table(table, path, depth + 1)),
            DeValue::Array(items) => {
                let items = items.into_iter().enumerate().map(|(index, item)| {
                    let at = item.span().start;
                    let path = format!("{path}[{index}]");
                    self.value(item.into_inner(), at, &path, depth + 1)
                });
                ValueKind::Array(items.collect())
            }
            DeValue::String(text) => ValueKind::String(text.into_owned()),
            DeValue::Boolean(flag) => ValueKind::Boolean(flag),
            DeValue::Integer(number) => {
                if number.radix() != 10 {
                    self.mistake(at, path, NOT_DECIMAL);
                }
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => ValueKind::I64(number),
                    // Too large; no key that takes a number takes this one.
                    Err(_) => ValueKind::Float(number.as_str().parse().unwrap_or(f64::INFINITY)),
                }
            }
            DeValue::Float(number) => ValueKind::Float(number.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Datetime(date) => {
                let wrong = "must not be a date; write the value in quotes if it is text";
                self.mistake(at, path, wrong);
                ValueKind::String(date.to_string())
            }
        };
        Value::new(Some(&format!("{}:{}", self.file, self.line(at))), kind)
    }

    fn line(&self, at: usize) -> usize {
        1 + self.lines.partition_point(|end| *end < at)
    }

    fn mistake(&mut self, at: usize, path: &str, message: impl Into<String>) {
        self.mistakes.push(Mistake {
            place: format!("{}:{}", self.file, self.line(at)),
            path: path.to_owned(),
            message: message.into(),
        });
    }
}
