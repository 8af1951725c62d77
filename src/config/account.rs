//! The whole configuration: the accounts with their tokens and groups, and the settings of the process.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use serde_json::json;
use url::Url;

use super::{
    error::Diagnostics,
    groups::{Group, Patterns, groups},
    known_keys::{Node, Section},
    settings::{
        self, Api, DetailMode, Details, Metrics, Optional, Outage, Poll, Probe, State, Web,
    },
    token::{self, ApiToken},
    values::{Names, is_header_word, unique_name, whole},
};

/// The validated configuration of the process.
#[derive(Debug, Clone)]
pub struct Config {
    /// `api.max_concurrent_requests`: the maximum number of requests in flight in the whole process.
    pub max_concurrent_requests: usize,
    /// `probe`: requests for single endpoints through `/probe`.
    pub probe: Probe,
    /// `state`: what survives a restart.
    pub state: State,
    /// `web`: the pages for browsers.
    pub web: Web,
    /// `accounts`, in the order of the file. The list is not empty, and names are distinct. Accounts with
    /// equal `base_url` and `auth_id` share a rate limiter and have equal `requests_per_second`.
    pub accounts: Vec<Account>,
}

/// One Vobiz account. Its own settings override the global settings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Account {
    /// `accounts[].name`: the `account` label of every series.
    pub name: String,
    /// `accounts[].auth_id`: the value of the header `X-Auth-ID`, and a part of the path of every request.
    pub auth_id: String,
    /// The token and its source.
    #[serde(flatten)]
    pub token: ApiToken,
    /// `accounts[].filter`: the filter parameters in the query of every request for the list.
    pub filter: BTreeMap<String, String>,
    /// The schedule of walks.
    pub poll: Poll,
    /// The settings of requests.
    pub api: Api,
    /// The settings for the retrieval of single endpoints.
    pub details: Details,
    /// The choice of optional metrics.
    pub metrics: Metrics,
    /// Which losses are an outage.
    pub outage: Outage,
    /// The groups in the configured order. Names are distinct. An endpoint is in the first group that matches.
    pub groups: Vec<Group>,
    /// `accounts[].applications`: names of applications by id, for rows of the list that have only the id.
    pub applications: BTreeMap<String, String>,
}

/// What a running account must do to use changed settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Show the endpoints of its snapshot in another way.
    Show,
    /// Walk at once, also if a walk with the earlier settings is in progress.
    Walk,
}

impl Account {
    /// The effect of these settings on an account that runs with the settings `earlier`; `None` if they are equal.
    /// Both have the same name.
    pub fn effect_after(&self, earlier: &Self) -> Option<Effect> {
        let Self {
            name: _,
            auth_id,
            token,
            filter,
            poll,
            api,
            details,
            metrics,
            outage,
            groups,
            applications,
        } = self;
        // Without this metric, a walk stores no addresses of devices.
        let has_contact = |account: &Self| account.metrics.groups.contains(&Optional::Contact);
        let has_same_requests = (auth_id, token, filter, api)
            == (
                &earlier.auth_id,
                &earlier.token,
                &earlier.filter,
                &earlier.api,
            );
        let has_same_schedule = (poll, details) == (&earlier.poll, &earlier.details);
        if !(has_same_requests && has_same_schedule) || has_contact(self) != has_contact(earlier) {
            Some(Effect::Walk)
        } else if (metrics, outage) != (&earlier.metrics, &earlier.outage)
            || (groups, applications) != (&earlier.groups, &earlier.applications)
        {
            Some(Effect::Show)
        } else {
            None
        }
    }
}

impl Config {
    /// The effective settings of the process and of every account as JSON, which is also valid YAML.
    /// `<redacted>` replaces tokens. The URL of a proxy shows only scheme, host and port.
    pub fn redacted(&self) -> String {
        let settings = json!({
            "api": {"max_concurrent_requests": self.max_concurrent_requests},
            "probe": self.probe,
            "state": self.state,
            "web": self.web,
            "accounts": self.accounts,
        });
        format!("{settings:#}")
    }
}

/// Reads the configuration from the tree at `root`. `state_directory` is the value of the variable
/// `STATE_DIRECTORY`. If this function reports an error, its result is unusable.
pub(super) fn config(root: &Node<'_>, state_directory: Option<&str>) -> Option<Config> {
    // An account does not read a global value that it overrides, so this call checks all global values.
    sections(root, root);
    let process = Section::new("api", root, root);
    let max_concurrent_requests = process.read("max_concurrent_requests", whole(1..=1024));
    let probe = settings::probe(&Section::new("probe", root, root));
    let web = settings::web(&Section::new("web", root, root));
    let state = settings::state(&Section::new("state", root, root), state_directory);
    let mut reader = AccountReader::default();
    let nodes = root.tables("accounts").into_iter();
    let accounts: Vec<_> = nodes.map(|node| reader.account(&node, root)).collect();
    Some(Config {
        max_concurrent_requests,
        probe: probe?,
        state: state?,
        web: web?,
        accounts: accounts.into_iter().collect::<Option<_>>()?,
    })
}

/// Warns if the rate of details exceeds an account's rate limit, or the rate of probes exceeds half the limit.
pub(super) fn warn_of_rates(config: &Config, diagnostics: &Diagnostics) {
    let probes = config.probe.requests_per_second;
    for account in &config.accounts {
        let (name, details) = (&account.name, &account.details);
        let Some(rate) = account.api.requests_per_second else {
            continue;
        };
        let (per_minute, limit) = (details.requests_per_minute, rate * 60.0);
        if details.mode != DetailMode::Never && per_minute > limit {
            diagnostics.warn(format!(
                "details.requests_per_minute: {per_minute} is more than the {limit} requests per \
                 minute that api.requests_per_second leaves account {name}, walks included"
            ));
        }
        if config.probe.enabled && probes > rate / 2.0 {
            diagnostics.warn(format!(
                "probe.requests_per_second: {probes} is more than half of the {rate} requests per \
                 second of account {name}; its walks may take more than twice as long"
            ));
        }
    }
}

/// Reads the sections of `owner`, which is an account or `root`.
fn sections(owner: &Node<'_>, root: &Node<'_>) -> Sections {
    let section = |key| Section::new(key, owner, root);
    Sections {
        poll: settings::poll(&section("poll")),
        api: settings::api(&section("api")),
        details: settings::details(&section("details")),
        metrics: settings::metrics(&section("metrics")),
        outage: settings::outage(&section("outage")),
    }
}

/// The sections of an account. A section with an invalid value is `None`.
struct Sections {
    poll: Option<Poll>,
    api: Option<Api>,
    details: Option<Details>,
    metrics: Option<Metrics>,
    outage: Option<Outage>,
}

/// Reads the accounts, and compares the name and the rate of each account with those of earlier accounts.
#[derive(Default)]
struct AccountReader<'t> {
    patterns: Patterns,
    names: Names<'t>,
    /// Maps each pair of base URL and auth id to the path (`accounts[0]`) and the rate of its first account.
    rates: HashMap<(Url, String), (String, Option<f64>)>,
}

impl<'t> AccountReader<'t> {
    fn account(&mut self, node: &Node<'t>, root: &Node<'t>) -> Option<Account> {
        let needs = "needs a `name`: it is the `account` label of every series";
        let name = unique_name(node, needs, &mut self.names, "names must differ");
        let auth_id = auth_id(node);
        let token = token::token(node);
        let filter = filter(&node.child("filter"));
        let sections = sections(node, root);
        if let (Some(auth_id), Some(api)) = (&auth_id, &sections.api) {
            self.check_rate(auth_id, api, node);
        }
        let groups = groups(node, &mut self.patterns);
        let applications = applications(&node.child("applications"));
        Some(Account {
            name: name?,
            auth_id: auth_id?,
            token: token?,
            filter,
            poll: sections.poll?,
            api: sections.api?,
            details: sections.details?,
            metrics: sections.metrics?,
            outage: sections.outage?,
            groups,
            applications,
        })
    }

    /// Reports an account that shares the rate limiter of an earlier account but has a different rate.
    fn check_rate(&mut self, auth_id: &str, api: &Api, node: &Node<'_>) {
        let key = (api.base_url.clone(), auth_id.to_owned());
        let rate = api.requests_per_second;
        let first = self.rates.entry(key);
        let (path, first_rate) = first.or_insert_with(|| (node.path.clone(), rate));
        if rate != *first_rate {
            node.child("api").error(format!(
                "requests_per_second differs from that of {path}, with which this account shares \
                 its auth_id and so its limiter; set both alike"
            ));
        }
    }
}

fn auth_id(account: &Node<'_>) -> Option<String> {
    let node = account.required("auth_id", "needs an `auth_id`, such as MA_XXXXXXXX")?;
    let auth_id = node.text()?;
    if !is_header_word(auth_id) {
        return node.reject("must be printable ASCII without spaces, such as MA_XXXXXXXX");
    }
    if matches!(auth_id, "." | "..") {
        // The auth id is a path segment. The URL parser removes `.` and `..`, even if percent-encoded.
        return node.reject("must be more than dots, such as MA_XXXXXXXX");
    }
    Some(auth_id.to_owned())
}

fn filter(node: &Node<'_>) -> BTreeMap<String, String> {
    let read = |(name, value): (&str, Node<'_>)| {
        let text = value.text()?;
        match name {
            "application_id__exact" if !text.bytes().all(|byte| byte.is_ascii_digit()) => {
                value.reject("must be an application's id: digits only")
            }
            "application_id__isnull" if !matches!(text, "true" | "false") => {
                value.reject("must be \"true\" or \"false\", in quotes")
            }
            _ => Some((name.to_owned(), text.to_owned())),
        }
    };
    node.entries().into_iter().filter_map(read).collect()
}

fn applications(node: &Node<'_>) -> BTreeMap<String, String> {
    let read = |(id, value): (&str, Node<'_>)| match id {
        "" => value.reject("must have an application's id as its key"),
        _ => Some((id.to_owned(), value.text()?.to_owned())),
    };
    node.entries().into_iter().filter_map(read).collect()
}
