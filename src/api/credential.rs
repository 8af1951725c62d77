//! The account's credentials as headers, and texts made free of them.

use std::fmt;

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

/// The longest text of the vendor's that is shown, in characters.
const MAX_SHOWN: usize = 200;
/// What stands in a text where a credential stood.
const MASK: &str = "***";

/// One pair of auth id and token. Requests under way keep the pair they started with.
pub(super) struct Credential {
    auth_id: String,
    token: SecretString,
    /// `X-Auth-ID` and `X-Auth-Token`; `None` if one of them cannot stand in a header.
    headers: Option<[HeaderValue; 2]>,
}

impl Credential {
    pub(super) fn new(auth_id: &str, token: SecretString) -> Self {
        let headers = header(auth_id).zip(header(token.expose_secret()));
        Self {
            auth_id: auth_id.to_owned(),
            token,
            headers: headers.map(|(auth_id, token)| [auth_id, token]),
        }
    }

    /// The same account with another token.
    pub(super) fn rotated(&self, token: SecretString) -> Self {
        Self::new(&self.auth_id, token)
    }

    /// `X-Auth-ID` and `X-Auth-Token`, or `None` if a header cannot hold them.
    pub(super) fn headers(&self) -> Option<[HeaderValue; 2]> {
        self.headers.clone()
    }

    /// A text of the vendor's as it may be shown: on one line, without control characters, without
    /// these credentials or those of a repeated `Basic` header, at most 200 characters long.
    pub(super) fn cleaned(&self, text: &str) -> String {
        let mut clean = String::with_capacity(text.len().min(4 * MAX_SHOWN));
        let mut after_basic = false;
        for word in text.split_whitespace() {
            if !clean.is_empty() {
                clean.push(' ');
            }
            if after_basic {
                // A proxy's, which is not ours to know: the environment may have named it.
                clean.push_str(MASK);
            } else {
                clean.extend(word.chars().filter(|char| !is_invisible(*char)));
            }
            let scheme = word.trim_start_matches(|char: char| !char.is_ascii_alphabetic());
            after_basic = scheme.eq_ignore_ascii_case("basic");
        }
        // Only now, because a control character may have stood inside a credential.
        for secret in [self.token.expose_secret(), &self.auth_id] {
            if !secret.is_empty() && clean.contains(secret) {
                clean = clean.replace(secret, MASK);
            }
        }
        shortened(clean)
    }

    /// Our own words with what was said by somebody else, who alone may repeat a credential: a token
    /// that happens to be a part of our words does not make holes in them. At most 200 characters.
    pub(super) fn told(&self, ours: &str, theirs: Option<&str>) -> String {
        let theirs = theirs.map(|text| self.cleaned(text));
        shortened(match theirs.filter(|text| !text.is_empty()) {
            Some(theirs) => format!("{ours}: {theirs}"),
            None => ours.to_owned(),
        })
    }
}

fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MAX_SHOWN) {
        text.truncate(end);
    }
    text
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

/// Control characters, and those that reorder or break a line on a terminal.
fn is_invisible(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}
