//! The settings as types, and their redacted form. Values are valid; nothing is parsed later.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
    time::Duration,
};

use jiff::fmt::friendly::{Designator, Spacing, SpanPrinter};
use secrecy::SecretString;
use serde::{Serialize, Serializer};
use serde_json::json;
use url::{Host, Url};

use super::pattern::Pattern;
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
    /// `accounts[].filter`: the list's own parameters, sent with every list request.
    pub filter: BTreeMap<String, String>,
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
    format!("{}/", url.origin().ascii_serialization())
}
