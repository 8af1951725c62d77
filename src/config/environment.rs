//! The environment: `VOBIZ_EXPORTER__...` sets single keys, `VOBIZ_AUTH_...` makes the one account
//! of a small installation.
//!
//! The `config` crate's own environment source is not used: it makes names lower case, cannot reach
//! into lists and takes a misspelled variable for a new key.

use config::{Map, Value, ValueKind};
use url::Url;

use super::{
    entry::Section,
    mistake::{Report, shown_variable, suggestion, variable_place},
    model::Account,
    schema::{Key, ROOT, Shape},
    settings::is_loopback,
    token::is_header_word,
};

pub(super) const PREFIX: &str = "VOBIZ_EXPORTER__";
pub(super) const AUTH_ID: &str = "VOBIZ_AUTH_ID";
pub(super) const AUTH_TOKEN: &str = "VOBIZ_AUTH_TOKEN";
pub(super) const AUTH_TOKEN_FILE: &str = "VOBIZ_AUTH_TOKEN_FILE";

/// How to give an account, for the message that there is none.
pub(super) const NO_ACCOUNT: &str = "there is no account: set VOBIZ_AUTH_ID with VOBIZ_AUTH_TOKEN_FILE \
    or VOBIZ_AUTH_TOKEN in the environment, or list one under `accounts` in a file given with --config.file";

/// Refuses variables of ours that are not text: dropped in silence, a setting would not be in force.
pub(super) fn check_text(variables: &[(String, String)], report: &mut Report) {
    let is_broken = |text: &str| text.contains(char::REPLACEMENT_CHARACTER);
    let ours = |variable: &&(String, String)| variable.0.starts_with("VOBIZ_");
    for (name, value) in variables.iter().filter(ours) {
        if is_broken(name) || is_broken(value) {
            report.unreadable(name, "is not UTF-8 text");
        }
    }
}

/// Warns of the usual proxy variables that an account would use, and whose value is no proxy.
pub(super) fn check_proxies(
    variables: &[(String, String)],
    accounts: &[Account],
    report: &mut Report,
) {
    for (scheme, names) in [
        (Some("https"), ["HTTPS_PROXY", "https_proxy"]),
        (Some("http"), ["HTTP_PROXY", "http_proxy"]),
        (None, ["ALL_PROXY", "all_proxy"]),
    ] {
        let would_use = accounts.iter().map(|account| &account.api).any(|api| {
            let is_asked = scheme.is_none_or(|scheme| api.base_url.scheme() == scheme);
            is_asked && api.proxy_url.is_none() && !is_loopback(&api.base_url)
        });
        // The first that is set counts, even when it is set to nothing.
        let set =
            (names.iter()).find_map(|name| variables.iter().find(|variable| variable.0 == **name));
        if let Some((name, value)) = set
            && would_use
            && !value.is_empty()
            && !is_proxy(value)
        {
            report.warnings.push(format!(
                "{name} ignored: it is not the URL of a proxy, such as http://proxy.example:3128"
            ));
        }
    }
}

/// `http` is meant where no scheme is given.
fn is_proxy(value: &str) -> bool {
    let url = if value.contains("://") {
        Url::parse(value)
    } else {
        Url::parse(&format!("http://{value}"))
    };
    let schemes = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];
    let is_usable = |url: Url| url.has_host() && schemes.contains(&url.scheme());
    is_header_word(value) && url.is_ok_and(is_usable)
}

/// The account `default` from `VOBIZ_AUTH_...`, for a tree that names none.
///
/// Variables that are set to nothing count as not set.
pub(super) fn default_account(
    variables: &[(String, String)],
    file_has_accounts: bool,
    report: &mut Report,
) -> Option<Value> {
    let given: Vec<(&str, &str, &String)> = [
        (AUTH_ID, "auth_id"),
        (AUTH_TOKEN, "auth_token"),
        (AUTH_TOKEN_FILE, "auth_token_file"),
    ]
    .into_iter()
    .filter_map(|(name, key)| {
        let (_, text) = variables.iter().find(|variable| variable.0 == name)?;
        (!text.trim().is_empty()).then_some((name, key, text))
    })
    .collect();
    if file_has_accounts {
        if !given.is_empty() {
            let names: Vec<_> = given.iter().map(|variable| variable.0).collect();
            report.warnings.push(format!(
                "{} ignored: the configuration lists accounts of its own",
                names.join(", ")
            ));
        }
        return None;
    }
    let (first, ..) = given.first()?;
    if *first != AUTH_ID {
        report.variable(
            first,
            "is set, but VOBIZ_AUTH_ID is not; both together make an account",
        );
        report.incomplete = true;
        return None;
    }
    let place = variable_place(AUTH_ID);
    let mut account = Map::from([("name".to_owned(), Value::new(Some(&place), "default"))]);
    for (name, key, text) in given {
        let text = text.trim().to_owned();
        account.insert(
            key.to_owned(),
            Value::new(Some(&variable_place(name)), text),
        );
    }
    Some(Value::new(Some(&place), ValueKind::Table(account)))
}

/// What the `VOBIZ_EXPORTER__...` variables set: paths as the `config` crate writes them, and values.
///
/// `tree` is what lies below; lists are reached by the index of an item that is there.
pub(super) fn overrides(
    variables: &[(String, String)],
    tree: &Section<'_>,
    report: &mut Report,
) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (name, text) in variables {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        match target(rest, &ROOT, tree) {
            Ok((path, shape)) => {
                let is_null = text.is_empty() && matches!(shape, Shape::Nullable);
                let kind = if is_null {
                    ValueKind::Nil
                } else {
                    ValueKind::String(text.clone())
                };
                found.push((path, Value::new(Some(&variable_place(name)), kind)));
            }
            Err(message) => report.variable(name, message),
        }
    }
    found
}

/// The path that the rest of a variable's name means, and what stands there.
fn target(
    rest: &str,
    shape: &'static Shape,
    tree: &Section<'_>,
) -> Result<(String, &'static Shape), String> {
    let (part, further) = match rest.split_once("__") {
        Some((part, further)) => (part, Some(further)),
        None => (rest, None),
    };
    match shape {
        Shape::Table(keys) => {
            let Some(Key(key, below)) = keys.iter().find(|key| key.0.to_ascii_uppercase() == part)
            else {
                return Err(unknown(part, keys));
            };
            let tree = tree.section(key);
            match (further, below) {
                (_, Shape::Elsewhere(where_to)) => Err((*where_to).to_owned()),
                (_, Shape::Filter(_)) => Err(
                    "filters cannot be set by the environment; write them in the file".to_owned(),
                ),
                (None, Shape::Scalar | Shape::Nullable | Shape::Words) => Ok((tree.path, below)),
                (Some(_), Shape::Scalar | Shape::Nullable | Shape::Words) => Err(format!(
                    "unknown variable: nothing stands below {}",
                    tree.path
                )),
                (None, _) => Err(format!("is not one value; name a key below {}", tree.path)),
                (Some(further), _) => target(further, below, &tree),
            }
        }
        Shape::List(item) => {
            let items = tree.children();
            let there = (items.iter().enumerate())
                .find_map(|(index, item)| (index.to_string() == part).then_some(item));
            match (there, further) {
                (Some(tree), Some(further)) => target(further, item, tree),
                (Some(tree), None) => Err(format!("is not one value; name a key of {}", tree.path)),
                (None, _) => Err(format!(
                    "unknown variable: {} has {} items, numbered from 0; the environment cannot add one",
                    tree.path,
                    items.len()
                )),
            }
        }
        Shape::Names => {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if !rest.is_empty() && rest.chars().all(plain) {
                Ok((format!("{}.{rest}", tree.path), &Shape::Scalar))
            } else {
                Err("such an id can only be written in the file".to_owned())
            }
        }
        Shape::Scalar | Shape::Nullable | Shape::Words | Shape::Filter(_) | Shape::Elsewhere(_) => {
            Err("unknown variable".to_owned())
        }
    }
}

fn unknown(part: &str, keys: &[Key]) -> String {
    if part.is_empty() {
        return "unknown variable: it ends too early".to_owned();
    }
    let names: Vec<String> = keys.iter().map(|key| key.0.to_ascii_uppercase()).collect();
    let hint = suggestion(part, names.iter().map(String::as_str));
    let lower = keys.iter().any(|key| key.0.eq_ignore_ascii_case(part));
    let case = if lower {
        " (names are written in capitals)"
    } else {
        ""
    };
    let shown = shown_variable(part);
    format!("unknown variable: there is no {shown}{case}{hint}")
}
