//! Reads the YAML of a web configuration into sections. Each value stays text until its section checks it, so
//! `X-XSS-Protection: 0` and a user with the name `123` need no quotes.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_saphyr::Error as YamlError;

/// The maximum length of a key that messages quote, in bytes.
const LONGEST_QUOTED: usize = 40;

/// The reason why a web configuration cannot be used. Holds no password, hash or private key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    /// The web configuration file, or a file that it names.
    file: PathBuf,
    /// The line in `file`, if known.
    line: Option<u64>,
    /// The path of the key, such as `tls_server_config.cert_file`; empty if no single key is wrong.
    key: String,
    message: String,
}

impl Error {
    /// An error of the key `key`. `message` continues a sentence that begins with the key.
    pub(super) fn new(file: &Path, key: &str, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: None,
            key: key.to_owned(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.line.map(|line| format!(":{line}")).unwrap_or_default();
        let place = format!("{}{line}", self.file.display());
        let parts = [&place, &self.key, &self.message].into_iter();
        let parts: Vec<_> = parts
            .filter(|part| !part.is_empty())
            .map(String::as_str)
            .collect();
        let mut text = parts.join(": ");
        // The name of a file may contain a line break, but an error must stay on one line.
        if text.contains(char::is_control) {
            text = text.escape_debug().to_string();
        }
        f.write_str(&text)
    }
}

/// Texts to log about parts of the file that have no effect.
#[derive(Debug, Default)]
pub(super) struct Warnings(pub(super) Vec<String>);

impl Warnings {
    /// A warning about the key `key`. `message` continues a sentence that begins with the key.
    pub(super) fn add(&mut self, file: &Path, key: &str, message: impl Into<String>) {
        self.0.push(Error::new(file, key, message).to_string());
    }
}

/// The text of an optional value. As in the exporter-toolkit, an empty text is an absent value.
pub(super) fn text(value: Option<&String>) -> Option<&str> {
    value.map(String::as_str).filter(|text| !text.is_empty())
}

/// Reads a switch. As in the exporter-toolkit, the words of YAML 1.1 are valid, too.
///
/// # Errors
/// The text is not one of these words.
pub(super) fn flag(
    file: &Path,
    key: &str,
    value: Option<&String>,
    default: bool,
) -> Result<bool, Error> {
    let Some(text) = value else {
        return Ok(default);
    };
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" => Ok(true),
        "false" | "no" | "off" | "n" => Ok(false),
        _ => Err(Error::new(file, key, "must be true or false")),
    }
}

/// The file. An absent section and a section with the value null have the same meaning.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Document {
    pub(super) tls_server_config: Option<TlsSection>,
    pub(super) http_server_config: Option<HttpSection>,
    pub(super) basic_auth_users: Option<BTreeMap<String, Option<String>>>,
    pub(super) rate_limit: Option<RateLimitSection>,
}

/// The section `tls_server_config`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TlsSection {
    pub(super) cert: Option<String>,
    pub(super) key: Option<String>,
    pub(super) client_ca: Option<String>,
    pub(super) cert_file: Option<String>,
    pub(super) key_file: Option<String>,
    pub(super) client_ca_file: Option<String>,
    pub(super) client_auth_type: Option<String>,
    pub(super) client_allowed_sans: Option<Vec<String>>,
    pub(super) min_version: Option<String>,
    pub(super) max_version: Option<String>,
    pub(super) cipher_suites: Option<Vec<String>>,
    pub(super) prefer_server_cipher_suites: Option<String>,
    pub(super) curve_preferences: Option<Vec<String>>,
}

/// The section `http_server_config`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HttpSection {
    pub(super) http2: Option<String>,
    pub(super) headers: Option<BTreeMap<String, Option<String>>>,
}

/// The section `rate_limit`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RateLimitSection {
    pub(super) interval: Option<String>,
    pub(super) burst: Option<String>,
}

/// Parses the text of the web configuration `file`.
///
/// # Errors
/// The text is not YAML, or has an unknown key, a key twice, or a value of the wrong form.
pub(super) fn parse(file: &Path, text: &str) -> Result<Document, Error> {
    let options = serde_saphyr::options! {
        // A snippet could show a private key or a hash.
        with_snippet: false,
        reject_unsupported_tags: true,
    };
    let mut key = String::new();
    let parsed = serde_saphyr::with_deserializer_from_str_with_options(text, options, |yaml| {
        serde_path_to_error::deserialize::<_, Option<Document>>(yaml).map_err(|error| {
            key = error.path().to_string();
            error.into_inner()
        })
    });
    parsed.map(Option::unwrap_or_default).map_err(|error| {
        let line = error.location().map(|location| location.line());
        let (key, message) = describe(&key, error.without_snippet());
        Error {
            line: line.filter(|line| *line > 0),
            ..Error::new(file, &key, message)
        }
    })
}

/// The path of a key in the form of messages. In the path of the library, the optional document has the name `?`.
fn section_of(path: &str) -> &str {
    match path {
        "." | "?" => "",
        path => path.strip_prefix("?.").unwrap_or(path),
    }
}

/// The key and the message of an error of the YAML library.
fn describe(path: &str, error: &YamlError) -> (String, String) {
    let section = section_of(path);
    match error {
        YamlError::SerdeUnknownField {
            field, expected, ..
        } => {
            let known = expected.join(", ");
            let message = format!("has the unknown key {}; known are {known}", shown(field));
            // The path ends in the unknown key, which may itself contain dots, or begin like a path.
            let section = path.strip_suffix(field.as_str()).unwrap_or_default();
            (
                section_of(section.trim_end_matches('.')).to_owned(),
                message,
            )
        }
        YamlError::DuplicateMappingKey { key, .. } => {
            let key = shown(key.as_deref().unwrap_or_default());
            (
                String::new(),
                format!("the key {key} appears twice; keep one"),
            )
        }
        YamlError::Unexpected { .. }
        | YamlError::SerdeInvalidType { .. }
        | YamlError::SerdeInvalidValue { .. }
        | YamlError::NullIntoString { .. }
        | YamlError::UnexpectedSequenceEnd { .. }
        | YamlError::UnexpectedMappingEnd { .. } => {
            (shown_path(section), wanted(section).to_owned())
        }
        YamlError::MultipleDocuments { .. } => {
            let message = "holds more than one YAML document; keep one";
            (String::new(), message.to_owned())
        }
        error => (
            String::new(),
            format!("is not valid YAML: {}", without_quotes(&error.to_string())),
        ),
    }
}

/// The first line of a message of the YAML library, without its place and without parts that it may quote.
fn without_quotes(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let line = line.split(" at line ").next().unwrap_or_default();
    let parts = line.split('`').enumerate();
    let plain: String = parts
        .map(|(number, part)| if number % 2 == 0 { part } else { "…" })
        .collect();
    let is_plain = |word: &&str| word.len() <= LONGEST_QUOTED && !word.contains('$');
    let words = plain.split_whitespace().filter(is_plain);
    words.collect::<Vec<_>>().join(" ")
}

/// The form that the value of the key `path` must have.
fn wanted(path: &str) -> &'static str {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let last = rest.split(['.', '[']).next().unwrap_or_default();
    match (first, last) {
        ("", _) => "must hold sections such as `tls_server_config:` at its top level",
        (_, "client_allowed_sans" | "cipher_suites" | "curve_preferences") => {
            "must be a list of texts"
        }
        (_, "headers") if rest == last => "must be a table of header names and values",
        ("basic_auth_users", "") => "must be a table of user names and bcrypt hashes",
        (_, "") => "must be a table of keys and values",
        _ => "must be one value, not a list or a table",
    }
}

/// The path of a key for a message. The last part may be any text, such as a user's name.
fn shown_path(path: &str) -> String {
    let mut tables = ["basic_auth_users.", "http_server_config.headers."].into_iter();
    let found = tables.find_map(|table| Some((table, path.strip_prefix(table)?)));
    found.map_or_else(
        || path.to_owned(),
        |(table, key)| format!("{table}{}", shown(key)),
    )
}

/// The name of a file for a message: `path`, unless the `written` path may be a hash or the text of a private key.
pub(super) fn shown_file(written: &str, path: &Path) -> String {
    let is_odd = |c: char| c == '$' || c.is_control();
    let is_long = |part: &str| part.len() > LONGEST_QUOTED;
    if written.contains("-----") || written.contains(is_odd) || written.split('/').any(is_long) {
        "the file that is named here".to_owned()
    } else {
        path.display().to_string()
    }
}

/// A key or a name for a message. A long text, or a text with a `$`, may be a hash or a password.
pub(super) fn shown(name: &str) -> String {
    if name.len() > LONGEST_QUOTED || name.contains(|c: char| c == '$' || c.is_control()) {
        "…".to_owned()
    } else {
        format!("{name:?}")
    }
}
