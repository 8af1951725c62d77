//! The settings of the server: the addresses to listen on, the telemetry path and the limits.

use std::{fmt, net::Ipv6Addr, str::FromStr, time::Duration};

/// The settings of the server. Only the first two settings have flags. The defaults of the other settings
/// fit every installation; only tests change them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `--web.telemetry-path`: begins with a slash. The path of a request must be equal to it.
    pub telemetry_path: String,
    /// `--web.max-requests`: maximum number of concurrent scrapes; 0 means no limit.
    pub max_requests: usize,
    /// Maximum number of open connections, at least 1. Above this limit, the oldest idle connection is
    /// evicted. If no connection is idle, new connections wait in the operating system's queue. The
    /// default is half of the usual limit of 1,024 file descriptors.
    pub max_connections: usize,
    /// Maximum number of concurrent probes. It is below `max_connections`, so that scrapes have free
    /// connections while probes wait for an API that hangs.
    pub max_probes: usize,
    /// Maximum number of bytes of a request head. The response to a longer head has status 431.
    pub max_head_bytes: usize,
    /// Time limit for a request head, from its first byte or from the start of a connection.
    pub head_timeout: Duration,
    /// Maximum idle time between two requests. Prometheus drops an idle connection after five minutes.
    /// This time is longer, so that no scrape uses a connection that the server is closing.
    pub idle_timeout: Duration,
    /// Time in which a client must read at least one byte of its response.
    pub stall_timeout: Duration,
    /// Maximum time for the responses in progress at shutdown.
    pub drain_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            telemetry_path: "/metrics".to_owned(),
            max_requests: 40,
            max_connections: 512,
            max_probes: 256,
            max_head_bytes: 16 * 1024,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(6 * 60),
            stall_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(8),
        }
    }
}

/// An address to listen on. Its text form is the value of the flag: `:10059`, `localhost:10059`,
/// `[::1]:10059`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// `:PORT`: every address of this host, IPv6 and IPv4.
    Everywhere(u16),
    /// `HOST:PORT`: the host is an IP address (IPv6 without brackets) or a name.
    Host(String, u16),
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |problem| {
            let forms = "write :PORT, HOST:PORT or [IPv6]:PORT, such as :10059 or 127.0.0.1:10059";
            format!("{problem}; {forms}")
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(|| error("has no port"))?;
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|_| is_number);
        let port = port.ok_or_else(|| error("its port is not a number up to 65535"))?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let bracketed = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        match bracketed.map(str::parse::<Ipv6Addr>) {
            Some(Ok(address)) => Ok(Self::Host(address.to_string(), port)),
            Some(Err(_)) => Err(error("its brackets contain no IPv6 address")),
            None if host.is_empty() => Ok(Self::Everywhere(port)),
            None if host.contains(':') => Err(error("needs brackets around an IPv6 address")),
            None if host.chars().all(is_name) => Ok(Self::Host(host.to_owned(), port)),
            None => Err(error("its host is neither an address nor a name")),
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
