//! Which keys there are: one description, read by the check of the tree and by the environment.

use config::{Map, Value, ValueKind};

use super::mistake::{Report, plain_part, suggestion};

/// What may stand at a key.
#[derive(Debug)]
pub(super) enum Shape {
    /// One value.
    Scalar,
    /// One value, or `null` for none.
    Nullable,
    /// A list of words; as text, split at commas.
    Words,
    /// Named keys.
    Table(&'static [Key]),
    /// Any number of one shape.
    List(&'static Shape),
    /// Free keys, each with one value.
    Names,
    /// Named keys that the environment cannot set; the names are the API's own.
    Filter(&'static [&'static str]),
    /// A key that belongs to another place, and which.
    Elsewhere(&'static str),
}

impl Shape {
    /// Is this the name of a key anywhere below?
    fn names(&self, name: &str) -> bool {
        match self {
            Table(keys) => keys.iter().any(|key| key.0 == name || key.1.names(name)),
            List(item) => item.names(name),
            Filter(known) => known.contains(&name),
            Scalar | Nullable | Words | Names | Elsewhere(_) => false,
        }
    }
}

/// A key's name and what may stand there.
#[derive(Debug)]
pub(super) struct Key(pub(super) &'static str, pub(super) Shape);

use Shape::{Elsewhere, Filter, List, Names, Nullable, Scalar, Table, Words};

const POLL: Shape = Table(&[
    Key("interval", Scalar),
    Key("max_age", Nullable),
    Key("deadline", Nullable),
    Key("flip_share", Scalar),
]);

const DETAILS: Shape = Table(&[
    Key("mode", Scalar),
    Key("requests_per_minute", Scalar),
    Key("max_age", Scalar),
]);

const METRICS: Shape = Table(&[Key("groups", Words), Key("username", Scalar)]);

const PROBE: Shape = Table(&[
    Key("enabled", Scalar),
    Key("requests_per_second", Scalar),
    Key("timeout_offset", Scalar),
]);

macro_rules! api {
    ($max_concurrent_requests:expr) => {
        Table(&[
            Key("base_url", Scalar),
            Key("allow_insecure_http", Scalar),
            Key("page_size", Scalar),
            Key("concurrency", Scalar),
            Key("max_concurrent_requests", $max_concurrent_requests),
            Key("requests_per_second", Scalar),
            Key("connect_timeout", Scalar),
            Key("request_timeout", Scalar),
            Key("max_page_bytes", Scalar),
            Key("retries", Scalar),
            Key("proxy_url", Nullable),
            Key("ca_file", Nullable),
        ])
    };
}

const GROUP: Shape = Table(&[
    Key("name", Scalar),
    Key(
        "match",
        Table(&[
            Key("alias", Scalar),
            Key("username", Scalar),
            Key("application_id", Scalar),
            Key("sub_account", Scalar),
        ]),
    ),
    Key("watch", Scalar),
]);

/// The list operation's own filter parameters, in the order of the vendor's document.
pub(super) const FILTERS: &[&str] = &[
    "username__contains",
    "username__exact",
    "username__startswith",
    "alias__contains",
    "alias__exact",
    "application_id__exact",
    "application_id__isnull",
    "sub_account",
];

const ACCOUNT: Shape = Table(&[
    Key("name", Scalar),
    Key("auth_id", Scalar),
    Key("auth_token", Nullable),
    Key("auth_token_file", Nullable),
    Key("filter", Filter(FILTERS)),
    Key("poll", POLL),
    Key(
        "api",
        api!(Elsewhere(
            "counts for the whole process; set it in `api` at the top level"
        )),
    ),
    Key("details", DETAILS),
    Key("metrics", METRICS),
    Key(
        "probe",
        Elsewhere("is for all accounts together; set `probe` at the top level"),
    ),
    Key("groups", List(&GROUP)),
    Key("applications", Names),
]);

/// The whole configuration.
pub(super) static ROOT: Shape = Table(&[
    Key("poll", POLL),
    Key("api", api!(Scalar)),
    Key("details", DETAILS),
    Key("metrics", METRICS),
    Key("probe", PROBE),
    Key("accounts", List(&ACCOUNT)),
]);

/// Is this a key of the top level?
pub(super) fn is_top_level(name: &str) -> bool {
    matches!(&ROOT, Table(keys) if keys.iter().any(|key| key.0 == name))
}

/// Reports every unknown key, every key without a value, and every value of the wrong shape.
pub(super) fn check(value: &Value, shape: &Shape, path: &str, report: &mut Report) {
    match (shape, &value.kind) {
        (Elsewhere(where_to), _) => report.at(value, path, *where_to),
        (Nullable | Table(_) | List(_) | Names | Filter(_), ValueKind::Nil) => {}
        (Scalar | Words, ValueKind::Nil) => {
            report.at(value, path, "has no value; give it one, or remove the key");
        }
        (Table(keys), ValueKind::Table(table)) => {
            for (name, child) in sorted(table) {
                let path = join(path, name);
                match keys.iter().find(|key| key.0 == name) {
                    Some(key) => check(child, &key.1, &path, report),
                    None => unknown(child, &path, name, keys.iter().map(|key| key.0), report),
                }
            }
        }
        (List(item), ValueKind::Array(items)) => {
            for (at, child) in items.iter().enumerate() {
                let path = format!("{path}[{at}]");
                if matches!(child.kind, ValueKind::Nil) {
                    report.at(child, &path, "is an empty item; remove it");
                } else {
                    check(child, item, &path, report);
                }
            }
        }
        (Names, ValueKind::Table(table)) => {
            for (name, child) in sorted(table) {
                check(child, &Scalar, &join(path, name), report);
            }
        }
        (Filter(known), ValueKind::Table(table)) => {
            for (name, child) in sorted(table) {
                let path = join(path, name);
                if known.contains(&name) {
                    check(child, &Scalar, &path, report);
                } else {
                    let hint = suggestion(name, known.iter().copied());
                    let message = format!(
                        "the API has no such filter{hint} (it has {})",
                        known.join(", ")
                    );
                    report.at(child, &path, message);
                }
            }
        }
        (Table(keys), _) => {
            let names: Vec<_> = keys.iter().map(|key| key.0).collect();
            report.at(
                value,
                path,
                format!("must hold keys (of {})", names.join(", ")),
            );
        }
        (Filter(_) | Names, _) => report.at(value, path, "must hold keys, each with a text"),
        (List(_), _) if report.is_toml() => {
            let header: String = path.split(['[', ']']).step_by(2).collect();
            let message = format!("must be a list, each item of which begins with [[{header}]]");
            report.at(value, path, message);
        }
        (List(_), _) => report.at(value, path, "must be a list, whose items begin with `- `"),
        (Words, ValueKind::Array(items)) => {
            for (at, item) in items.iter().enumerate() {
                check(item, &Scalar, &format!("{path}[{at}]"), report);
            }
        }
        (Words, ValueKind::Table(_)) => report.at(value, path, "must be a list of words"),
        (Scalar | Nullable, ValueKind::Table(_) | ValueKind::Array(_)) => {
            report.at(value, path, "must be one value, not a list and not a table");
        }
        (Scalar | Nullable | Words, _) => {}
    }
}

fn unknown<'k>(
    value: &Value,
    path: &str,
    name: &str,
    known: impl Iterator<Item = &'k str>,
    report: &mut Report,
) {
    let shown = shown_key(name);
    let plain = plain_part(name);
    let hint = if shown == HIDDEN {
        format!(
            " (not shown, it may hold a token){}",
            suggestion(name, known)
        )
    } else if name[plain.len()..].starts_with([':', '=']) {
        format!("; write a colon and a space after {plain}")
    } else if name[plain.len()..].starts_with('.') {
        format!("; write `{plain}:`, and the rest as a key below it")
    } else {
        suggestion(name, known)
    };
    report.at(value, path, format!("unknown key \"{shown}\"{hint}"));
}

/// What stands for a key, or the rest of one, that is not shown.
const HIDDEN: &str = "…";
/// Longer keys that mix letters with digits may be tokens.
const SHORT_KEY: usize = 8;

/// A key as a message may quote it.
///
/// A missing space makes one key of `auth_token:TOKEN`, and a token may stand where a key belongs. So
/// only the plain part of a key is shown: a known key, and else a whole key that is a word, a number
/// or short.
pub(super) fn shown_key(name: &str) -> String {
    let plain = plain_part(name);
    let is_whole = plain.len() == name.len();
    let is_word = || plain.chars().all(|c| c.is_lowercase() || c == '_');
    let is_number = || plain.bytes().all(|byte| byte.is_ascii_digit());
    let is_harmless = is_whole && (plain.len() <= SHORT_KEY || is_word() || is_number());
    match (is_harmless || ROOT.names(plain), is_whole) {
        (true, true) => plain.to_owned(),
        (true, false) => format!("{plain}{HIDDEN}"),
        (false, _) => HIDDEN.to_owned(),
    }
}

/// `path.name`, or `name` at the top level, as messages may quote them.
pub(super) fn join(path: &str, name: &str) -> String {
    let name = if name.is_empty() {
        "\"\"".to_owned()
    } else {
        shown_key(name)
    };
    if path.is_empty() {
        name
    } else {
        format!("{path}.{name}")
    }
}

/// A table's entries in an order that does not change from run to run.
pub(super) fn sorted(table: &Map<String, Value>) -> Vec<(&str, &Value)> {
    let mut entries: Vec<_> = table
        .iter()
        .map(|(name, value)| (name.as_str(), value))
        .collect();
    entries.sort_unstable_by_key(|entry| entry.0);
    entries
}
