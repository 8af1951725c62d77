//! The paths of the routes, and the links between them.

use std::{fmt, str::FromStr};

use percent_encoding::percent_decode_str;
use url::Url;

use crate::{pages::Page, telemetry::labels::Route, web_api};

/// The folder of the style and the script of the pages.
pub(super) const STATIC: &str = "/static/";

/// The path below which all routes are, as in the flag `--web.route-prefix`. The default is `/`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoutePrefix(
    /// Empty for `/`. Otherwise, the text begins with a slash, and does not end with one.
    String,
);

/// The URL of the exporter for browsers, as in the flag `--web.external-url`. Only its path is used, so pages also
/// work at other host names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalUrl {
    path: RoutePrefix,
}

impl RoutePrefix {
    /// A path below this prefix. `path` begins with a slash.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

impl ExternalUrl {
    /// The path of the URL, which is the default route prefix.
    pub fn path(&self) -> &RoutePrefix {
        &self.path
    }
}

impl FromStr for RoutePrefix {
    type Err = &'static str;

    /// The slashes at the start and at the end are optional, as in Prometheus.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let path = text.trim_matches('/');
        let is_segment = |text: &str| !matches!(text, "" | "." | "..") && is_plain_path(text);
        if text.is_empty() {
            Err("is empty; write a path such as /vobiz, or / for no prefix")
        } else if path.is_empty() {
            Ok(Self::default())
        } else if path.split('/').all(is_segment) {
            Ok(Self(format!("/{path}")))
        } else {
            Err("needs a plain path such as /vobiz: no spaces, query, escapes, empty parts or dots")
        }
    }
}

impl fmt::Display for RoutePrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "/" } else { &self.0 })
    }
}

impl FromStr for ExternalUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let example = "write a URL such as https://example.com/vobiz";
        let has_scheme = ["http://", "https://"]
            .iter()
            .any(|one| text.starts_with(one));
        if !has_scheme {
            return Err(format!(
                "does not begin with http:// or https://; {example}"
            ));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("has spaces or letters outside ASCII; {example}"));
        }
        let url = Url::parse(text).map_err(|error| format!("is no URL ({error}); {example}"))?;
        let has_user = !url.username().is_empty() || url.password().is_some();
        if has_user || url.query().is_some() || url.fragment().is_some() {
            return Err(format!("has a user, a query or a fragment; {example}"));
        }
        let path = url.path().parse();
        let path = path.map_err(|problem| format!("its path {problem}"))?;
        Ok(Self { path })
    }
}

/// Whether a path has only characters that need no escape in a URL.
pub fn is_plain_path(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"?#%\"<>\\^`{|}".contains(&byte);
    text.bytes().all(is_plain)
}

/// All paths of a server.
#[derive(Debug)]
pub(super) struct Paths {
    prefix: RoutePrefix,
    telemetry_path: String,
    health_only: bool,
    /// The start of each link on a page. Without an external URL, links are relative. So they
    /// also work if a reverse proxy removes the start of the path.
    link_base: String,
}

impl Paths {
    pub(super) fn new(
        prefix: &RoutePrefix,
        external_url: Option<&ExternalUrl>,
        telemetry_path: &str,
        health_only: bool,
    ) -> Self {
        Self {
            prefix: prefix.clone(),
            telemetry_path: telemetry_path.to_owned(),
            health_only,
            link_base: external_url.map_or(".".to_owned(), |url| url.path.0.clone()),
        }
    }

    /// The route of a request. [`Route::Index`] also includes the paths that redirect to the start page.
    pub(super) fn route(&self, path: &str) -> Route {
        let has_prefix = !self.prefix.0.is_empty();
        match path.strip_prefix(&self.prefix.0) {
            Some("/-/healthy" | "/healthz") => Route::Healthy,
            Some("/-/ready" | "/readyz") => Route::Ready,
            _ if self.health_only => Route::Other,
            Some(below) if below == self.telemetry_path => Route::Metrics,
            Some("/probe") => Route::Probe,
            Some("/-/reload") => Route::Reload,
            Some("/-/config") => Route::Config,
            Some("/") => Route::Index,
            Some("") if has_prefix => Route::Index,
            None if path == "/" => Route::Index,
            Some("/groups") => Route::Groups,
            Some("/outages") => Route::Outages,
            Some("/reports") => Route::Reports,
            Some("/walks") => Route::Walks,
            Some("/sd") => Route::ServiceDiscovery,
            Some(below) if api(below).is_some() => Route::Api,
            Some(below) if below.starts_with(STATIC) => Route::Static,
            Some(below) if page(below).is_some() => Route::Endpoints,
            _ => Route::Other,
        }
    }

    /// Whether a path is below the prefix.
    pub(super) fn has(&self, path: &str) -> bool {
        path.strip_prefix(&self.prefix.0)
            .is_some_and(|below| !below.is_empty())
    }

    /// The part of a path below the prefix.
    pub(super) fn below<'p>(&self, path: &'p str) -> &'p str {
        path.strip_prefix(&self.prefix.0).unwrap_or(path)
    }

    /// The path of the start page.
    pub(super) fn start_page(&self) -> String {
        self.prefix.join("/")
    }

    /// The path of the start page for browsers. A reverse proxy may change it to the path of the start page.
    pub(super) fn location(&self) -> String {
        match self.link_base.as_str() {
            "." => self.start_page(),
            base => format!("{base}/"),
        }
    }

    /// The path of the interface for programs, for clients.
    pub(super) fn api(&self) -> String {
        let base = match self.link_base.as_str() {
            "." => &self.prefix.0,
            base => base,
        };
        format!("{base}{}", web_api::FOLDER)
    }

    /// The link to the start page, without a slash at its end, from a page this many folders below it.
    pub(super) fn root(&self, depth: usize) -> String {
        match (self.link_base.as_str(), depth) {
            (".", 1..) => vec![".."; depth].join("/"),
            (base, _) => base.to_owned(),
        }
    }

    /// The path of the metrics below the prefix.
    pub(super) fn telemetry_path(&self) -> &str {
        &self.telemetry_path
    }
}

/// The path below the folder of the interface for programs.
pub(super) fn api(path: &str) -> Option<&str> {
    let below = path.strip_prefix(web_api::FOLDER)?;
    (below.is_empty() || below.starts_with('/')).then_some(below)
}

/// The page at a path below the prefix, and the number of folders between it and the start page.
pub(super) fn page(path: &str) -> Option<(Page, usize)> {
    match path {
        "/" => return Some((Page::Overview, 0)),
        "/endpoints" => return Some((Page::Endpoints, 0)),
        "/groups" => return Some((Page::Groups, 0)),
        "/outages" => return Some((Page::Outages, 0)),
        "/reports" => return Some((Page::Reports, 0)),
        "/walks" => return Some((Page::Walks, 0)),
        _ => {}
    }
    let (account, id) = path.strip_prefix("/endpoints/")?.split_once('/')?;
    let decoded = |text: &str| {
        let text = percent_decode_str(text).decode_utf8().ok()?;
        (!text.is_empty()).then(|| text.into_owned())
    };
    let is_segment = !id.contains('/');
    let page = Page::Endpoint {
        account: decoded(account)?,
        id: decoded(id).filter(|_| is_segment)?,
    };
    Some((page, 2))
}
