//! The settings of a server: its paths, limits and timeouts.

use std::time::Duration;

use super::paths::{ExternalUrl, RoutePrefix};

/// The settings of a server. Only the settings that name a flag have one. The defaults of the other settings
/// fit every installation; only tests change them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `--web.external-url`: the URL of the exporter for browsers. Links on pages begin with its path.
    pub external_url: Option<ExternalUrl>,
    /// `--web.route-prefix`: all paths are below this path.
    pub route_prefix: RoutePrefix,
    /// `--web.telemetry-path`: the exact path of the metrics below the prefix, which begins with a slash.
    pub telemetry_path: String,
    /// Whether the server answers only health and readiness (`--web.probe-listen-address`).
    pub health_only: bool,
    /// `--web.enable-lifecycle`: whether every client may reload the configuration.
    pub enable_lifecycle: bool,
    /// `--web.max-requests`: maximum number of concurrent scrapes; 0 means no limit. A scrape whose client does not read
    /// does not count.
    pub max_requests: usize,
    /// Maximum number of connections that are served everything, at least 1. Above this limit, the server closes the
    /// least active connection for a new request. The default is half of the usual limit of 1,024 file descriptors.
    pub max_connections: usize,
    /// Maximum number of further connections, at least 1, which are served health checks only. Above this limit, the
    /// server closes the least active of them for a new connection.
    pub max_health_connections: usize,
    /// `--web.allowed-hosts`: the host names of requests, in lower case and without ports. Without a name, every host
    /// is allowed.
    pub allowed_hosts: Vec<String>,
    /// Maximum number of concurrent probes. The default is below `max_connections`, so that scrapes have free
    /// connections while probes wait for an API that hangs.
    pub max_probes: usize,
    /// Maximum number of bytes of a request head. The response to a longer head has status 431.
    pub max_head_bytes: usize,
    /// Time limit for a request head, from its first byte. On a new connection, the limit starts at once.
    pub head_timeout: Duration,
    /// Maximum idle time between two requests. Prometheus drops an idle connection after five minutes.
    /// The default is longer, so that no scrape uses a connection that the server is closing.
    pub idle_timeout: Duration,
    /// Maximum time in which a client reads no byte of its response.
    pub stall_timeout: Duration,
    /// Maximum time for the responses in progress at shutdown.
    pub drain_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            external_url: None,
            route_prefix: RoutePrefix::default(),
            telemetry_path: "/metrics".to_owned(),
            health_only: false,
            enable_lifecycle: false,
            max_requests: 40,
            max_connections: 512,
            max_health_connections: 128,
            allowed_hosts: Vec::new(),
            max_probes: 256,
            max_head_bytes: 16 * 1024,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(6 * 60),
            stall_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(8),
        }
    }
}

impl Settings {
    /// The settings for `--web.probe-listen-address`. The limit of connections is low, because only the kubelet
    /// and similar programs connect, and each of them needs one connection.
    pub fn for_health_checks() -> Self {
        Self {
            health_only: true,
            max_connections: 48,
            max_health_connections: 16,
            ..Self::default()
        }
    }
}
