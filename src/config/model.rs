//! The settings as types. Whatever holds one of these is already valid; nothing is parsed later.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use regex::Regex;
use secrecy::SecretString;
use url::Url;

/// Everything the process needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// `api.max_concurrent_requests`: requests in flight over the whole process.
    pub max_concurrent_requests: usize,
    /// One entry per account, in the file's order; never empty, names are distinct.
    pub accounts: Vec<Account>,
}

/// One Vobiz account and how it is to be read: global settings with its own laid over them.
#[derive(Debug, Clone)]
pub struct Account {
    /// `accounts[].name`: the `account` label of every series.
    pub name: String,
    /// `accounts[].auth_id`, sent as `X-Auth-ID` and part of every path.
    pub auth_id: String,
    /// Where the token comes from.
    pub token: Token,
    /// `accounts[].filter`, sent with every list request.
    pub filter: Filter,
    /// When to walk.
    pub poll: Poll,
    /// How to ask.
    pub api: Api,
    /// What to show.
    pub metrics: Metrics,
    /// The operator's groups in order; the first match wins.
    pub groups: Vec<Group>,
    /// `accounts[].applications`: application id to name, where the API gives only ids.
    pub applications: BTreeMap<String, String>,
}

/// The account's token, never printed.
#[derive(Debug, Clone)]
pub enum Token {
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
    /// How long the last good picture is shown when walks fail.
    pub max_age: Duration,
    /// Time a walk may take beyond what the rate limiter needs.
    pub deadline: Duration,
    /// Share of endpoints (0 to 1) that may change state or vanish without a second reading.
    pub flip_share: f64,
}

/// `api`: how requests are made.
#[derive(Debug, Clone, PartialEq)]
pub struct Api {
    /// Ends without a slash, for example `https://api.vobiz.ai/api/v1`.
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
    pub proxy_url: Option<Url>,
    /// PEM file of authorities added to the roots.
    pub ca_file: Option<PathBuf>,
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

/// Anchored regular expressions; `None` matches everything.
#[derive(Debug, Clone, Default)]
pub struct GroupMatch {
    /// Against the endpoint's alias.
    pub alias: Option<Regex>,
    /// Against the endpoint's username.
    pub username: Option<Regex>,
    /// Against the id of the endpoint's application, "" for none.
    pub application_id: Option<Regex>,
    /// Against the endpoint's sub-account, "" for the main account.
    pub sub_account: Option<Regex>,
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
    /// The label's value, which is also the word in the configuration.
    pub fn label(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Notice => "notice",
            Self::Ignore => "ignore",
        }
    }
}
