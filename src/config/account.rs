//! The whole configuration: its accounts with their tokens and groups, and what all accounts share.

use std::collections::{BTreeMap, HashMap};

use config::ValueKind;
use serde::Serialize;
use serde_json::json;
use url::Url;

use super::{
    error::Diagnostics,
    files::is_header_word,
    keys::{Node, Section},
    pattern::{Pattern, Patterns},
    settings::{self, Api, DetailMode, Details, Metrics, Poll, Probe},
    token::{self, ApiToken},
    values::whole,
};
pub use crate::telemetry::labels::Watch;

/// A snapshot stores a group's number in two bytes.
const MAX_GROUPS: usize = 1000;

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

/// The configuration in the tree at `root`; `None` after an error.
pub(super) fn config(root: &Node<'_>) -> Option<Config> {
    // Without an account, nothing else reads the settings at the top level.
    sections(root, root);
    let process = Section::new("api", root, root);
    let max_concurrent_requests = process.read("max_concurrent_requests", whole(1..=1024));
    let probe = settings::probe(&Section::new("probe", root, root));
    let mut reader = AccountReader::default();
    let nodes = root.tables("accounts").into_iter();
    let accounts: Vec<_> = nodes.map(|node| reader.account(&node, root)).collect();
    Some(Config {
        max_concurrent_requests,
        probe: probe?,
        accounts: accounts.into_iter().collect::<Option<_>>()?,
    })
}

/// Warns of valid rates that keep requests from being made in time.
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

/// The settings of `owner`, which is an account or `root`, the whole tree; `None` after an error.
fn sections(
    owner: &Node<'_>,
    root: &Node<'_>,
) -> (Option<Poll>, Option<Api>, Option<Details>, Option<Metrics>) {
    let section = |key| Section::new(key, owner, root);
    (
        settings::poll(&section("poll")),
        settings::api(&section("api")),
        settings::details(&section("details")),
        settings::metrics(&section("metrics")),
    )
}

/// Reads accounts one after the other.
#[derive(Default)]
struct AccountReader<'t> {
    patterns: Patterns,
    names: Names<'t>,
    /// The first account with a base URL and auth id, and its rate.
    rates: HashMap<(Url, String), (String, Option<f64>)>,
}

/// Names and the paths of their owners.
type Names<'t> = HashMap<&'t str, String>;

impl<'t> AccountReader<'t> {
    fn account(&mut self, node: &Node<'t>, root: &Node<'t>) -> Option<Account> {
        let needs = "needs a `name`: it is the `account` label of every series";
        let name = unique_name(node, needs, &mut self.names, "names must differ");
        let auth_id = auth_id(node);
        let token = token::token(node);
        let filter = filter(&node.child("filter"));
        let (poll, api, details, metrics) = sections(node, root);
        if let (Some(auth_id), Some(api)) = (&auth_id, &api) {
            self.check_rate(auth_id, api, node);
        }
        let groups = groups(node, &mut self.patterns);
        let applications = applications(&node.child("applications"));
        Some(Account {
            name: name?,
            auth_id: auth_id?,
            token: token?,
            filter,
            poll: poll?,
            api: api?,
            details: details?,
            metrics: metrics?,
            groups,
            applications,
        })
    }

    /// Accounts with the same base URL and auth id share a rate limiter, which has one rate.
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

/// The `name` of `owner`, which `names` does not have yet; `hint` is for a repeated one.
fn unique_name<'t>(
    owner: &Node<'t>,
    needs: &str,
    names: &mut Names<'t>,
    hint: &str,
) -> Option<String> {
    let node = owner.required("name", needs)?;
    let name = valid_name(&node)?;
    match names.get(name) {
        Some(first) => node.error(format!("is also the name of {first}; {hint}")),
        None => _ = names.insert(name, owner.path.clone()),
    }
    Some(name.to_owned())
}

fn auth_id(account: &Node<'_>) -> Option<String> {
    let node = account.required("auth_id", "needs an `auth_id`, such as MA_XXXXXXXX")?;
    let auth_id = node.text()?;
    if !is_header_word(auth_id) {
        return node.reject("must be printable ASCII without spaces, such as MA_XXXXXXXX");
    }
    if matches!(auth_id, "." | "..") {
        // A URL's path resolves these two, even when they are encoded.
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

/// A name that becomes a label's value.
fn valid_name<'t>(node: &Node<'t>) -> Option<&'t str> {
    let name = node.text()?;
    let is_odd = |c: char| c.is_control() || is_bidirectional_control(c);
    if name.trim() != name || name.len() > 128 || name.contains(is_odd) {
        return node.reject(
            "must be one line of at most 128 bytes, without white space at its ends and without \
             bidirectional control characters",
        );
    }
    Some(name)
}

/// Characters that reorder a line, so that one name can look like another.
fn is_bidirectional_control(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The groups of `account` in order, without the invalid ones.
fn groups<'t>(account: &Node<'t>, patterns: &mut Patterns) -> Vec<Group> {
    let nodes = account.tables("groups");
    if nodes.len() > MAX_GROUPS {
        let list = account.child("groups");
        list.error(format!("more than {MAX_GROUPS} groups"));
    }
    let mut names = Names::new();
    let read = |node: &Node<'t>| {
        let needs = "needs a `name`: it is the value of the `group` label";
        let hint = "one `match` can hold several expressions, and `a|b` matches either";
        let name = unique_name(node, needs, &mut names, hint);
        let matches = matches(&node.child("match"), patterns);
        let watch = node.get("watch").map_or(Some(Watch::default()), |value| {
            value.find(value.text()?, Watch::LABELS, &Watch::ALL)
        });
        Some(Group {
            name: name?,
            matches: matches?,
            watch: watch?,
        })
    };
    nodes.iter().filter_map(read).collect()
}

fn matches(node: &Node<'_>, patterns: &mut Patterns) -> Option<GroupMatch> {
    if node.entries().is_empty() {
        return node.reject(
            "must hold at least one of alias, username, application_id, sub_account; \
             `alias: \".*\"` matches every endpoint",
        );
    }
    let errors = node.diagnostics.error_count();
    let mut expression = |key| pattern(&node.get(key)?, patterns);
    let matches = GroupMatch {
        alias: expression("alias"),
        username: expression("username"),
        application_id: expression("application_id"),
        sub_account: expression("sub_account"),
    };
    (node.diagnostics.error_count() == errors).then_some(matches)
}

fn pattern(node: &Node<'_>, patterns: &mut Patterns) -> Option<Pattern> {
    let text = match node.kind() {
        // The empty expression is valid: it matches endpoints without an application, for example.
        ValueKind::String(text) => text,
        _ => node.text()?,
    };
    let compiled = patterns.compile(text);
    compiled.unwrap_or_else(|error| node.reject(error))
}
