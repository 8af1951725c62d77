//! What an operator, or a test, may set about the front door.

use std::time::Duration;

/// How the front door behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `--web.telemetry-path`: starts with a slash and is compared as it is written.
    pub telemetry_path: String,
    /// `--web.max-requests`: scrapes that are answered at the same time; 0 is no limit.
    pub max_requests: usize,
    /// Bounds that nobody has to think about.
    pub limits: Limits,
}

/// Bounds on what one client can take. The defaults are meant for everybody; tests shorten them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time, at least 1. When all are taken, the oldest one that is not being
    /// answered is closed to make room; while every one is being answered, new ones wait in the
    /// operating system's queue. The default leaves half of the usual 1,024 file descriptors.
    pub connections: usize,
    /// Probes that may wait for their answers at the same time; fewer than connections, so that
    /// probes of a vendor that hangs leave room for scrapes.
    pub probes: usize,
    /// Bytes of a request's head; a longer one is answered with 431.
    pub head_bytes: usize,
    /// Time for a whole request head, from its first byte, or from the start of a connection.
    pub head_time: Duration,
    /// Time that a connection may rest between two requests. Longer than the five minutes after
    /// which Prometheus itself drops an idle connection, so that a scrape never meets a closing door.
    pub idle_time: Duration,
    /// Time that a reader may take nothing of its answer.
    pub stall_time: Duration,
    /// Time for answers that are under way when the process is asked to end.
    pub drain_time: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            telemetry_path: "/metrics".to_owned(),
            max_requests: 40,
            limits: Limits::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            probes: 256,
            head_bytes: 16 * 1024,
            head_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(6 * 60),
            stall_time: Duration::from_secs(30),
            drain_time: Duration::from_secs(8),
        }
    }
}
