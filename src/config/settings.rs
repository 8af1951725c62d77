//! The types and bounds of the sections `poll`, `api`, `details`, `metrics`, `outage`, `probe`, `web` and `state`. This module checks all
//! values except `api.max_concurrent_requests`. An account inherits the global values of the keys that it does
//! not set.

use std::{collections::BTreeSet, fmt, path::PathBuf, time::Duration};

use serde::{Serialize, Serializer};
use serde_json::json;
use url::Url;

use super::{
    ca_file::ca_file,
    known_keys::{Node, Section},
    values::{duration, format_duration, is_loopback, number, size, url, whole, write_duration},
};
use crate::telemetry::labels::closed_label;

/// The default of `deadline` is this time or five sixths of the interval, whichever is shorter.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(50);
/// The default of `max_age` is this time or five intervals, whichever is longer.
const DEFAULT_MAX_AGE: Duration = Duration::from_secs(300);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const MIN_TIMEOUT: Duration = Duration::from_millis(10);

/// `poll`: the schedule of walks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Poll {
    /// Time between the starts of two walks; at least 5 s.
    #[serde(serialize_with = "write_duration")]
    pub interval: Duration,
    /// Age at which a snapshot is withdrawn if walks fail.
    #[serde(serialize_with = "write_duration")]
    pub max_age: Duration,
    /// A walk fails if it completes no page in this time. Time in which all pages wait for permits is excluded.
    #[serde(serialize_with = "write_duration")]
    pub deadline: Duration,
    /// Share of endpoints, 0 to 1. If more vanish or change registration, another walk must confirm the change.
    pub flip_share: f64,
}

/// Reads `poll`. An invalid value gives `None`. Valid values that conflict are reported, but still give `Some`.
pub(super) fn poll(section: &Section<'_>) -> Option<Poll> {
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
    // If an account sets none of the three keys below, only the global section reports the error.
    let mut keys = ["max_age", "interval", "deadline"].into_iter();
    if max_age < least
        && let Some(value) = keys.find_map(|key| section.own.get(key))
    {
        let seconds = Duration::from_secs(least.as_secs() + u64::from(least.subsec_nanos() > 0));
        let [max_age, seconds] = [max_age, seconds].map(format_duration);
        value.error(format!(
            "a max_age of {max_age} is below 2 x interval + deadline; set max_age to at least {seconds}"
        ));
    }
    Some(Poll {
        interval,
        max_age,
        deadline,
        flip_share,
    })
}

/// Reports a deadline above the interval as an error. If an account inherits the deadline and sets only the
/// interval, this function only warns, and the account uses the deadline `used`.
fn report_deadline(section: &Section<'_>, deadline: Duration, interval: Duration, used: Duration) {
    let [deadline, interval, used] = [deadline, interval, used].map(format_duration);
    let own = &section.own;
    if own.has("interval") && !own.has("deadline") {
        own.diagnostics.warn(format!(
            "{}: the inherited deadline {deadline} is above the interval {interval} of this account; \
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

/// `api`: the settings of requests.
#[derive(Clone, PartialEq)]
pub struct Api {
    /// An `http` or `https` URL without credentials, query and fragment. Its path ends without a slash, for
    /// example `https://api.vobiz.ai/api/v1`. An empty path is stored as `/`.
    pub base_url: Url,
    /// Whether unencrypted `http` to other machines is allowed.
    pub allow_insecure_http: bool,
    /// The number of rows that a request asks for, 2 to 100.
    pub page_size: u32,
    /// The maximum number of page requests in flight in one walk.
    pub concurrency: usize,
    /// The maximum requests per second for one base URL and auth id; `None` means no limit.
    pub requests_per_second: Option<f64>,
    /// The time limit for opening a connection, including TLS.
    pub connect_timeout: Duration,
    /// The time limit for one attempt of a request, including the whole response.
    pub request_timeout: Duration,
    /// The maximum size of a response body after decompression, in bytes.
    pub max_page_bytes: u64,
    /// The maximum number of further attempts after a failed request.
    pub retries: u32,
    /// The proxy for requests. If it is `None`, variables such as `HTTPS_PROXY` and `NO_PROXY` apply. Requests
    /// to loopback addresses use no proxy. The URL may hold credentials, so `Debug` of [`Api`] omits them.
    pub proxy_url: Option<Url>,
    /// PEM file of certificate authorities, in addition to those of the program and of the operating system.
    pub ca_file: Option<PathBuf>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        json!(self).fmt(f)
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

/// The scheme, host and port of a proxy's URL. Other parts of the URL may hold secrets.
fn redacted_proxy(url: &Url) -> String {
    format!("{}/", url.origin().ascii_serialization())
}

/// Reads `api`. An invalid value gives `None`. An error from [`check_scheme`] alone still gives `Some`.
pub(super) fn api(section: &Section<'_>) -> Option<Api> {
    let timeout = || duration(MIN_TIMEOUT..=HOUR);
    let proxy = |node: &Node<'_>| url(node, "http://proxy.example:3128");
    let base_url = section.read("base_url", |node| base_url(node).map(Some));
    // An account does not check an inherited `ca_file` again. The file may hold hundreds of certificates.
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
        // `?` may end the function. `base_url` comes last, so that all other keys are checked before.
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

/// Reads `base_url`. Messages do not quote the URL, because it may hold credentials.
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

/// `details`: the retrieval of single endpoints.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Details {
    /// The endpoints whose own records are retrieved.
    pub mode: DetailMode,
    /// The maximum number of detail requests per minute.
    pub requests_per_minute: f64,
    /// Age at which a record is retrieved again.
    #[serde(serialize_with = "write_duration")]
    pub max_age: Duration,
}

closed_label! {
    /// The registered endpoints whose own records are retrieved.
    #[derive(Default)]
    DetailMode {
        /// Registered endpoints without an expiry of the registration in their list row.
        #[default]
        Auto = "auto",
        /// All registered endpoints.
        Always = "always",
        /// No endpoint.
        Never = "never",
    }
}

/// Reads `details`. Returns `None` if a value is invalid.
pub(super) fn details(section: &Section<'_>) -> Option<Details> {
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

/// `outage`: which losses are an outage.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Outage {
    /// The time within which endpoints are lost together; `None` for the default of the group.
    #[serde(serialize_with = "write_optional_duration")]
    pub window: Option<Duration>,
    /// The least number of lost endpoints.
    pub min_endpoints: u64,
    /// The least share of the endpoints of the scope, 0 to 1.
    pub share: f64,
}

/// Reads `outage`.
pub(super) fn outage(section: &Section<'_>) -> Option<Outage> {
    let share = number("a share from 0 to 1, such as 0.25", 0.0..=1.0);
    section.valid(Outage {
        window: section.read_nullable("window", duration(MINUTE..=DAY)),
        min_endpoints: section.read("min_endpoints", whole(2..=100_000)),
        share: section.read("share", share),
    })
}

#[expect(clippy::ref_option, reason = "serde gives a reference to the field")]
fn write_optional_duration<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => write_duration(duration, serializer),
        None => serializer.serialize_none(),
    }
}

/// `metrics`: the optional parts of the exported metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Metrics {
    /// The optional metric families that are exported.
    pub groups: BTreeSet<Optional>,
    /// `false` removes usernames from samples, from logs, and from the pages that the exporter serves.
    pub username: bool,
}

closed_label! {
    /// An optional set of metric families.
    Optional {
        /// `vobiz_endpoint_user_agent_info`; on by default.
        UserAgent = "user_agent",
        /// The times at which endpoints were created and updated.
        Timestamps = "timestamps",
        /// The family `vobiz_endpoint_allowed`.
        Permissions = "permissions",
        /// `vobiz_endpoint_contact_info`: addresses of devices, which are personal data.
        Contact = "contact",
    }
}

/// Reads `metrics`. Returns `None` if a value is invalid.
pub(super) fn metrics(section: &Section<'_>) -> Option<Metrics> {
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

/// `probe`: whether the server answers `/probe`, and the limits of probes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Probe {
    /// Whether the server answers `/probe`.
    pub enabled: bool,
    /// The maximum requests per second of probes for one base URL and auth id; above 0.
    pub requests_per_second: f64,
    /// A probe must end this long before the scrape's time-out, but may always use half of that time-out.
    #[serde(serialize_with = "write_duration")]
    pub timeout_offset: Duration,
}

/// Reads `probe`. Returns `None` if a value is invalid.
pub(super) fn probe(section: &Section<'_>) -> Option<Probe> {
    let rate = number("a number from 0.01 to 100", 0.01..=100.0);
    let offset = duration(Duration::ZERO..=10 * SECOND);
    section.valid(Probe {
        enabled: section.read("enabled", Node::flag),
        requests_per_second: section.read("requests_per_second", rate),
        timeout_offset: section.read("timeout_offset", offset),
    })
}

closed_label! {
    /// `web.pages`: what the pages for browsers and the HTTP API show.
    #[derive(Default)]
    PagesLevel {
        /// No page except the start page, which then has only links.
        Off = "off",
        /// Numbers of accounts, groups and outages, without names of endpoints.
        Counts = "counts",
        /// Everything that the metrics show, and the history of endpoints.
        #[default]
        Full = "full",
    }
}

/// `web`: the pages for browsers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Web {
    /// What the pages show.
    pub pages: PagesLevel,
}

/// Reads `web`. Returns `None` if a value is invalid.
pub(super) fn web(section: &Section<'_>) -> Option<Web> {
    section.valid(Web {
        pages: section.read("pages", |value| {
            value.find(value.text()?, PagesLevel::LABELS, &PagesLevel::ALL)
        }),
    })
}

/// `state`: the database of what must survive a restart.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct State {
    /// The folder of the database. Without it, the exporter keeps its memory only while it runs.
    pub directory: Option<PathBuf>,
    /// The time for which the event log keeps an event, and the database the state of a removed account.
    #[serde(serialize_with = "write_duration")]
    pub retention: Duration,
}

/// Reads `state`. Without `state.directory`, the directory is the first one that systemd names in the variable
/// `STATE_DIRECTORY`. Returns `None` if a value is invalid.
pub(super) fn state(section: &Section<'_>, from_systemd: Option<&str>) -> Option<State> {
    let directory = section.read_nullable("directory", Node::file_path);
    let first = from_systemd.and_then(|list| list.split(':').next());
    let first = first.filter(|path| directory.is_none() && !path.is_empty());
    let from_systemd = first.map(PathBuf::from);
    if from_systemd
        .as_ref()
        .is_some_and(|path| !path.is_absolute())
    {
        let message = "must name a folder with its full path, such as /var/lib/vobiz-exporter";
        let diagnostics = section.own.diagnostics;
        diagnostics.error_in_variable("STATE_DIRECTORY", message);
    }
    section.valid(State {
        directory: directory.or(from_systemd),
        retention: section.read("retention", duration(DAY..=36 * MONTH)),
    })
}
