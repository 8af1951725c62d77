//! The keys of a configuration, and access to the tree of their values.
//!
//! [`ROOT`] is the only list of keys. It decides which keys are valid in the file, which environment variables
//! set keys, and which names the messages suggest.

use std::cell::Cell;

use config::{Value, ValueKind};

use super::error::{Diagnostics, HIDDEN, VARIABLE, plain_part};

/// The form of a key's value.
#[derive(Debug)]
pub(super) enum Shape {
    /// One value.
    Scalar,
    /// One value, or `null` for no value.
    Nullable,
    /// A list of words, or one text with commas between the words.
    Words,
    /// A table with these keys.
    Table(&'static [Key]),
    /// A list whose items have this shape.
    List(&'static Shape),
    /// A table with arbitrary keys. Each key has one value.
    Names,
    /// A key that belongs to another table. The text is an error message, which names that table.
    Misplaced(&'static str),
}

/// A key's name and shape.
#[derive(Debug)]
pub(super) struct Key(pub(super) &'static str, pub(super) Shape);

use Shape::{List, Misplaced, Names, Nullable, Scalar, Table, Words};

macro_rules! table {
    {$($key:literal: $shape:expr),* $(,)?} => { Table(&[$(Key($key, $shape)),*]) };
}

const POLL: Shape = table! {
    "interval": Scalar, "max_age": Nullable, "deadline": Nullable, "flip_share": Scalar,
};
const DETAILS: Shape = table! {
    "mode": Scalar, "requests_per_minute": Scalar, "max_age": Scalar,
};
const METRICS: Shape = table! {
    "groups": Words, "username": Scalar,
};
const PROBE: Shape = table! {
    "enabled": Scalar, "requests_per_second": Scalar, "timeout_offset": Scalar,
};

const OUTAGE: Shape = table! {
    "window": Nullable, "min_endpoints": Scalar, "share": Scalar,
};

const WEB: Shape = table! {
    "pages": Scalar,
};

const STATE: Shape = table! {
    "directory": Nullable, "retention": Scalar,
};

macro_rules! api {
    ($max_concurrent_requests:expr) => {
        table! {
            "base_url": Scalar, "allow_insecure_http": Scalar, "page_size": Scalar, "concurrency": Scalar,
            "max_concurrent_requests": $max_concurrent_requests, "requests_per_second": Scalar,
            "connect_timeout": Scalar, "request_timeout": Scalar, "max_page_bytes": Scalar,
            "retries": Scalar, "proxy_url": Nullable, "ca_file": Nullable,
        }
    };
}

const MATCH: Shape = table! {
    "alias": Scalar, "username": Scalar, "application_id": Scalar, "sub_account": Scalar,
    "endpoint_ids": Words, "usernames": Words,
};
const TIMES: Shape = table! {
    "start_time": Scalar, "end_time": Scalar,
};
const INTERVAL: Shape = table! {
    "times": List(&TIMES), "weekdays": List(&Scalar), "days_of_month": List(&Scalar),
    "months": List(&Scalar), "years": List(&Scalar), "location": Scalar,
};
const GROUP: Shape = table! {
    "name": Scalar, "match": MATCH, "exclude": MATCH, "watch": Scalar, "min_registered": Scalar,
    "duty": List(&INTERVAL), "off_duty": List(&INTERVAL),
};

/// The filter parameters of the API's list operation.
const FILTER: Shape = table! {
    "username__contains": Scalar, "username__exact": Scalar, "username__startswith": Scalar,
    "alias__contains": Scalar, "alias__exact": Scalar, "application_id__exact": Scalar,
    "application_id__isnull": Scalar, "sub_account": Scalar,
};

const PROCESS_WIDE: &str = "counts for the whole process; set it in `api` at the top level";
const ALL_ACCOUNTS: &str = "is for all accounts together; set `probe` at the top level";
const ONE_STATE: &str = "is for all accounts together; set `state` at the top level";
const ONE_SERVER: &str = "is for all accounts together; set `web` at the top level";

const ACCOUNT: Shape = table! {
    "name": Scalar, "auth_id": Scalar, "auth_token": Nullable, "auth_token_file": Nullable,
    "filter": FILTER, "poll": POLL, "api": api!(Misplaced(PROCESS_WIDE)), "details": DETAILS,
    "metrics": METRICS, "outage": OUTAGE, "probe": Misplaced(ALL_ACCOUNTS), "state": Misplaced(ONE_STATE),
    "web": Misplaced(ONE_SERVER),
    "groups": List(&GROUP), "applications": Names,
};

/// The shape of the whole configuration.
pub(super) static ROOT: Shape = table! {
    "poll": POLL, "api": api!(Scalar), "details": DETAILS, "metrics": METRICS, "outage": OUTAGE,
    "probe": PROBE, "state": STATE, "web": WEB, "accounts": List(&ACCOUNT),
};

impl Shape {
    /// Whether `name` is a key of this shape or of a nested shape.
    pub(super) fn contains(&self, name: &str) -> bool {
        match self {
            Table(keys) => keys.iter().any(|key| key.0 == name || key.1.contains(name)),
            List(item) => item.contains(name),
            Scalar | Nullable | Words | Names | Misplaced(_) => false,
        }
    }

    /// Reports unknown and misplaced keys, values of the wrong shape, and `null` where a value is required.
    pub(super) fn check(&self, node: &Node<'_>) {
        match (self, node.kind()) {
            (Misplaced(message), _) => node.error(*message),
            (Nullable | Table(_) | List(_) | Names, ValueKind::Nil)
            | (Words, ValueKind::String(_)) => {}
            (Scalar | Words, ValueKind::Nil) => {
                node.error("has no value; give it one, or remove the key if it is optional");
            }
            (Table(keys), ValueKind::Table(_)) => {
                for (name, child) in node.entries() {
                    match keys.iter().find(|key| key.0 == name) {
                        Some(key) => key.1.check(&child),
                        None => child.error(unknown_key(name, keys)),
                    }
                }
            }
            (List(item), ValueKind::Array(_)) => {
                for child in node.items() {
                    match child.kind() {
                        ValueKind::Nil => child.error("is an empty item; remove it"),
                        _ => item.check(&child),
                    }
                }
            }
            (Words, ValueKind::Array(_)) => {
                for item in node.items() {
                    Scalar.check(&item);
                }
            }
            (Names, ValueKind::Table(_)) => {
                for (_, child) in node.entries() {
                    Scalar.check(&child);
                }
            }
            (Table(keys), _) => node.error(format!("must hold keys (of {})", names(keys))),
            (Names, _) => node.error("must hold keys, each with a text"),
            (List(_), _) => {
                node.error("must be a list, whose items begin with `- ` (in TOML, with `[[...]]`)");
            }
            (Words, _) => node.error("must be a list of words"),
            (Scalar | Nullable, ValueKind::Table(_) | ValueKind::Array(_)) => {
                node.error("must be one value, not a list, a table or a TOML date");
            }
            (Scalar | Nullable, _) => {}
        }
    }
}

fn names(keys: &[Key]) -> String {
    let names: Vec<_> = keys.iter().map(|key| key.0).collect();
    names.join(", ")
}

fn unknown_key(name: &str, keys: &[Key]) -> String {
    let shown = shown_key(name);
    let plain = plain_part(name);
    let rest = &name[plain.len()..];
    let suggestion = || suggestion(name, keys.iter().map(|key| key.0));
    let hint = if shown == HIDDEN {
        format!(" (not shown, it may hold a token){}", suggestion())
    } else if rest.starts_with([':', '=']) {
        format!("; write a colon and a space after {plain}")
    } else if rest.starts_with('.') {
        format!("; write `{plain}:`, and the rest as a key below it")
    } else {
        match suggestion() {
            hint if hint.is_empty() => format!(" (known are {})", names(keys)),
            hint => hint,
        }
    };
    format!("unknown key \"{shown}\"{hint}")
}

/// [`suggestion`] compares at most this many characters, because the comparison takes quadratic time.
const COMPARED_CHARS: usize = 64;

/// The hint `; did you mean ...?` with the name in `known` nearest to `word`; empty if no name is near enough.
pub(super) fn suggestion<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    let word: String = word.chars().take(COMPARED_CHARS).collect();
    let nearest = (known.into_iter())
        .map(|known| (strsim::levenshtein(&word, known), known))
        .filter(|(distance, known)| *distance <= 1 + known.len() / 4)
        .min();
    nearest.map_or_else(String::new, |(_, known)| {
        format!("; did you mean `{known}`?")
    })
}

/// The maximum length of a quoted key that is not in [`ROOT`], in bytes. A longer key may be a token.
const SHORT_KEY: usize = 8;
/// The maximum length, in bytes, if the quoted key has only digits, or only lower-case letters and `_`.
const LONG_KEY: usize = 40;

/// The part of a key that a message may quote. Three kinds of keys are quoted whole: known keys, keys of
/// letters, digits and `_` up to [`SHORT_KEY`] bytes, and words or numbers up to [`LONG_KEY`] bytes. Of any
/// other key, only the [`plain_part`] is quoted, and only if this part is a known key. The rest may be a token.
/// For example, YAML reads `auth_token:TOKEN` as one key, because no space follows the colon.
pub(super) fn shown_key(name: &str) -> String {
    let plain = plain_part(name);
    let is_whole = plain.len() == name.len();
    let is_word = || plain.chars().all(|c| c.is_lowercase() || c == '_');
    let is_number = || plain.bytes().all(|byte| byte.is_ascii_digit());
    let is_short = plain.len() <= SHORT_KEY;
    let is_plain = is_short || plain.len() <= LONG_KEY && (is_word() || is_number());
    match (is_whole && is_plain || ROOT.contains(plain), is_whole) {
        (true, true) => plain.to_owned(),
        (true, false) => format!("{plain}{HIDDEN}"),
        (false, _) => HIDDEN.to_owned(),
    }
}

/// `path.name`, or `name` at the top level, in the form that messages may quote.
pub(super) fn join(path: &str, name: &str) -> String {
    let name = match name {
        "" => "\"\"".to_owned(),
        _ => shown_key(name),
    };
    match path {
        "" => name,
        _ => format!("{path}.{name}"),
    }
}

/// The value of a key in the tree. An absent value reads like `null`.
#[derive(Debug, Clone)]
pub(super) struct Node<'t> {
    pub(super) path: String,
    value: Option<&'t Value>,
    /// The closest table or list around the value. It gives the place of an error if the value has no place.
    parent: Option<&'t Value>,
    pub(super) diagnostics: &'t Diagnostics,
}

impl<'t> Node<'t> {
    /// The node of the whole tree.
    pub(super) fn root(tree: &'t Value, diagnostics: &'t Diagnostics) -> Self {
        Self {
            path: String::new(),
            value: Some(tree),
            parent: None,
            diagnostics,
        }
    }

    fn at(&self, path: String, value: Option<&'t Value>) -> Self {
        Self {
            path,
            value,
            parent: self.value.or(self.parent),
            diagnostics: self.diagnostics,
        }
    }

    pub(super) fn kind(&self) -> &'t ValueKind {
        self.value.map_or(&ValueKind::Nil, |value| &value.kind)
    }

    /// The value at `key`, which may be absent.
    pub(super) fn child(&self, key: &str) -> Self {
        let value = match self.kind() {
            ValueKind::Table(table) => table.get(key),
            _ => None,
        };
        self.at(join(&self.path, key), value)
    }

    /// The value at `key`; `None` if the value is absent or `null`.
    pub(super) fn get(&self, key: &str) -> Option<Self> {
        Some(self.child(key)).filter(|child| *child.kind() != ValueKind::Nil)
    }

    /// Whether `key` is present. Its value may be `null`.
    pub(super) fn has(&self, key: &str) -> bool {
        self.child(key).value.is_some()
    }

    /// The value at `key`. Reports `message` if the key is absent.
    pub(super) fn required(&self, key: &str, message: &str) -> Option<Self> {
        if !self.has(key) {
            self.error(message);
        }
        self.get(key)
    }

    /// The entries of a table, sorted by key.
    pub(super) fn entries(&self) -> Vec<(&'t str, Self)> {
        let ValueKind::Table(table) = self.kind() else {
            return Vec::new();
        };
        let mut entries: Vec<_> = (table.iter())
            .map(|(key, value)| (key.as_str(), self.at(join(&self.path, key), Some(value))))
            .collect();
        entries.sort_by_key(|entry| entry.0);
        entries
    }

    /// The items of a list.
    pub(super) fn items(&self) -> Vec<Self> {
        let ValueKind::Array(items) = self.kind() else {
            return Vec::new();
        };
        (items.iter().enumerate())
            .map(|(index, item)| self.at(format!("{}[{index}]", self.path), Some(item)))
            .collect()
    }

    /// The tables in the list at `key`; [`Shape::check`] reports the other items.
    pub(super) fn tables(&self, key: &str) -> Vec<Self> {
        let mut items = self.child(key).items();
        items.retain(|item| matches!(item.kind(), ValueKind::Table(_)));
        items
    }

    pub(super) fn is_from_environment(&self) -> bool {
        let place = self.value.and_then(Value::origin);
        place.is_some_and(|place| place.starts_with(VARIABLE))
    }

    pub(super) fn error(&self, message: impl Into<String>) {
        let origin = |value: Option<&'t Value>| value.and_then(Value::origin);
        let place = origin(self.value).or(origin(self.parent));
        let place = place.unwrap_or(&self.diagnostics.file).to_owned();
        self.diagnostics.error(place, &self.path, message);
    }

    /// Reports an error, and returns `None`.
    pub(super) fn reject<T>(&self, message: impl Into<String>) -> Option<T> {
        self.error(message);
        None
    }
}

/// A table of settings such as `poll`. An account inherits the global values of the keys that it does not set.
#[derive(Debug)]
pub(super) struct Section<'t> {
    /// The section's table in the owner, which is an account or the top level.
    pub(super) own: Node<'t>,
    /// The section's table at the top level.
    global: Node<'t>,
    /// True after a missing or invalid value was read. Its error is already reported.
    is_invalid: Cell<bool>,
}

impl<'t> Section<'t> {
    /// The section `key` of `owner`, which is an account or `root`.
    pub(super) fn new(key: &str, owner: &Node<'t>, root: &Node<'t>) -> Self {
        Self {
            own: owner.child(key),
            global: root.child(key),
            is_invalid: Cell::new(false),
        }
    }

    /// The value of the owner at `key`, or the value of the top level if the owner does not set `key`.
    pub(super) fn child(&self, key: &str) -> Node<'t> {
        let table = if self.own.has(key) {
            &self.own
        } else {
            &self.global
        };
        table.child(key)
    }

    /// The converted value at `key`. If the value is invalid, returns the default of the type `T`.
    pub(super) fn read<T: Default>(
        &self,
        key: &str,
        convert: impl FnOnce(&Node<'t>) -> Option<T>,
    ) -> T {
        convert(&self.child(key)).unwrap_or_else(|| {
            self.is_invalid.set(true);
            T::default()
        })
    }

    /// Works like [`Section::read`], but `null` is valid and gives `None`.
    pub(super) fn read_nullable<T>(
        &self,
        key: &str,
        convert: impl FnOnce(&Node<'t>) -> Option<T>,
    ) -> Option<T> {
        self.read(key, |node| match node.kind() {
            ValueKind::Nil => Some(None),
            _ => convert(node).map(Some),
        })
    }

    /// Returns `settings` if every value that was read is valid.
    pub(super) fn valid<T>(&self, settings: T) -> Option<T> {
        Some(settings).filter(|_| !self.is_invalid.get())
    }
}

#[cfg(test)]
mod tests {
    use super::suggestion;

    #[test]
    fn the_nearest_key_is_suggested_and_a_far_one_is_not() {
        let known = ["interval", "max_age", "deadline"];
        assert_eq!(suggestion("intervall", known), "; did you mean `interval`?");
        assert_eq!(suggestion("maxage", known), "; did you mean `max_age`?");
        assert_eq!(suggestion("colour", known), "");
    }
}
