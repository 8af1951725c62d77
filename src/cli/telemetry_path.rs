//! The path of the metrics.

use std::{fmt, str::FromStr};

/// A path that metrics may be served at: it begins with a slash and is none of the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelemetryPath(String);

impl TelemetryPath {
    /// The path as it was written.
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
            Err("is kept for health and administration; choose another, such as /metrics")
        } else if text == "/probe" {
            Err("is kept for probes; choose another, such as /metrics")
        } else if !text.bytes().all(is_plain) {
            Err("must be plain: no spaces, no query, no escapes")
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

impl fmt::Display for TelemetryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_not_hide_another_page() {
        for path in ["/metrics", "/probe/metrics", "/-metrics"] {
            assert_eq!(path.parse::<TelemetryPath>().unwrap().as_str(), path);
        }
        for path in [
            "",
            "metrics",
            "/",
            "/-/healthy",
            "/-/reload",
            "/healthz",
            "/readyz",
            "/probe",
            "/m?x",
            "/m m",
            "/m\n",
        ] {
            assert!(path.parse::<TelemetryPath>().is_err(), "{path}");
        }
    }
}
