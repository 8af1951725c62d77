//! Flag values with a syntax of their own.

use std::{fmt, str::FromStr};

/// An address to listen on. Its text form is the one of the flag: `:10059`, `localhost:10059`,
/// `[::1]:10059`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// `:PORT`: every address of this host, IPv6 and IPv4.
    Everywhere(u16),
    /// `HOST:PORT`: an IP address (IPv6 without its brackets) or a name.
    Host(String, u16),
}

const FORMS: &str = "write :PORT, HOST:PORT or [IPv6]:PORT, such as :10059 or 127.0.0.1:10059";

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = text
            .rsplit_once(':')
            .ok_or_else(|| format!("has no port; {FORMS}"))?;
        let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|_| is_number);
        let port = port.ok_or_else(|| format!("its port is not a number up to 65535; {FORMS}"))?;
        if host.is_empty() {
            return Ok(Self::Everywhere(port));
        }
        let bracketed = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let host = match bracketed {
            Some(address) => {
                let address: std::net::Ipv6Addr = address
                    .parse()
                    .map_err(|_| format!("its brackets contain no IPv6 address; {FORMS}"))?;
                return Ok(Self::Host(address.to_string(), port));
            }
            None if host.contains(':') => {
                return Err(format!("needs brackets around an IPv6 address; {FORMS}"));
            }
            None => host,
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if host.chars().all(is_name) {
            Ok(Self::Host(host.to_owned(), port))
        } else {
            Err(format!(
                "its host is neither an address nor a name; {FORMS}"
            ))
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everywhere(port) => write!(f, ":{port}"),
            Self::Host(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Host(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

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
