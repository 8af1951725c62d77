//! `api`: how requests are made.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use url::{Host, Url};

use super::Written;
use crate::config::{
    authorities::ca_file,
    entry::{Entry, Section},
    mistake::Report,
    model::Api,
};

const HUNDREDTH: Duration = Duration::from_millis(10);
const HOUR: Duration = Duration::from_secs(3600);

/// What one layer says.
#[derive(Debug)]
pub(in crate::config) struct ApiKeys {
    base_url: Option<Url>,
    allow_insecure_http: Option<bool>,
    page_size: Option<u64>,
    concurrency: Option<u64>,
    max_concurrent_requests: Option<u64>,
    requests_per_second: Option<f64>,
    connect_timeout: Option<Duration>,
    request_timeout: Option<Duration>,
    max_page_bytes: Option<u64>,
    retries: Option<u64>,
    proxy_url: Written<Url>,
    ca_file: Written<PathBuf>,
}

impl ApiKeys {
    pub(super) fn read(section: &Section<'_>, folder: &Path, report: &mut Report) -> Self {
        let mut whole = |key, range| {
            section
                .entry(key)
                .and_then(|entry| entry.whole(report, range))
        };
        let page_size = whole("page_size", 2..=100);
        let concurrency = whole("concurrency", 1..=64);
        let max_concurrent_requests = whole("max_concurrent_requests", 1..=1024);
        let retries = whole("retries", 0..=10);
        let mut timeout = |key| {
            section
                .entry(key)
                .and_then(|entry| entry.duration(report, HUNDREDTH..=HOUR))
        };
        let connect_timeout = timeout("connect_timeout");
        let request_timeout = timeout("request_timeout");
        Self {
            base_url: section
                .entry("base_url")
                .and_then(|entry| base_url(&entry, report)),
            allow_insecure_http: (section.entry("allow_insecure_http"))
                .and_then(|entry| entry.flag(report)),
            page_size,
            concurrency,
            max_concurrent_requests,
            requests_per_second: section.entry("requests_per_second").and_then(|entry| {
                entry.number(report, "0 (off) or a number from 0.01 to 10000", |rate| {
                    rate == 0.0 || (0.01..=10_000.0).contains(&rate)
                })
            }),
            connect_timeout,
            request_timeout,
            max_page_bytes: (section.entry("max_page_bytes"))
                .and_then(|entry| entry.size(report, 16 << 10..=1 << 30)),
            retries,
            proxy_url: Written::read(section, "proxy_url", |entry| proxy_url(&entry, report)),
            ca_file: Written::read(section, "ca_file", |entry| ca_file(&entry, folder, report)),
        }
    }

    /// `max_concurrent_requests`, which no account has of its own.
    pub(in crate::config) fn max_concurrent_requests(&self) -> Option<usize> {
        self.max_concurrent_requests
            .and_then(|most| usize::try_from(most).ok())
    }

    /// Refuses plain HTTP to other machines, unless the operator says otherwise.
    ///
    /// `below` is the layer that this one, written at `section`, lies on.
    pub(in crate::config) fn check_scheme(
        &self,
        below: Option<&Self>,
        section: &Section<'_>,
        report: &mut Report,
    ) {
        if self.base_url.is_none() && self.allow_insecure_http.is_none() {
            return;
        }
        let allowed = self
            .allow_insecure_http
            .or(below.and_then(|keys| keys.allow_insecure_http));
        let base_url = self
            .base_url
            .as_ref()
            .or(below.and_then(|keys| keys.base_url.as_ref()));
        let is_insecure = base_url.is_some_and(|url| url.scheme() == "http" && !is_loopback(url));
        if is_insecure && allowed == Some(false) {
            let message = "would send the token over plain http; use https, or set \
                           `api.allow_insecure_http: true` if you mean it";
            match section.entry("base_url") {
                Some(entry) => entry.wrong(report, message),
                None => section.wrong(report, message),
            }
        }
    }

    /// How an account asks whose own keys are these.
    pub(in crate::config) fn finish_over(&self, global: &Self) -> Option<Api> {
        let rate = self.requests_per_second.or(global.requests_per_second)?;
        Some(Api {
            base_url: self.base_url.as_ref().or(global.base_url.as_ref())?.clone(),
            page_size: u32::try_from(self.page_size.or(global.page_size)?).ok()?,
            concurrency: usize::try_from(self.concurrency.or(global.concurrency)?).ok()?,
            requests_per_second: (rate > 0.0).then_some(rate),
            connect_timeout: self.connect_timeout.or(global.connect_timeout)?,
            request_timeout: self.request_timeout.or(global.request_timeout)?,
            max_page_bytes: self.max_page_bytes.or(global.max_page_bytes)?,
            retries: u32::try_from(self.retries.or(global.retries)?).ok()?,
            proxy_url: self.proxy_url.over(&global.proxy_url).value(),
            ca_file: self.ca_file.over(&global.ca_file).value(),
        })
    }
}

/// Messages about URLs never show them: they may hold credentials.
fn base_url(entry: &Entry<'_>, report: &mut Report) -> Option<Url> {
    let mut url = url(entry, report, "https://api.vobiz.ai/api/v1")?;
    let wrong = if !url.username().is_empty() || url.password().is_some() {
        "must not hold credentials; set `auth_id` and `auth_token_file` of the account"
    } else if url.query().is_some() {
        "must not hold a query (`?...`); filters have their own key"
    } else if url.fragment().is_some() {
        "must not hold a fragment (`#...`)"
    } else {
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        return Some(url);
    };
    entry.wrong(report, wrong);
    None
}

fn proxy_url(entry: &Entry<'_>, report: &mut Report) -> Option<Url> {
    url(entry, report, "http://proxy.example:3128")
}

fn url(entry: &Entry<'_>, report: &mut Report, example: &str) -> Option<Url> {
    let url = Url::parse(entry.text(report)?.trim()).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if url.is_none() {
        entry.wrong(
            report,
            format!("must be a URL with http or https, such as {example}"),
        );
    }
    url
}

/// Does the URL point to this machine by its very text?
pub(in crate::config) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
