//! Reads the environment variables that set keys or define the account `default`. Checks proxy variables.
//!
//! `VOBIZ_EXPORTER__...` variables set single keys. `VOBIZ_AUTH_...` variables define the account `default`.
//! This module does not use the environment reader of the `config` crate. That reader changes names to lower
//! case, cannot set items of lists, and accepts misspelt names as new keys.

use config::{Map, Value, ValueKind};
use url::Url;

use super::{
    account::Account,
    error::{Diagnostics, shown_variable, variable_place},
    known_keys::{Key, Node, ROOT, Shape, suggestion},
    values::{is_header_word, is_loopback},
};

/// The error if neither the file nor the environment gives an account.
const NO_ACCOUNT: &str = "there is no account: set VOBIZ_AUTH_ID with VOBIZ_AUTH_TOKEN_FILE \
    or VOBIZ_AUTH_TOKEN in the environment, or list one under `accounts` in a file given with --config.file";
const PREFIX: &str = "VOBIZ_EXPORTER__";
const AUTH_ID: &str = "VOBIZ_AUTH_ID";
/// The variables that define the account `default`, each with the key that it sets.
const ACCOUNT_VARIABLES: [(&str, &str); 3] = [
    (AUTH_ID, "auth_id"),
    ("VOBIZ_AUTH_TOKEN", "auth_token"),
    ("VOBIZ_AUTH_TOKEN_FILE", "auth_token_file"),
];

/// Names and values of environment variables.
pub(super) type Variables = [(String, String)];

/// Adds the account `default` from `VOBIZ_AUTH_...`, if the file has no accounts. Ignores empty variables.
pub(super) fn add_account(
    operator: &mut Map<String, Value>,
    variables: &Variables,
    diagnostics: &Diagnostics,
) {
    let given: Vec<_> = (ACCOUNT_VARIABLES.into_iter())
        .filter_map(|(name, key)| {
            let (_, text) = variables.iter().find(|variable| variable.0 == name)?;
            Some((name, key, text.trim())).filter(|(_, _, text)| !text.is_empty())
        })
        .collect();
    let has_accounts = match operator.get("accounts").map(|accounts| &accounts.kind) {
        None | Some(ValueKind::Nil) => false,
        Some(ValueKind::Array(items)) => !items.is_empty(),
        Some(_) => true,
    };
    let Some((first, ..)) = given.first() else {
        // After an earlier error, the tree `operator` may lack accounts. `NO_ACCOUNT` might then be wrong.
        if !has_accounts && diagnostics.error_count() == 0 {
            diagnostics.error_in_file(NO_ACCOUNT);
        }
        return;
    };
    if has_accounts {
        let names: Vec<_> = given.iter().map(|variable| variable.0).collect();
        diagnostics.warn(format!(
            "{} ignored: the configuration lists accounts of its own",
            names.join(", ")
        ));
        return;
    }
    if *first != AUTH_ID {
        let message = "is set, but VOBIZ_AUTH_ID is not; both together make an account";
        return diagnostics.error_in_variable(first, message);
    }
    let place = variable_place(AUTH_ID);
    let mut account = Map::from([("name".to_owned(), Value::new(Some(&place), "default"))]);
    for (name, key, text) in given {
        let value = Value::new(Some(&variable_place(name)), text);
        account.insert(key.to_owned(), value);
    }
    let account = Value::new(Some(&place), account);
    let accounts = Value::new(Some(&place), vec![account]);
    operator.insert("accounts".to_owned(), accounts);
}

/// The values that `VOBIZ_EXPORTER__...` variables set, each with the path of its key for the `config` crate.
/// `operator` is the tree of the file, with the account `default` if [`add_account`] added this account. A
/// variable can set an item of a list only if this tree has the item.
pub(super) fn overrides(variables: &Variables, operator: &Node<'_>) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (name, text) in variables {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        match target(Some(rest), &ROOT, operator) {
            Ok((path, shape)) => {
                let is_null = text.is_empty() && matches!(shape, Shape::Nullable);
                let text = Some(text.as_str()).filter(|_| !is_null);
                found.push((path, Value::new(Some(&variable_place(name)), text)));
            }
            Err(message) => operator.diagnostics.error_in_variable(name, message),
        }
    }
    found
}

/// Returns the path of the key that a variable sets, and the shape of the key's value. `rest` is the end of the
/// variable's name, after the path of `node` and `__`. `rest` is `None` if the name ends after the path.
fn target(
    rest: Option<&str>,
    shape: &'static Shape,
    node: &Node<'_>,
) -> Result<(String, &'static Shape), String> {
    let path = &node.path;
    // The name is not split at `__`, because a key may contain `__`.
    let after = |part: &str| match rest?.strip_prefix(part)? {
        "" => Some(None),
        further => further.strip_prefix("__").map(Some),
    };
    match (shape, rest) {
        (Shape::Misplaced(message), _) => Err((*message).to_owned()),
        (Shape::Scalar | Shape::Nullable | Shape::Words, None) => Ok((path.clone(), shape)),
        (Shape::Scalar | Shape::Nullable | Shape::Words, Some(_)) => {
            Err(format!("unknown variable: there is no key below {path}"))
        }
        (_, None) => Err(format!("is not one value; name a key below {path}")),
        (Shape::Table(keys), Some(rest)) => (keys.iter())
            .find_map(|Key(key, below)| {
                let further = after(&key.to_ascii_uppercase())?;
                Some(target(further, below, &node.child(key)))
            })
            .unwrap_or_else(|| Err(unknown_variable(rest, keys))),
        (Shape::List(item), Some(_)) => {
            let items = node.items();
            let mut numbered = items.iter().enumerate();
            let found = numbered.find_map(|(index, child)| {
                let further = after(&index.to_string())?;
                Some(target(further, item, child))
            });
            found.unwrap_or_else(|| {
                Err(format!(
                    "unknown variable: {path} has {} items, numbered from 0; the environment \
                     cannot add one",
                    items.len()
                ))
            })
        }
        (Shape::Names, Some(id)) => {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if id.is_empty() || !id.chars().all(is_plain) {
                return Err("such an id can only be written in the file".to_owned());
            }
            Ok((format!("{path}.{id}"), &Shape::Scalar))
        }
    }
}

fn unknown_variable(rest: &str, keys: &[Key]) -> String {
    let part = rest.split("__").next().unwrap_or_default();
    if part.is_empty() {
        return "unknown variable: it ends too early".to_owned();
    }
    let names: Vec<String> = keys.iter().map(|key| key.0.to_ascii_uppercase()).collect();
    let hint = match suggestion(&part.to_ascii_uppercase(), names.iter().map(String::as_str)) {
        hint if hint.is_empty() => format!(" (known are {})", names.join(", ")),
        hint => hint,
    };
    let shown = shown_variable(part);
    format!("unknown variable: there is no {shown}{hint}")
}

/// Reports each `VOBIZ_` variable that is not UTF-8, and warns of each probably misspelt name. Without the
/// warning, the operator would not notice that the program ignores the misspelt variable.
pub(super) fn check_variables(variables: &Variables, diagnostics: &Diagnostics) {
    let mut known = variable_names(&ROOT, PREFIX.trim_end_matches('_'));
    known.extend(ACCOUNT_VARIABLES.map(|(name, _)| name.to_owned()));
    for (name, value) in variables {
        let is_broken = |text: &str| text.contains(char::REPLACEMENT_CHARACTER);
        if name.starts_with("VOBIZ_") && (is_broken(name) || is_broken(value)) {
            diagnostics.error_in_variable(name, "is not UTF-8 text");
        }
        if name.starts_with(PREFIX) || known.contains(name) {
            continue;
        }
        let is_near = |known: &&String| match (letters(name), letters(known)) {
            (Some(given), Some(known)) => strsim::levenshtein(&given, &known) <= 1,
            _ => false,
        };
        if let Some(meant) = known.iter().find(is_near) {
            let shown = shown_variable(name);
            diagnostics.warn(format!(
                "environment variable {shown} is ignored; did you mean {meant}?"
            ));
        }
    }
}

/// The names of the variables for `shape`. For a list, item 0 is enough, because [`letters`] drops numbers.
fn variable_names(shape: &Shape, name: &str) -> Vec<String> {
    match shape {
        Shape::Table(keys) => (keys.iter())
            .map(|Key(key, below)| (format!("{name}__{}", key.to_ascii_uppercase()), below))
            .flat_map(|(name, below)| variable_names(below, &name))
            .collect(),
        Shape::List(item) => variable_names(item, &format!("{name}__0")),
        Shape::Names => vec![format!("{name}__0")],
        _ => vec![name.to_owned()],
    }
}

/// The letters of a name in upper case, without `VOBIZ` and `EXPORTER`; `None` if `VOBIZ` is not at the start.
/// Most misspelt names differ from the correct name only in case, underscores, numbers or `EXPORTER`.
fn letters(name: &str) -> Option<String> {
    let letters: String = name.chars().filter(char::is_ascii_alphabetic).collect();
    let letters = letters.to_ascii_uppercase();
    Some(letters.strip_prefix("VOBIZ")?.replacen("EXPORTER", "", 1))
}

/// Warns of each proxy variable that an account may use, if its value is neither empty nor the URL of a proxy.
pub(super) fn warn_of_proxies(
    variables: &Variables,
    accounts: &[Account],
    diagnostics: &Diagnostics,
) {
    for (name, value) in variables {
        let lower = name.to_ascii_lowercase();
        let scheme = lower.strip_suffix("_proxy").unwrap_or_default();
        let is_used = accounts.iter().map(|account| &account.api).any(|api| {
            [api.base_url.scheme(), "all"].contains(&scheme)
                && api.proxy_url.is_none()
                && !is_loopback(&api.base_url)
        });
        if is_used && !value.is_empty() && !is_proxy(value) {
            diagnostics.warn(format!(
                "{name} ignored: it is not the URL of a proxy, such as http://proxy.example:3128"
            ));
        }
    }
}

/// Whether `value` is the URL of a proxy. A value without a scheme has the scheme `http`.
fn is_proxy(value: &str) -> bool {
    let scheme = if value.contains("://") { "" } else { "http://" };
    let url = Url::parse(&format!("{scheme}{value}"));
    let schemes = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];
    is_header_word(value) && url.is_ok_and(|url| url.has_host() && schemes.contains(&url.scheme()))
}
