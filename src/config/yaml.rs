//! YAML events become the tree of values that the `config` crate layers.
//!
//! The events are read here, and not by the `config` crate, for what its own reader loses: it writes
//! an unquoted key `0123` as `123`, lets one of two keys win that then look alike, and forgets the
//! lines. Here keys keep their letters, unquoted keys that YAML takes for numbers are mistakes, and
//! every value remembers `FILE:LINE`.

use std::{collections::HashMap, fmt::Write};

use config::{Map, Value, ValueKind};
use yaml_rust2::{
    ScanError, Yaml,
    parser::{Event, Parser, Tag},
    scanner::TScalarStyle,
};

use super::{
    mistake::{DEEPEST, MOST_VALUES, Mistake, NOT_DECIMAL, TOO_DEEP, TOO_MANY},
    schema::{join, shown_key},
};

/// The file's root table, or what is wrong with it as YAML.
///
/// Mistakes that leave the rest readable come together with the tree.
pub(super) fn read(text: &str, file: &str) -> (Map<String, Value>, Vec<Mistake>) {
    let mut tree = Tree {
        file,
        open: Vec::new(),
        anchors: HashMap::new(),
        values: 0,
        documents: 0,
        root: None,
        mistakes: Vec::new(),
        given_up: false,
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Err(error) = tree.grow(text) {
        // The parser's texts name what it expected; they never quote the file.
        let line = error.marker().line();
        tree.mistake(line, format!("is not valid YAML: {}", error.info()));
        return (Map::new(), tree.mistakes);
    }
    if tree.given_up {
        return (Map::new(), tree.mistakes);
    }
    let root = match tree.root.take() {
        None => Map::new(),
        Some(value) => match value.kind {
            ValueKind::Table(table) => table,
            ValueKind::Nil => Map::new(),
            _ => {
                tree.mistake(
                    1,
                    "must hold keys such as `accounts:` at its top level".to_owned(),
                );
                Map::new()
            }
        },
    };
    (root, tree.mistakes)
}

struct Tree<'f> {
    file: &'f str,
    open: Vec<Open>,
    anchors: HashMap<usize, Value>,
    values: usize,
    documents: usize,
    root: Option<Value>,
    mistakes: Vec<Mistake>,
    /// The rest of the file is not read.
    given_up: bool,
}

/// A collection whose end has not come yet.
struct Open {
    anchor: usize,
    line: usize,
    holds: Holds,
}

enum Holds {
    List(Vec<Value>),
    Table(Map<String, Value>, Expected),
}

/// What the next node of a table is.
enum Expected {
    Key,
    ValueOf(String),
    /// The value of a key that was refused.
    Nothing,
}

impl Tree<'_> {
    /// Takes event after event. The parser's own `load` calls itself for every level of the file, so
    /// that a deep one would end the process before anything here could refuse it.
    fn grow(&mut self, text: &str) -> Result<(), ScanError> {
        let mut parser = Parser::new_from_str(text);
        while !self.given_up {
            let (event, mark) = parser.next_token()?;
            if event == Event::StreamEnd {
                break;
            }
            self.take(event, mark.line());
        }
        Ok(())
    }

    fn take(&mut self, event: Event, line: usize) {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            Event::DocumentStart => {
                self.documents += 1;
                if self.documents == 2 {
                    self.mistake(
                        line,
                        "holds more than one YAML document; keep one".to_owned(),
                    );
                }
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.as_ref(), line);
                self.open(anchor, line, Holds::List(Vec::new()));
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.as_ref(), line);
                self.open(anchor, line, Holds::Table(Map::new(), Expected::Key));
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Scalar(text, style, anchor, tag) => {
                let quoted = style != TScalarStyle::Plain || self.is_text(tag.as_ref(), line);
                if self.wants_key() {
                    self.key(&text, quoted, line);
                } else {
                    let is_decimal = !text.starts_with("0x") && !text.starts_with("0o");
                    let kind = if quoted {
                        ValueKind::String(text)
                    } else {
                        plain(text)
                    };
                    if matches!(kind, ValueKind::I64(_)) && !is_decimal {
                        self.mistake(line, NOT_DECIMAL.to_owned());
                    }
                    self.place(kind, anchor, line);
                }
            }
            Event::Alias(anchor) => {
                let kind = self.repeated(anchor, line);
                self.place(kind, 0, line);
            }
        }
    }

    fn open(&mut self, anchor: usize, line: usize, holds: Holds) {
        if self.open.len() == DEEPEST {
            self.give_up(line, TOO_DEEP);
        }
        self.open.push(Open {
            anchor,
            line,
            holds,
        });
    }

    fn close(&mut self) {
        let Some(Open {
            anchor,
            line,
            holds,
        }) = self.open.pop()
        else {
            return;
        };
        let kind = match holds {
            Holds::List(items) => ValueKind::Array(items),
            Holds::Table(entries, _) => ValueKind::Table(entries),
        };
        self.place(kind, anchor, line);
    }

    /// What an alias stands for.
    fn repeated(&mut self, anchor: usize, line: usize) -> ValueKind {
        let Some(value) = self.anchors.get(&anchor) else {
            self.mistake(
                line,
                "an alias can only repeat a value that ended before it".to_owned(),
            );
            return ValueKind::Nil;
        };
        let kind = value.kind.clone();
        let (count, depth) = extent(&kind);
        self.values += count;
        if self.values > MOST_VALUES {
            self.give_up(line, "its aliases repeat too much");
        } else if self.open.len() + depth > DEEPEST {
            self.give_up(line, TOO_DEEP);
        }
        kind
    }

    fn wants_key(&self) -> bool {
        matches!(
            self.open.last(),
            Some(Open {
                holds: Holds::Table(_, Expected::Key),
                ..
            })
        )
    }

    fn key(&mut self, text: &str, quoted_in_file: bool, line: usize) {
        if !quoted_in_file && !matches!(plain(text.to_owned()), ValueKind::String(_)) {
            let shown = if text == "~" || text.is_empty() {
                "~".to_owned()
            } else {
                shown_key(text)
            };
            self.mistake(
                line,
                format!("the key {shown} is not text to YAML; write it in quotes"),
            );
        }
        let mut twice = false;
        if let Some(Open {
            holds: Holds::Table(entries, expected),
            ..
        }) = self.open.last_mut()
        {
            twice = entries.contains_key(text);
            *expected = if twice {
                Expected::Nothing
            } else {
                Expected::ValueOf(text.to_owned())
            };
        }
        if twice {
            self.mistake(
                line,
                format!(
                    "the key \"{}\" stands here twice; keep one",
                    shown_key(text)
                ),
            );
        }
    }

    /// Puts a finished value where it belongs.
    fn place(&mut self, kind: ValueKind, anchor: usize, line: usize) {
        self.values += 1;
        if self.values > MOST_VALUES && !self.given_up {
            self.give_up(line, TOO_MANY);
        }
        let origin = format!("{}:{line}", self.file);
        let value = Value::new(Some(&origin), kind);
        if anchor > 0 {
            self.anchors.insert(anchor, value.clone());
        }
        match self.open.last_mut().map(|open| &mut open.holds) {
            None => {
                self.root.get_or_insert(value);
            }
            Some(Holds::List(items)) => items.push(value),
            Some(Holds::Table(entries, expected)) => {
                match std::mem::replace(expected, Expected::Key) {
                    Expected::ValueOf(key) => {
                        entries.insert(key, value);
                    }
                    Expected::Nothing => {}
                    Expected::Key => {
                        *expected = Expected::Nothing;
                        self.mistake(line, "a key must be text, not a list or a table".to_owned());
                    }
                }
            }
        }
    }

    /// `!!str` makes a scalar text as quotes do; other tags are refused.
    fn is_text(&mut self, tag: Option<&Tag>, line: usize) -> bool {
        let is_text =
            tag.is_some_and(|tag| tag.handle == "tag:yaml.org,2002:" && tag.suffix == "str");
        if !is_text {
            self.refuse_tag(tag, line);
        }
        is_text
    }

    fn refuse_tag(&mut self, tag: Option<&Tag>, line: usize) {
        if tag.is_some() {
            self.mistake(
                line,
                "YAML tags (`!...`) mean nothing here; quote text instead".to_owned(),
            );
        }
    }

    /// A mistake after which reading on would only cost memory.
    fn give_up(&mut self, line: usize, message: &str) {
        self.mistake(line, message.to_owned());
        self.given_up = true;
    }

    fn mistake(&mut self, line: usize, message: String) {
        self.mistakes.push(Mistake {
            place: format!("{}:{line}", self.file),
            path: self.path(),
            message,
        });
    }

    /// The path of what is being read.
    fn path(&self) -> String {
        let mut path = String::new();
        for open in &self.open {
            match &open.holds {
                Holds::List(items) => {
                    // Writing to a String cannot fail.
                    let _ = write!(path, "[{}]", items.len());
                }
                Holds::Table(_, Expected::ValueOf(key)) => path = join(&path, key),
                Holds::Table(_, Expected::Key | Expected::Nothing) => {}
            }
        }
        path
    }
}

/// What an unquoted scalar is to YAML.
fn plain(text: String) -> ValueKind {
    match Yaml::from_str(&text) {
        Yaml::Integer(number) => ValueKind::I64(number),
        Yaml::Real(number) => ValueKind::Float(number.parse().unwrap_or(f64::NAN)),
        Yaml::Boolean(flag) => ValueKind::Boolean(flag),
        Yaml::Null | Yaml::BadValue => ValueKind::Nil,
        _ => ValueKind::String(text),
    }
}

/// How many values there are, and how many levels of lists and tables.
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
