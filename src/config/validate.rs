//! From the tree of values to a valid [`Config`], or to all its errors.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use config::ValueKind;
use secrecy::SecretString;
use url::Url;

use super::{
    error::{Diagnostics, UNNAMED_FILE, shown_file},
    files::{ca_file, is_header_word},
    keys::{Node, Section},
    model::{
        Account, Api, ApiToken, Config, DetailMode, Details, Group, GroupMatch, Metrics, Optional,
        Poll, Probe, Watch, format_duration, is_loopback,
    },
    pattern::{Pattern, Patterns},
    token::{parse_token, read_token_file},
    values::{duration, number, size, whole},
};

/// A snapshot stores a group's number in two bytes.
const MAX_GROUPS: usize = 1000;
/// The deadline where none is set and the interval is long enough.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(50);
/// The least `max_age` where none is set.
const DEFAULT_MAX_AGE: Duration = Duration::from_secs(300);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);
const MIN_TIMEOUT: Duration = Duration::from_millis(10);

/// The configuration in the tree at `root`; `None` after an error.
pub(super) fn config(root: &Node<'_>) -> Option<Config> {
    // Without an account, nothing else reads the settings at the top level.
    settings(root, root);
    let process = Section::new("api", root, root);
    let max_concurrent_requests = process.read("max_concurrent_requests", whole(1..=1024));
    let probe = probe(&Section::new("probe", root, root));
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

fn probe(section: &Section<'_>) -> Option<Probe> {
    let rate = number("a number from 0.01 to 100", 0.01..=100.0);
    let offset = duration(Duration::ZERO..=10 * SECOND);
    section.valid(Probe {
        enabled: section.read("enabled", Node::flag),
        requests_per_second: section.read("requests_per_second", rate),
        timeout_offset: section.read("timeout_offset", offset),
    })
}

/// The settings of `owner`, which is an account or `root`, the whole tree; `None` after an error.
fn settings(
    owner: &Node<'_>,
    root: &Node<'_>,
) -> (Option<Poll>, Option<Api>, Option<Details>, Option<Metrics>) {
    let section = |key| Section::new(key, owner, root);
    (
        poll(&section("poll")),
        api(&section("api")),
        details(&section("details")),
        metrics(&section("metrics")),
    )
}

fn details(section: &Section<'_>) -> Option<Details> {
    let must_be = "a number of requests per minute from 0.1 to 6000 (for none, set mode: never)";
    let rate = number(must_be, 0.1..=6000.0);
    section.valid(Details {
        mode: section.read("mode", |value| {
            value.find(value.text()?, DetailMode::LABELS, &DetailMode::ALL)
        }),
        requests_per_minute: section.read("requests_per_minute", rate),
        max_age: section.read("max_age", duration(10 * SECOND..=MONTH)),
    })
}

fn metrics(section: &Section<'_>) -> Option<Metrics> {
    let groups = |value: &Node<'_>| {
        let words = value.words().into_iter();
        let find =
            |(place, word): (Node<'_>, &str)| place.find(word, Optional::LABELS, &Optional::ALL);
        Some(words.filter_map(find).collect())
    };
    section.valid(Metrics {
        groups: section.read("groups", groups),
        username: section.read("username", Node::flag),
    })
}

fn poll(section: &Section<'_>) -> Option<Poll> {
    let share = number("a share from 0 to 1, such as 0.5", 0.0..=1.0);
    let interval = section.read("interval", duration(5 * SECOND..=MONTH));
    let max_age = section.read_nullable("max_age", duration(SECOND..=12 * MONTH));
    let deadline = section.read_nullable("deadline", duration(SECOND..=MONTH));
    let flip_share = section.read("flip_share", share);
    section.valid(())?;
    let longest = interval * 5 / 6;
    let deadline = match deadline {
        Some(deadline) if deadline > interval => {
            report_deadline(section, deadline, interval, longest);
            longest
        }
        Some(deadline) => deadline,
        None => DEFAULT_DEADLINE.min(longest),
    };
    let max_age = max_age.unwrap_or(DEFAULT_MAX_AGE.max(5 * interval));
    let least = 2 * interval + deadline;
    // Reported at a key of this layer, where the operator can change it.
    let mut keys = ["max_age", "interval", "deadline"].into_iter();
    if max_age < least
        && let Some(value) = keys.find_map(|key| section.own.get(key))
    {
        let [max_age, least] = [max_age, least].map(format_duration);
        value.error(format!(
            "a max_age of {max_age} is below 2 x interval + deadline = {least}; set max_age to at \
             least {least}"
        ));
    }
    Some(Poll {
        interval,
        max_age,
        deadline,
        flip_share,
    })
}

/// A deadline above the interval is an error where it is written. An account may shorten its interval
/// without knowledge of the global deadline; then the longest usual one is used.
fn report_deadline(section: &Section<'_>, deadline: Duration, interval: Duration, used: Duration) {
    let [deadline, interval, used] = [deadline, interval, used].map(format_duration);
    let own = &section.own;
    if own.has("interval") && !own.has("deadline") {
        own.diagnostics.warn(format!(
            "{}: the inherited deadline {deadline} is above this account's interval {interval}; \
             {used} is used",
            own.path
        ));
    } else {
        section.child("deadline").error(format!(
            "a deadline of {deadline} is above the interval of {interval}; set it to at most \
             {interval}, or lengthen the interval"
        ));
    }
}

fn api(section: &Section<'_>) -> Option<Api> {
    let timeout = || duration(MIN_TIMEOUT..=HOUR);
    let proxy = |node: &Node<'_>| url(node, "http://proxy.example:3128");
    let base_url = section.read("base_url", |node| base_url(node).map(Some));
    // An inherited file is read once, at the top level: it may hold hundreds of certificates.
    let authorities = |node: &Node<'_>| {
        if section.own.has("ca_file") {
            ca_file(node)
        } else {
            node.file_path()
        }
    };
    let api = Api {
        allow_insecure_http: section.read("allow_insecure_http", Node::flag),
        page_size: section.read("page_size", whole(2..=100)),
        concurrency: section.read("concurrency", whole(1..=64)),
        requests_per_second: Some(section.read("requests_per_second", requests_per_second))
            .filter(|rate| *rate > 0.0),
        connect_timeout: section.read("connect_timeout", timeout()),
        request_timeout: section.read("request_timeout", timeout()),
        max_page_bytes: section.read("max_page_bytes", size(16 << 10..=1 << 30)),
        retries: section.read("retries", whole(0..=10)),
        proxy_url: section.read_nullable("proxy_url", proxy),
        ca_file: section.read_nullable("ca_file", authorities),
        // At the end, so that the errors of all other keys are reported.
        base_url: base_url?,
    };
    check_scheme(&section.own, &api);
    section.valid(api)
}

/// Refuses plain HTTP to other machines, unless the operator allows it.
fn check_scheme(node: &Node<'_>, api: &Api) {
    let url = node.get("base_url");
    let is_written = url.is_some() || node.has("allow_insecure_http");
    let is_refused = !api.allow_insecure_http && api.base_url.scheme() == "http";
    if is_written && is_refused && !is_loopback(&api.base_url) {
        url.as_ref().unwrap_or(node).error(
            "would send the token over plain http; use https, or set \
             `api.allow_insecure_http: true` if you mean it",
        );
    }
}

fn requests_per_second(node: &Node<'_>) -> Option<f64> {
    let must_be = "0 (off) or a number from 0.01 to 10000";
    node.convert(must_be, |text| {
        let rate = text.parse().ok();
        rate.filter(|rate| *rate == 0.0 || (0.01..=10_000.0).contains(rate))
    })
}

/// Messages do not quote a URL: it may hold credentials.
fn base_url(node: &Node<'_>) -> Option<Url> {
    let mut url = url(node, "https://api.vobiz.ai/api/v1")?;
    if !url.username().is_empty() || url.password().is_some() {
        return node.reject(
            "must not hold credentials; set `auth_id` and `auth_token_file` of the account",
        );
    }
    if url.query().is_some() || url.fragment().is_some() {
        return node.reject("must end with the path, not with `?...` (see `filter`) or `#...`");
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Some(url)
}

fn url(node: &Node<'_>, example: &str) -> Option<Url> {
    let url = Url::parse(node.text()?.trim()).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let message = format!("must be a URL with http or https, such as {example}");
    url.or_else(|| node.reject(message))
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
        let token = token(node);
        let filter = filter(&node.child("filter"));
        let (poll, api, details, metrics) = settings(node, root);
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
    let name = node.name()?;
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

fn token(account: &Node<'_>) -> Option<ApiToken> {
    match (account.get("auth_token"), account.get("auth_token_file")) {
        (Some(inline), None) => match parse_token(inline.text()?) {
            Ok(token) => Some(ApiToken::Inline(token)),
            Err(reason) => inline.reject(reason),
        },
        (None, Some(file)) => file_token(&file),
        (Some(inline), Some(file)) => {
            // A variable that overrides a file is the one to remove.
            let is_second = inline.is_from_environment();
            let second = Some(inline).filter(|_| is_second).unwrap_or(file);
            second.reject(
                "is set together with the other of auth_token and auth_token_file; keep one",
            )
        }
        (None, None) => {
            let keys = ["auth_token", "auth_token_file"];
            let Some(written) = keys.into_iter().find(|key| account.has(key)) else {
                return account.reject("needs `auth_token_file` or `auth_token`");
            };
            account.child(written).reject(
                "is empty or null, but the account needs a token; give it a value (in quotes in \
                 YAML), or remove it",
            )
        }
    }
}

fn file_token(node: &Node<'_>) -> Option<ApiToken> {
    let path = node.file_path()?;
    let name = shown_file(node.text()?, &path);
    let token = if node.diagnostics.without_secrets {
        Ok(SecretString::default())
    } else {
        read_token_file(&path)
    };
    match token {
        Ok(initial) => Some(ApiToken::File { path, initial }),
        Err(error) if name == UNNAMED_FILE => node.reject(format!(
            "{name} {}; a token itself belongs in `auth_token`",
            error.reason()
        )),
        Err(error) => node.reject(error.to_string()),
    }
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
    match patterns.compile(text) {
        Ok(pattern) => pattern,
        Err(error) => node.reject(error),
    }
}
