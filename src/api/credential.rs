//! The account's credentials as headers.

use std::fmt;

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

/// One pair of auth id and token. Requests under way keep the pair they started with.
pub(super) struct Credential {
    auth_id: String,
    /// `X-Auth-ID` and `X-Auth-ApiToken`; `None` if one of them cannot stand in a header.
    headers: Option<[HeaderValue; 2]>,
}

impl Credential {
    pub(super) fn new(auth_id: &str, token: &SecretString) -> Self {
        let headers = header(auth_id).zip(header(token.expose_secret()));
        Self {
            auth_id: auth_id.to_owned(),
            headers: headers.map(|(auth_id, token)| [auth_id, token]),
        }
    }

    /// The same account with another token.
    pub(super) fn rotated(&self, token: &SecretString) -> Self {
        Self::new(&self.auth_id, token)
    }

    /// `X-Auth-ID` and `X-Auth-ApiToken`, or `None` if a header cannot hold them.
    pub(super) fn headers(&self) -> Option<[HeaderValue; 2]> {
        self.headers.clone()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential")
    }
}

fn header(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_bytes(value.as_bytes()).ok()?;
    value.set_sensitive(true);
    (!value.is_empty()).then_some(value)
}
