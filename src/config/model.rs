//! The settings as types. Whatever holds one of these is already valid; nothing is parsed later.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
    time::Duration,
};

use secrecy::SecretString;
use url::Url;

use super::pattern::Pattern;

/// Everything the process needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// `api.max_concurrent_requests`: requests in flight over the whole process.
    pub max_concurrent_requests: usize,
    /// `probe`: asking for single endpoints.
    pub probe: Probe,
    /// One entry per account, in the file's order; never empty, names are distinct. Accounts with the
    /// same `base_url` and `auth_id` have the same `requests_per_second`, for they share a limiter.
    pub accounts: Vec<Account>,
}

/// `probe`: whether and how single endpoints are asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// Is `/probe` answered at all?
    pub enabled: bool,
    /// Requests per second and (base URL, auth id) that probes may make; above 0.
    pub requests_per_second: f64,
    /// How much earlier than the scrape's time-out a probe gives up.
    pub timeout_offset: Duration,
}

/// One Vobiz account and how it is to be read: global settings with its own laid over them.
#[derive(Debug, Clone)]
pub struct Account {
    /// `accounts[].name`: the `account` label of every series.
    pub name: String,
    /// `accounts[].auth_id`, sent as `X-Auth-ID` and part of every path.
    pub auth_id: String,
    /// Where the token comes from.
    pub token: ApiToken,
    /// `accounts[].filter`, sent with every list request.
    pub filter: Filter,
    /// When to walk.
    pub poll: Poll,
    /// How to ask.
    pub api: Api,
    /// When to retrieve single endpoints.
    pub details: Details,
    /// What to show.
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
#[derive(Debug, Clone, PartialEq)]
pub struct Poll {
    /// Time between the starts of two walks; at least 5 s.
    pub interval: Duration,
    /// How long the last good snapshot is shown when walks fail.
    pub max_age: Duration,
    /// A walk fails when no page was completed for this long while requests are under way.
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
    /// It may hold credentials: show it with [`Api::masked_proxy`] only.
    pub proxy_url: Option<Url>,
    /// PEM file of authorities added to the roots.
    pub ca_file: Option<PathBuf>,
}

impl Api {
    /// The proxy as it may be shown: scheme, host and port. User names and queries hold tokens, too.
    pub fn masked_proxy(&self) -> Option<String> {
        let url = self.proxy_url.as_ref()?;
        let port = url
            .port()
            .map_or_else(String::new, |port| format!(":{port}"));
        Some(format!("{}://{}{port}/", url.scheme(), url.host()?))
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("base_url", &self.base_url.as_str())
            .field("page_size", &self.page_size)
            .field("concurrency", &self.concurrency)
            .field("requests_per_second", &self.requests_per_second)
            .field("connect_timeout", &self.connect_timeout)
            .field("request_timeout", &self.request_timeout)
            .field("max_page_bytes", &self.max_page_bytes)
            .field("retries", &self.retries)
            .field("proxy_url", &self.masked_proxy())
            .field("ca_file", &self.ca_file)
            .finish()
    }
}

/// `details`: when single endpoints are retrieved.
#[derive(Debug, Clone, PartialEq)]
pub struct Details {
    /// Whose records are wanted.
    pub mode: DetailMode,
    /// Requests per minute, evenly spaced.
    pub requests_per_minute: f64,
    /// Age from which a record is retrieved again.
    pub max_age: Duration,
}

/// Whose records are wanted; registered endpoints only, in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DetailMode {
    /// Those whose list row brings no expiry.
    Auto,
    /// All of them.
    Always,
    /// None.
    Never,
}

impl DetailMode {
    /// Every one, in the order of the documentation.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Always, Self::Never];

    /// The word in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
        }
    }
}

/// `metrics`: what is shown beyond the fixed families.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    /// Optional families.
    pub groups: BTreeSet<Optional>,
    /// `false` drops usernames everywhere: samples, logs, pages.
    pub username: bool,
}

/// An optional set of families.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Optional {
    /// `vobiz_endpoint_user_agent_info`; on by default.
    UserAgent,
    /// Created and updated times.
    Timestamps,
    /// `vobiz_endpoint_allowed`.
    Permissions,
    /// `vobiz_endpoint_contact_info`: addresses of people's devices.
    Contact,
}

impl Optional {
    /// Every one, in the order of the documentation.
    pub const ALL: [Self; 4] = [
        Self::UserAgent,
        Self::Timestamps,
        Self::Permissions,
        Self::Contact,
    ];

    /// The word in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::UserAgent => "user_agent",
            Self::Timestamps => "timestamps",
            Self::Permissions => "permissions",
            Self::Contact => "contact",
        }
    }
}

/// One of the operator's groups.
#[derive(Debug, Clone)]
pub struct Group {
    /// The `group` label.
    pub name: String,
    /// What an endpoint must look like; every given part must match.
    pub matches: GroupMatch,
    /// How much the group matters.
    pub watch: Watch,
}

/// Regular expressions, anchored at both ends; `None` matches everything, and at least one is given.
#[derive(Debug, Clone, Default)]
pub struct GroupMatch {
    /// Against the endpoint's alias.
    pub alias: Option<Pattern>,
    /// Against the endpoint's username.
    pub username: Option<Pattern>,
    /// Against the id of the endpoint's application, "" for none.
    pub application_id: Option<Pattern>,
    /// Against the endpoint's sub-account, "" for the main account.
    pub sub_account: Option<Pattern>,
}

/// How much an endpoint matters to the operator; the `watch` label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Watch {
    /// Wake somebody.
    Page,
    /// Tell somebody in working hours.
    #[default]
    Notice,
    /// Tell nobody.
    Ignore,
}

impl Watch {
    /// Every one, in the order of urgency.
    pub const ALL: [Self; 3] = [Self::Page, Self::Notice, Self::Ignore];

    /// The label's value, which is also the word in the configuration.
    pub fn label(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Notice => "notice",
            Self::Ignore => "ignore",
        }
    }
}
