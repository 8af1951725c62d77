//! Reads a YAML or TOML file into a tree of values. Each value of a YAML file stores its place, `FILE:LINE`.
//!
//! This module does not use the YAML reader of the `config` crate. That reader drops the line numbers and reads
//! an unquoted key `0123` as `123`. Its error about a repeated key quotes the key, which may hold a token.

use std::{collections::HashMap, str::Chars};

use config::{Map, Value, ValueKind};
use yaml_rust2::{
    Yaml,
    parser::{Event, Parser},
    scanner::TScalarStyle,
};

use super::{
    error::Diagnostics,
    known_keys::{join, shown_key},
};

/// The maximum depth of nested lists and tables in YAML. The deepest setting needs a tenth of this depth.
const MAX_DEPTH: usize = 64;
/// The maximum number of values in one YAML file. An alias counts as all values that it repeats.
const MAX_VALUES: usize = 200_000;
const TOO_DEEP: &str = "is nested deeper than 64 levels";

/// An error that ends the reading of the file. The reader has already reported the error.
struct Stopped;

/// The root table of the YAML in `text`. The place of an error is `file` and the line.
pub(super) fn yaml(text: &str, file: &str, diagnostics: &Diagnostics) -> Map<String, Value> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = YamlReader {
        parser: Parser::new_from_str(text),
        file,
        diagnostics,
        values: 0,
        anchors: HashMap::new(),
    };
    match reader.document() {
        Ok(ValueKind::Table(table)) => return table,
        Ok(ValueKind::Nil) | Err(Stopped) => {}
        Ok(_) => {
            let message = "must hold keys such as `accounts:` at its top level";
            diagnostics.error(format!("{file}:1"), "", message);
        }
    }
    Map::new()
}

/// The root table of the TOML in `text`. The place of an error is `file` and the line.
pub(super) fn toml(text: &str, file: &str, diagnostics: &Diagnostics) -> Map<String, Value> {
    toml::from_str(text).unwrap_or_else(|error: toml::de::Error| {
        // `Display` of the error is not used, because it quotes the file, which may hold a token.
        let message = error.message().lines().collect::<Vec<_>>().join(": ");
        let start = error.span().map_or(0, |span| span.start);
        let line = text.get(..start).unwrap_or(text).split('\n').count();
        let message = format!("is not valid TOML: {message}");
        diagnostics.error(format!("{file}:{line}"), "", message);
        Map::new()
    })
}

/// The line of a value, the path of its key, and the number of lists and tables around it.
#[derive(Clone, Copy)]
struct Place<'p> {
    line: usize,
    path: &'p str,
    depth: usize,
}

/// Builds values from the events of the parser. The loader of the `yaml-rust2` crate is not used. That
/// loader drops the line numbers, and a deeply nested file overflows its stack.
struct YamlReader<'f> {
    parser: Parser<Chars<'f>>,
    file: &'f str,
    diagnostics: &'f Diagnostics,
    /// The number of values read so far.
    values: usize,
    anchors: HashMap<usize, Value>,
}

impl YamlReader<'_> {
    fn place(&self, at: Place<'_>) -> String {
        format!("{}:{}", self.file, at.line)
    }

    fn error(&self, at: Place<'_>, message: impl Into<String>) {
        self.diagnostics.error(self.place(at), at.path, message);
    }

    fn stop<T>(&self, at: Place<'_>, message: impl Into<String>) -> Result<T, Stopped> {
        self.error(at, message);
        Err(Stopped)
    }

    fn count(&mut self, values: usize, at: Place<'_>) -> Result<(), Stopped> {
        self.values += values;
        match self.values {
            ..=MAX_VALUES => Ok(()),
            _ if values > 1 => self.stop(at, "its aliases repeat too much"),
            _ => self.stop(at, "holds more than 200,000 values"),
        }
    }

    /// The next event and its place. The event belongs to the key `path`.
    fn next<'p>(&mut self, path: &'p str, depth: usize) -> Result<(Event, Place<'p>), Stopped> {
        let place = |line| Place { line, path, depth };
        match self.parser.next_token() {
            Ok((event, mark)) => Ok((event, place(mark.line()))),
            Err(error) => {
                // The parser's messages name the expected syntax. They quote at most one character of the file.
                let message = format!("is not valid YAML: {}", error.info());
                let line = error.marker().line();
                // The error names no key, because the last key before a syntax error may be correct.
                self.stop(
                    Place {
                        line,
                        path: "",
                        depth,
                    },
                    message,
                )
            }
        }
    }

    /// Reads the value of the first document. A second document is an error.
    fn document(&mut self) -> Result<ValueKind, Stopped> {
        let mut root = None;
        loop {
            let (event, at) = self.next("", 0)?;
            match event {
                Event::DocumentStart if root.is_some() => {
                    let message = "holds more than one YAML document; keep one";
                    self.error(at, message);
                    break;
                }
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentStart | Event::DocumentEnd => {}
                event => root = Some(self.node(event, at)?.kind),
            }
        }
        Ok(root.unwrap_or(ValueKind::Nil))
    }

    /// Reads the value that begins with `event`.
    fn node(&mut self, event: Event, at: Place<'_>) -> Result<Value, Stopped> {
        let is_nested = matches!(event, Event::SequenceStart(..) | Event::MappingStart(..));
        if is_nested && at.depth == MAX_DEPTH {
            return self.stop(at, TOO_DEEP);
        }
        let (kind, anchor, tag) = match event {
            Event::Scalar(text, style, anchor, tag) => (scalar(text, style), anchor, tag),
            Event::SequenceStart(anchor, tag) => (self.list(at)?, anchor, tag),
            Event::MappingStart(anchor, tag) => (self.table(at)?, anchor, tag),
            Event::Alias(anchor) => (self.alias(anchor, at)?, 0, None),
            _ => (ValueKind::Nil, 0, None),
        };
        if tag.is_some() {
            let message = "YAML tags (`!...`) are not supported; quote text instead";
            self.error(at, message);
        }
        self.count(1, at)?;
        let value = Value::new(Some(&self.place(at)), kind);
        if anchor > 0 {
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    fn list(&mut self, at: Place<'_>) -> Result<ValueKind, Stopped> {
        let mut items = Vec::new();
        loop {
            let path = format!("{}[{}]", at.path, items.len());
            let (event, at) = self.next(&path, at.depth + 1)?;
            if event == Event::SequenceEnd {
                return Ok(ValueKind::Array(items));
            }
            items.push(self.node(event, at)?);
        }
    }

    fn table(&mut self, at: Place<'_>) -> Result<ValueKind, Stopped> {
        let mut entries = Map::new();
        loop {
            let (event, at) = self.next(at.path, at.depth + 1)?;
            let key = match event {
                Event::MappingEnd => return Ok(ValueKind::Table(entries)),
                Event::Scalar(key, style, _, None) => {
                    self.check_key(&key, style, !entries.contains_key(&key), at);
                    key
                }
                _ => {
                    return self.stop(at, "a key must be text, without a tag or an alias");
                }
            };
            let path = join(at.path, &key);
            let (event, value) = self.next(&path, at.depth)?;
            // The parser gives a missing value or a block a later line, so a value gets its key's line.
            let at = Place {
                line: at.line,
                ..value
            };
            let value = self.node(event, at)?;
            entries.insert(key, value);
        }
    }

    fn check_key(&self, key: &str, style: TScalarStyle, is_new: bool, at: Place<'_>) {
        let shown = shown_key(key);
        if !matches!(scalar(key.to_owned(), style), ValueKind::String(_)) {
            let message = "reads as a number, true, false or null; write it in quotes";
            self.error(at, format!("the key {shown} {message}"));
        }
        if !is_new {
            let message = format!("the key \"{shown}\" appears twice; keep one");
            self.error(at, message);
        }
    }

    /// The value that an alias repeats.
    fn alias(&mut self, anchor: usize, at: Place<'_>) -> Result<ValueKind, Stopped> {
        let Some(value) = self.anchors.get(&anchor).cloned() else {
            let message = "an alias can only repeat a value that ended before it";
            self.error(at, message);
            return Ok(ValueKind::Nil);
        };
        let (values, levels) = extent(&value.kind);
        if at.depth + levels > MAX_DEPTH {
            return self.stop(at, TOO_DEEP);
        }
        self.count(values, at)?;
        Ok(value.kind)
    }
}

fn scalar(text: String, style: TScalarStyle) -> ValueKind {
    // Hexadecimal and octal numbers stay text, because no setting takes a number in this form.
    let is_prefixed = text.starts_with("0x") || text.starts_with("0o");
    match Yaml::from_str(&text) {
        _ if style != TScalarStyle::Plain || is_prefixed => ValueKind::String(text),
        Yaml::Integer(number) => ValueKind::I64(number),
        Yaml::Real(number) => ValueKind::Float(number.parse().unwrap_or(f64::NAN)),
        Yaml::Boolean(flag) => ValueKind::Boolean(flag),
        Yaml::Null | Yaml::BadValue => ValueKind::Nil,
        _ => ValueKind::String(text),
    }
}

/// The number of values in `kind`, and the depth of its lists and tables.
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
