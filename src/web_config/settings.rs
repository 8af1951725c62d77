//! The settings of one version of the web configuration.

use std::{collections::BTreeMap, fmt, net::IpAddr, path::Path, sync::Arc};

use http::{HeaderName, HeaderValue, header};
use rustls::ServerConfig;

use super::{
    client_certificates,
    document::{Document, Error, Warnings, flag, shown},
    passwords::{self, Authentication, PasswordChecks, Users},
    rate_limit::RateLimit,
    tls::{self, Pems},
};

type Headers = Vec<(HeaderName, HeaderValue)>;

/// The response headers that the file may set, and their valid values. An empty list permits every value.
const HEADERS: [(&str, HeaderName, &[&str]); 5] = [
    (
        "Strict-Transport-Security",
        header::STRICT_TRANSPORT_SECURITY,
        &[],
    ),
    (
        "X-Content-Type-Options",
        header::X_CONTENT_TYPE_OPTIONS,
        &["nosniff"],
    ),
    (
        "X-Frame-Options",
        header::X_FRAME_OPTIONS,
        &["deny", "sameorigin"],
    ),
    ("X-XSS-Protection", header::X_XSS_PROTECTION, &[]),
    (
        "Content-Security-Policy",
        header::CONTENT_SECURITY_POLICY,
        &[],
    ),
];

/// The settings of one version of the web configuration. `Debug` shows no secret.
pub struct Settings {
    tls: Option<Arc<ServerConfig>>,
    requires_certificate: bool,
    headers: Headers,
    users: Users,
    pub(super) checks: Arc<PasswordChecks>,
    rate_limit: Option<RateLimit>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("tls", &self.tls.is_some())
            .field("headers", &self.headers)
            .field("users", &self.users.len())
            .field("rate_limit", &self.rate_limit)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// Validates the document of `file` and the content of the files that it names.
    pub(super) fn new(
        file: &Path,
        document: &Document,
        pems: &Pems,
        checks: Arc<PasswordChecks>,
        warnings: &mut Warnings,
    ) -> Result<Self, Error> {
        let web = document.http_server_config.as_ref();
        let http2 = web.and_then(|web| web.http2.as_ref());
        let http2 = flag(file, "http_server_config.http2", http2, true)?;
        let headers = web.and_then(|web| web.headers.as_ref());
        let headers = headers.map(|table| read_headers(file, table)).transpose()?;
        let users = document.basic_auth_users.as_ref();
        let users = users.map(|table| passwords::users(file, table, warnings));
        let limit = document.rate_limit.as_ref();
        let limit = limit.map(|section| RateLimit::new(file, section, warnings));
        let rate_limit = limit.transpose()?.flatten();
        let users = users.transpose()?.unwrap_or_default();
        let mut requires_certificate = false;
        let tls = match &document.tls_server_config {
            None => None,
            Some(section) => {
                let tls = tls::server_config(file, section, pems, http2, warnings)?;
                requires_certificate = client_certificates::are_verified(file, section)?;
                if tls.is_none() {
                    let message = "has no certificate, so the server uses no TLS";
                    warnings.add(file, "tls_server_config", message);
                }
                tls
            }
        };
        Ok(Self {
            requires_certificate: requires_certificate && tls.is_some(),
            tls,
            headers: headers.unwrap_or_default(),
            users,
            checks,
            rate_limit,
        })
    }

    /// The settings for TLS connections; `None` for plain HTTP.
    pub fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.tls.clone()
    }

    /// Whether every client needs a certificate of a configured authority.
    pub fn requires_certificate(&self) -> bool {
        self.requires_certificate
    }

    /// Whether each request needs the name and password of a user.
    pub fn has_users(&self) -> bool {
        !self.users.is_empty()
    }

    /// The headers that every response must have.
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    /// The rate limit of requests.
    pub(super) fn rate_limit(&self) -> Option<RateLimit> {
        self.rate_limit
    }

    /// Checks whether the header `Authorization` of a request from `client` has the name and password of a user.
    ///
    /// The first check of a password takes the time of bcrypt, on a thread for blocking work. Further requests
    /// with this password get the result from memory.
    pub async fn authenticate(
        self: &Arc<Self>,
        authorization: Option<&HeaderValue>,
        client: Option<IpAddr>,
    ) -> Authentication {
        if self.users.is_empty() {
            return Authentication::Accepted;
        }
        let checks = &self.checks;
        checks
            .authenticate(&self.users, authorization, client)
            .await
    }
}

/// Reads the section `http_server_config.headers`. A header with an empty value is not sent.
fn read_headers(file: &Path, table: &BTreeMap<String, Option<String>>) -> Result<Headers, Error> {
    let section = "http_server_config.headers";
    let mut headers = Headers::new();
    for (written, value) in table {
        let Some((name, header, values)) = HEADERS.iter().find(|(name, ..)| name == written) else {
            let known: Vec<_> = HEADERS.iter().map(|(name, ..)| *name).collect();
            let message = format!(
                "has the unknown key {}; known are {}",
                shown(written),
                known.join(", ")
            );
            return Err(Error::new(file, section, message));
        };
        let key = format!("{section}.{name}");
        let value = value.as_deref().unwrap_or_default();
        if !values.is_empty() && !values.contains(&value) {
            let message = format!("must be {}", values.join(" or "));
            return Err(Error::new(file, &key, message));
        }
        // YAML adds line breaks to some forms of text. A header has one line.
        let line = value.trim().replace(['\r', '\n'], " ");
        if line.is_empty() {
            continue;
        }
        let value = HeaderValue::from_bytes(line.as_bytes());
        let value = value.map_err(|_| {
            Error::new(
                file,
                &key,
                "contains a control character, which no header may have",
            )
        })?;
        headers.push((header.clone(), value));
    }
    Ok(headers)
}
