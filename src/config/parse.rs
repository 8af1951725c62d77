//! A YAML or TOML file becomes a tree of values in which every value stores `FILE:LINE`.
//!
//! The `config` crate's own readers lose information: they drop the lines, read an unquoted YAML key
//! `0123` as `123`, keep one of two equal keys, and turn TOML dates into text.

use std::{collections::HashMap, str::Chars};

use config::{Map, Value, ValueKind};
use toml::de::{DeTable, DeValue};
use yaml_rust2::{
    Yaml,
    parser::{Event, Parser, Tag},
    scanner::TScalarStyle,
};

use super::{
    error::Diagnostics,
    keys::{join, shown_key},
};

/// Nested lists and tables. The deepest setting has a tenth of it.
const MAX_DEPTH: usize = 64;
/// Values in one file. A YAML alias counts as many as it repeats.
const MAX_VALUES: usize = 200_000;
const TOO_MANY: &str = "holds more than 200,000 values";
const TOO_DEEP: &str = "is nested deeper than 64 levels";
const NOT_DECIMAL: &str = "must be a number in decimal digits, or a text in quotes";

/// An error after which the rest of the file is not read; it is reported already.
struct Stopped;

/// The root table of the YAML in `text`. Errors are reported with `file` as their place.
pub(super) fn yaml(text: &str, file: &str, diagnostics: &Diagnostics) -> Map<String, Value> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = YamlReader {
        parser: Parser::new_from_str(text),
        source: Source {
            file,
            diagnostics,
            values: 0,
        },
        anchors: HashMap::new(),
    };
    match reader.document() {
        Ok(ValueKind::Table(table)) => table,
        Ok(ValueKind::Nil) | Err(Stopped) => Map::new(),
        Ok(_) => {
            let message = "must hold keys such as `accounts:` at its top level";
            reader.source.error(1, "", message);
            Map::new()
        }
    }
}

/// The root table of the TOML in `text`. Errors are reported with `file` as their place.
pub(super) fn toml(text: &str, file: &str, diagnostics: &Diagnostics) -> Map<String, Value> {
    let mut reader = TomlReader {
        line_ends: text.match_indices('\n').map(|(at, _)| at).collect(),
        source: Source {
            file,
            diagnostics,
            values: 0,
        },
    };
    let table = match DeTable::parse(text) {
        Ok(table) => reader.table(table.into_inner(), "", 1),
        Err(error) => {
            // The error's own display quotes the file, which may hold a token.
            let message = error.message().lines().collect::<Vec<_>>().join(": ");
            let line = reader.line(error.span().map_or(0, |span| span.start));
            (reader.source).error(line, "", format!("is not valid TOML: {message}"));
            Err(Stopped)
        }
    };
    table.unwrap_or_default()
}

/// What both formats share.
struct Source<'f> {
    file: &'f str,
    diagnostics: &'f Diagnostics,
    values: usize,
}

impl Source<'_> {
    fn error(&self, line: usize, path: &str, message: impl Into<String>) {
        let place = format!("{}:{line}", self.file);
        self.diagnostics.error(place, path, message);
    }

    fn stop<T>(&self, line: usize, path: &str, message: &str) -> Result<T, Stopped> {
        self.error(line, path, message);
        Err(Stopped)
    }

    fn count(&mut self, values: usize, line: usize, path: &str) -> Result<(), Stopped> {
        self.values += values;
        match self.values {
            ..=MAX_VALUES => Ok(()),
            _ if values > 1 => self.stop(line, path, "its aliases repeat too much"),
            _ => self.stop(line, path, TOO_MANY),
        }
    }

    fn value(&self, kind: ValueKind, line: usize) -> Value {
        Value::new(Some(&format!("{}:{line}", self.file)), kind)
    }
}

/// Builds values from events. The parser's own loader overflows the stack on a deep file, and
/// forgets the lines.
struct YamlReader<'f> {
    parser: Parser<Chars<'f>>,
    source: Source<'f>,
    anchors: HashMap<usize, Value>,
}

impl YamlReader<'_> {
    /// The next event and its line; `path` is the key that it belongs to.
    fn next(&mut self, path: &str) -> Result<(Event, usize), Stopped> {
        match self.parser.next_token() {
            Ok((event, mark)) => Ok((event, mark.line())),
            Err(error) => {
                // The parser's messages name the expected syntax; they never quote the file.
                let message = format!("is not valid YAML: {}", error.info());
                self.source.stop(error.marker().line(), path, &message)
            }
        }
    }

    /// The value of the first document.
    fn document(&mut self) -> Result<ValueKind, Stopped> {
        let mut root = None;
        loop {
            let (event, line) = self.next("")?;
            match event {
                Event::DocumentStart if root.is_some() => {
                    let message = "holds more than one YAML document; keep one";
                    self.source.error(line, "", message);
                    break;
                }
                Event::StreamEnd => break,
                Event::Nothing | Event::StreamStart | Event::DocumentStart | Event::DocumentEnd => {
                }
                event => root = Some(self.node(event, line, "", 0)?.kind),
            }
        }
        Ok(root.unwrap_or(ValueKind::Nil))
    }

    /// The value that begins with `event`.
    fn node(
        &mut self,
        event: Event,
        line: usize,
        path: &str,
        depth: usize,
    ) -> Result<Value, Stopped> {
        let (kind, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_text =
                    style != TScalarStyle::Plain || self.is_text(tag.as_ref(), line, path);
                (self.scalar(text, is_text, line, path), anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.as_ref(), line, path);
                (self.list(line, path, depth)?, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.as_ref(), line, path);
                (self.table(line, path, depth)?, anchor)
            }
            Event::Alias(anchor) => (self.alias(anchor, line, path, depth)?, 0),
            _ => (ValueKind::Nil, 0),
        };
        self.source.count(1, line, path)?;
        let value = self.source.value(kind, line);
        if anchor > 0 {
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    fn scalar(&self, text: String, is_text: bool, line: usize, path: &str) -> ValueKind {
        if is_text {
            return ValueKind::String(text);
        }
        let is_decimal = !text.starts_with("0x") && !text.starts_with("0o");
        let kind = unquoted(text);
        if matches!(kind, ValueKind::I64(_)) && !is_decimal {
            self.source.error(line, path, NOT_DECIMAL);
        }
        kind
    }

    fn list(&mut self, line: usize, path: &str, depth: usize) -> Result<ValueKind, Stopped> {
        if depth == MAX_DEPTH {
            return self.source.stop(line, path, TOO_DEEP);
        }
        let mut items = Vec::new();
        loop {
            let path = format!("{path}[{}]", items.len());
            let (event, line) = self.next(&path)?;
            if event == Event::SequenceEnd {
                return Ok(ValueKind::Array(items));
            }
            items.push(self.node(event, line, &path, depth + 1)?);
        }
    }

    fn table(&mut self, line: usize, path: &str, depth: usize) -> Result<ValueKind, Stopped> {
        if depth == MAX_DEPTH {
            return self.source.stop(line, path, TOO_DEEP);
        }
        let mut entries = Map::new();
        loop {
            let (event, line) = self.next(path)?;
            let key = match event {
                Event::MappingEnd => return Ok(ValueKind::Table(entries)),
                Event::Scalar(text, style, _, tag) => {
                    let is_text =
                        style != TScalarStyle::Plain || self.is_text(tag.as_ref(), line, path);
                    self.check_key(&text, is_text, entries.contains_key(&text), line, path);
                    Some(text).filter(|key| !entries.contains_key(key))
                }
                event => {
                    self.node(event, line, path, depth + 1)?;
                    let message = "a key must be text, not a list or a table";
                    self.source.error(line, path, message);
                    None
                }
            };
            let path = key.as_ref().map_or(path.to_owned(), |key| join(path, key));
            let (event, line) = self.next(&path)?;
            let value = self.node(event, line, &path, depth + 1)?;
            if let Some(key) = key {
                entries.insert(key, value);
            }
        }
    }

    fn check_key(&self, key: &str, is_text: bool, is_repeated: bool, line: usize, path: &str) {
        if !is_text && !matches!(unquoted(key.to_owned()), ValueKind::String(_)) {
            let shown = match key {
                "" | "~" => "~".to_owned(),
                _ => shown_key(key),
            };
            let message = format!("the key {shown} is not text to YAML; write it in quotes");
            self.source.error(line, path, message);
        }
        if is_repeated {
            let message = format!("the key \"{}\" stands here twice; keep one", shown_key(key));
            self.source.error(line, path, message);
        }
    }

    /// The value that an alias repeats.
    fn alias(
        &mut self,
        anchor: usize,
        line: usize,
        path: &str,
        depth: usize,
    ) -> Result<ValueKind, Stopped> {
        let Some(value) = self.anchors.get(&anchor) else {
            let message = "an alias can only repeat a value that ended before it";
            self.source.error(line, path, message);
            return Ok(ValueKind::Nil);
        };
        let (values, levels) = extent(&value.kind);
        if depth + levels > MAX_DEPTH {
            return self.source.stop(line, path, TOO_DEEP);
        }
        self.source.count(values, line, path)?;
        Ok(value.kind.clone())
    }

    /// `!!str` makes a scalar text as quotes do; other tags are refused.
    fn is_text(&self, tag: Option<&Tag>, line: usize, path: &str) -> bool {
        let is_text =
            tag.is_some_and(|tag| tag.handle == "tag:yaml.org,2002:" && tag.suffix == "str");
        if !is_text {
            self.refuse_tag(tag, line, path);
        }
        is_text
    }

    fn refuse_tag(&self, tag: Option<&Tag>, line: usize, path: &str) {
        if tag.is_some() {
            let message = "YAML tags (`!...`) mean nothing here; quote text instead";
            self.source.error(line, path, message);
        }
    }
}

/// The value of an unquoted YAML scalar.
fn unquoted(text: String) -> ValueKind {
    match Yaml::from_str(&text) {
        Yaml::Integer(number) => ValueKind::I64(number),
        Yaml::Real(number) => ValueKind::Float(number.parse().unwrap_or(f64::NAN)),
        Yaml::Boolean(flag) => ValueKind::Boolean(flag),
        Yaml::Null | Yaml::BadValue => ValueKind::Nil,
        _ => ValueKind::String(text),
    }
}

/// The number of values in `kind`, and of levels of lists and tables.
fn extent(kind: &ValueKind) -> (usize, usize) {
    let add = |(count, depth): (usize, usize), value: &Value| {
        let (more, deeper) = extent(&value.kind);
        (count + more, depth.max(1 + deeper))
    };
    match kind {
        ValueKind::Table(table) => table.values().fold((1, 1), add),
        ValueKind::Array(items) => items.iter().fold((1, 1), add),
        _ => (1, 0),
    }
}

struct TomlReader<'f> {
    line_ends: Vec<usize>,
    source: Source<'f>,
}

impl TomlReader<'_> {
    fn table(
        &mut self,
        table: DeTable<'_>,
        path: &str,
        depth: usize,
    ) -> Result<Map<String, Value>, Stopped> {
        let mut entries = Map::new();
        for (key, value) in table {
            // A table's own span may begin in a header that it shares with others.
            let line = self.line(key.span().start);
            let key = key.into_inner().into_owned();
            let value = self.value(value.into_inner(), line, &join(path, &key), depth)?;
            entries.insert(key, value);
        }
        Ok(entries)
    }

    fn value(
        &mut self,
        value: DeValue<'_>,
        line: usize,
        path: &str,
        depth: usize,
    ) -> Result<Value, Stopped> {
        self.source.count(1, line, path)?;
        let is_nested = matches!(value, DeValue::Array(_) | DeValue::Table(_));
        let kind = match value {
            _ if is_nested && depth == MAX_DEPTH => {
                self.source.error(line, path, TOO_DEEP);
                ValueKind::Nil
            }
            DeValue::Table(table) => ValueKind::Table(self.table(table, path, depth + 1)?),
            DeValue::Array(items) => {
                let mut values = Vec::new();
                for (index, item) in items.into_iter().enumerate() {
                    let line = self.line(item.span().start);
                    let path = format!("{path}[{index}]");
                    values.push(self.value(item.into_inner(), line, &path, depth + 1)?);
                }
                ValueKind::Array(values)
            }
            DeValue::String(text) => ValueKind::String(text.into_owned()),
            DeValue::Boolean(flag) => ValueKind::Boolean(flag),
            DeValue::Integer(number) => {
                if number.radix() != 10 {
                    self.source.error(line, path, NOT_DECIMAL);
                }
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => ValueKind::I64(number),
                    // Above every bound of a setting.
                    Err(_) => ValueKind::Float(number.as_str().parse().unwrap_or(f64::INFINITY)),
                }
            }
            DeValue::Float(number) => ValueKind::Float(number.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Datetime(date) => {
                let message = "must not be a date; write the value in quotes if it is text";
                self.source.error(line, path, message);
                ValueKind::String(date.to_string())
            }
        };
        Ok(self.source.value(kind, line))
    }

    fn line(&self, at: usize) -> usize {
        1 + self.line_ends.partition_point(|end| *end < at)
    }
}
