//! The flag value with a syntax of its own.

use std::str::FromStr;

/// The path of the metrics. It begins with a slash and is not the path of another page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelemetryPath(String);

impl TelemetryPath {
    /// The path as given on the command line.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TelemetryPath {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"?#%\"<>\\^`{|}".contains(&byte);
        if !text.starts_with('/') {
            Err("must begin with a slash, such as /metrics")
        } else if text == "/" {
            Err("is the start page; choose another, such as /metrics")
        } else if text == "/-" || text.starts_with("/-/") || matches!(text, "/healthz" | "/readyz")
        {
            Err("is reserved for health and administration; choose another, such as /metrics")
        } else if text == "/probe" {
            Err("is reserved for probes; choose another, such as /metrics")
        } else if !text.bytes().all(is_plain) {
            Err("must be plain: no spaces, no query, no escapes")
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}
