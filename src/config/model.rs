//! The settings as types, and their redacted form. Values are valid; nothing is parsed later.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt, mem,
    path::PathBuf,
    time::Duration,
};

use jiff::fmt::friendly::{Designator, Spacing, SpanPrinter};
use regex_automata::{
    meta::{self, Regex},
    nfa::thompson::WhichCaptures,
};
use regex_syntax::{
    ast::Span,
    hir::{Hir, Look},
};
use secrecy::SecretString;
use serde::{Serialize, Serializer};
use serde_json::json;
use url::{Host, Url};

pub use crate::telemetry::labels::Watch;
use crate::telemetry::labels::closed_label;

/// Everything the process needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// `api.max_concurrent_requests`: requests in flight over the whole process.
    pub max_concurrent_requests: usize,
    /// `probe`: requests for single endpoints.
    pub probe: Probe,
    /// `accounts`, in the file's order; never empty, names are distinct. Accounts with the same
    /// `base_url` and `auth_id` share a rate limiter, so they have the same `requests_per_second`.
    pub accounts: Vec<Account>,
}

/// `probe`: requests for single endpoints.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Probe {
    /// Whether the server answers `/probe`.
    pub enabled: bool,
    /// Requests per second and (base URL, auth id) that probes may make; above 0.
    pub requests_per_second: f64,
    /// How much earlier than the scrape's time-out a probe gives up.
    #[serde(serialize_with = "write_duration")]
    pub timeout_offset: Duration,
}

/// One Vobiz account: the global settings, overridden by its own.
#[derive(Debug, Clone, Serialize)]
pub struct Account {
    /// `accounts[].name`: the `account` label of every series.
    pub name: String,
    /// `accounts[].auth_id`, sent as `X-Auth-ID` and part of every path.
    pub auth_id: String,
    /// The token and its source.
    #[serde(flatten)]
    pub token: ApiToken,
    /// `accounts[].filter`, sent with every list request.
    pub filter: Filter,
    /// The schedule of walks.
    pub poll: Poll,
    /// How requests are made.
    pub api: Api,
    /// Retrieval of single endpoints.
    pub details: Details,
    /// Optional metrics.
    pub metrics: Metrics,
    /// The operator's groups in order, with distinct names; the first match wins.
    pub groups: Vec<Group>,
    /// `accounts[].applications`: application id to name, where the API gives only ids.
    pub applications: BTreeMap<String, String>,
}

/// The account's token, never printed.
#[derive(Debug, Clone)]
pub enum ApiToken {
    /// Given in the configuration or the environment.
    Inline(SecretString),
    /// Read from a file, again before each walk.
    File {
        /// `auth_token_file`.
        path: PathBuf,
        /// What the file held at start, without surrounding white space.
        initial: SecretString,
    },
}

/// The list's own filter parameters as name and value, in the API's order of names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter(pub Vec<(&'static str, String)>);

/// `poll`: the schedule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Poll {
    /// Time between the starts of two walks; at least 5 s.
    #[serde(serialize_with = "write_duration")]
    pub interval: Duration,
    /// Age at which a snapshot is withdrawn when walks fail.
    #[serde(serialize_with = "write_duration")]
    pub max_age: Duration,
    /// A walk fails when no page was completed for this long while requests are under way.
    #[serde(serialize_with = "write_duration")]
    pub deadline: Duration,
    /// Share of endpoints (0 to 1) that may change state or vanish before a later walk must agree.
    pub flip_share: f64,
}

/// `api`: how requests are made.
#[derive(Clone, PartialEq)]
pub struct Api {
    /// `http` or `https`, without credentials, query and fragment. Its path ends without a slash,
    /// for example `https://api.vobiz.ai/api/v1`; only the empty path is `/`.
    pub base_url: Url,
    /// Whether `http` to other machines is allowed.
    pub allow_insecure_http: bool,
    /// Rows asked for per page, 2 to 100.
    pub page_size: u32,
    /// Pages of one walk in flight.
    pub concurrency: usize,
    /// Requests per second and (base URL, auth id); `None` is off.
    pub requests_per_second: Option<f64>,
    /// Limit for connecting, TLS included.
    pub connect_timeout: Duration,
    /// Limit for one whole request.
    pub request_timeout: Duration,
    /// Limit for a body, after decompression, in bytes.
    pub max_page_bytes: u64,
    /// Further attempts after a failed one.
    pub retries: u32,
    /// Proxy for requests; `None` follows `HTTPS_PROXY` and `NO_PROXY`. Loopback is never proxied.
    /// It may hold credentials; the Debug form of [`Api`] does not show them.
    pub proxy_url: Option<Url>,
    /// PEM file of authorities added to the roots.
    pub ca_file: Option<PathBuf>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        json!(self).fmt(f)
    }
}

/// Whether the text of the URL names this machine. `localhost` is the only host name that does: another
/// one may be resolved to any machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// `details`: when single endpoints are retrieved.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Details {
    /// Which endpoints' records are retrieved.
    pub mode: DetailMode,
    /// Requests per minute, evenly spaced.
    pub requests_per_minute: f64,
    /// Age from which a record is retrieved again.
    #[serde(serialize_with = "write_duration")]
    pub max_age: Duration,
}

closed_label! {
    /// Which registered endpoints' own records are retrieved.
    #[derive(Default)]
    DetailMode {
        /// Those whose list row has no expiry.
        #[default]
        Auto = "auto",
        /// All.
        Always = "always",
        /// None.
        Never = "never",
    }
}

/// `metrics`: what is exported beyond the fixed families.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Metrics {
    /// Optional families.
    pub groups: BTreeSet<Optional>,
    /// `false` drops usernames everywhere: samples, logs, pages.
    pub username: bool,
}

closed_label! {
    /// An optional set of families.
    Optional {
        /// `vobiz_endpoint_user_agent_info`; on by default.
        UserAgent = "user_agent",
        /// Created and updated times.
        Timestamps = "timestamps",
        /// `vobiz_endpoint_allowed`.
        Permissions = "permissions",
        /// `vobiz_endpoint_contact_info`: addresses of people's devices.
        Contact = "contact",
    }
}

/// A group of endpoints, defined by the operator.
#[derive(Debug, Clone, Serialize)]
pub struct Group {
    /// The `group` label.
    pub name: String,
    /// Expressions for an endpoint's fields; every given one must match.
    #[serde(rename = "match")]
    pub matches: GroupMatch,
    /// How much the group matters.
    pub watch: Watch,
}

/// Regular expressions, anchored at both ends; `None` matches everything, and at least one is given.
#[derive(Debug, Clone, Default, Serialize)]
pub struct GroupMatch {
    /// Against the endpoint's alias.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<Pattern>,
    /// Against the endpoint's username.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<Pattern>,
    /// Against the id of the endpoint's application, "" for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application_id: Option<Pattern>,
    /// Against the endpoint's sub-account, "" for the main account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub_account: Option<Pattern>,
}

/// Memory of all compiled expressions of a configuration together, in bytes.
const MAX_COMPILED: usize = 10_000_000;
/// The longest expression, in bytes. Parsing alone takes up to some thousand times as much memory.
const MAX_LENGTH: usize = 16 << 10;

/// A regular expression that matches whole texts.
///
/// The engine of the `regex` crate tells how large an expression is, and takes a parsed one, which is
/// anchored here; that crate's own API does neither.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

/// Why an expression is refused; does not repeat the expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The text is no regular expression.
    #[error("the regular expression does not compile at character {character}: {reason}")]
    Syntax {
        /// The position in characters, from 1.
        character: usize,
        /// The parser's reason.
        reason: String,
    },
    /// The text is too long.
    #[error("is longer than {} KiB", MAX_LENGTH >> 10)]
    TooLong,
    /// The expression takes too much memory, alone or with those before it.
    #[error(
        "takes the expressions of all groups above {} MB of memory; use smaller classes, such as \
         [A-Za-z] instead of \\w, or fewer repetitions",
        MAX_COMPILED / 1_000_000
    )]
    TooLarge,
}

impl Pattern {
    /// Compiles `text`.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        Self::within(text, MAX_COMPILED)
    }

    /// Whether the expression matches the whole of `text`.
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The expression as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Compiles `text` to at most `limit` bytes.
    fn within(text: &str, limit: usize) -> Result<Self, PatternError> {
        if text.len() > MAX_LENGTH {
            return Err(PatternError::TooLong);
        }
        let parsed = regex_syntax::parse(text).map_err(|error| match error {
            regex_syntax::Error::Parse(error) => syntax(text, error.kind(), error.span()),
            regex_syntax::Error::Translate(error) => syntax(text, error.kind(), error.span()),
            _ => PatternError::TooLarge,
        })?;
        let whole = Hir::concat(vec![Hir::look(Look::Start), parsed, Hir::look(Look::End)]);
        // One-pass and dense automata take most of the memory and save 5 % of the time.
        let config = meta::Config::new()
            .nfa_size_limit(Some(limit))
            .which_captures(WhichCaptures::None)
            .onepass(false)
            .dfa(false);
        let regex = Regex::builder().configure(config).build_from_hir(&whole);
        regex
            .ok()
            .filter(|regex| regex.memory_usage() <= limit)
            .map(|regex| Self {
                text: text.to_owned(),
                regex,
            })
            .ok_or(PatternError::TooLarge)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pattern").field(&self.text).finish()
    }
}

/// Compiles the expressions of one configuration within a shared memory limit. Equal expressions are
/// compiled once: hundreds of accounts may have the same groups.
#[derive(Debug)]
pub(super) struct Patterns {
    compiled: HashMap<String, Pattern>,
    /// The bytes for further expressions; 0 after one that was too large. A thousand such expressions
    /// would take a minute.
    left: usize,
}

impl Default for Patterns {
    fn default() -> Self {
        Self {
            compiled: HashMap::new(),
            left: MAX_COMPILED,
        }
    }
}

impl Patterns {
    /// Compiles `text`; after an expression that was too large, only checks it.
    pub(super) fn compile(&mut self, text: &str) -> Result<Option<Pattern>, PatternError> {
        if let Some(pattern) = self.compiled.get(text) {
            return Ok(Some(pattern.clone()));
        }
        match Pattern::within(text, self.left) {
            Ok(pattern) => {
                self.left -= pattern.regex.memory_usage();
                self.compiled.insert(text.to_owned(), pattern.clone());
                Ok(Some(pattern))
            }
            // One message is enough.
            Err(PatternError::TooLarge) if mem::take(&mut self.left) == 0 => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn syntax(text: &str, kind: &impl ToString, span: &Span) -> PatternError {
    let before = text.get(..span.start.offset).unwrap_or(text);
    PatternError::Syntax {
        character: 1 + before.chars().count(),
        reason: kind.to_string(),
    }
}

/// A duration as people write it; it can be parsed again.
pub(super) fn format_duration(duration: Duration) -> String {
    static PRINTER: SpanPrinter = SpanPrinter::new()
        .designator(Designator::Compact)
        .spacing(Spacing::None);
    PRINTER.unsigned_duration_to_string(&duration)
}

fn write_duration<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format_duration(*duration))
}

impl Config {
    /// The effective settings of every account as a configuration in JSON, which YAML includes.
    /// Tokens are replaced by `<redacted>`; of a proxy's URL, only scheme, host and port are shown.
    pub fn redacted(&self) -> String {
        let settings = json!({
            "api": {"max_concurrent_requests": self.max_concurrent_requests},
            "probe": self.probe,
            "accounts": self.accounts,
        });
        format!("{settings:#}")
    }
}

impl Serialize for ApiToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entry = match self {
            Self::Inline(_) => ("auth_token", "<redacted>".to_owned()),
            Self::File { path, .. } => ("auth_token_file", path.display().to_string()),
        };
        serializer.collect_map([entry])
    }
}

impl Serialize for Api {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let settings = json!({
            "base_url": self.base_url.as_str(),
            "allow_insecure_http": self.allow_insecure_http,
            "page_size": self.page_size,
            "concurrency": self.concurrency,
            "requests_per_second": self.requests_per_second.unwrap_or(0.0),
            "connect_timeout": format_duration(self.connect_timeout),
            "request_timeout": format_duration(self.request_timeout),
            "max_page_bytes": format!("{}B", self.max_page_bytes),
            "retries": self.retries,
            "proxy_url": self.proxy_url.as_ref().map(redacted_proxy),
            "ca_file": self.ca_file.as_ref().map(|path| path.display().to_string()),
        });
        settings.serialize(serializer)
    }
}

/// A proxy's scheme, host and port. User name, path and query may hold secrets, too.
fn redacted_proxy(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url
        .port()
        .map_or_else(String::new, |port| format!(":{port}"));
    format!("{}://{host}{port}/", url.scheme())
}

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn an_expression_matches_whole_texts_whatever_stands_in_it() {
        for (text, yes, no) in [
            ("a|ab", "ab", "abc"),
            ("", "", "a"),
            ("(?m)a$", "a", "a\nb"),
            ("(?x)a # comment", "a", "ab"),
        ] {
            let pattern = Pattern::new(text).unwrap();
            assert!(pattern.is_match(yes) && !pattern.is_match(no), "{text}");
        }
        assert!(Pattern::new("a)(b").is_err());
    }
}
