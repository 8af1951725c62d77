//! The HTTP server: answers the requests of Prometheus and of browsers.
//!
//! | path | response |
//! |---|---|
//! | the telemetry path (`/metrics`) | the exposition in the negotiated format and encoding; 503 above the limit of concurrent scrapes |
//! | `/` | a start page: name, version, the condition of every account, links |
//! | `/probe` | the result of one request to the API; 400 for a wrong parameter or timeout header, 503 above the limit of concurrent probes, 404 if probes are disabled |
//! | `/-/healthy`, `/healthz` | 200 while the process runs, independent of the API |
//! | `/-/reload` (`POST`) | 200 after a reload of the configuration, 500 if the new configuration is refused; 403 for clients that may not reload |
//! | `/-/config` | the configuration in force without secrets; 403 for clients that may not see it |
//! | `/api/v1/...`, `/sd` | JSON and CSV for programs; errors of `/api/v1` are problem details |
//! | `/-/ready`, `/readyz` | 503 until every account has finished its first walk, then 200 |
//!
//! All paths are below [`Settings::route_prefix`]. If this prefix is not `/`, the paths `/` and the prefix without a
//! slash at its end redirect to the start page.
//!
//! A web configuration can add TLS, passwords, headers and a rate limit. Only `GET` and `HEAD` are allowed, except for
//! `/-/reload` and the button of a page. Only a probe waits for the API. A scrape may wait briefly while another
//! thread encodes metrics or joins chunks, and up to a second for a permit above the limit of concurrent scrapes.
//!
//! A server with [`Settings::for_health_checks`] knows only `/-/healthy` and `/-/ready`, and their other names.
//!
//! [`Settings`] limits the numbers of connections, scrapes and probes, and the size of a request head. It also
//! limits the time of a request head, the idle time, and the time in which a client reads nothing. If all places are
//! taken, the least active connection is closed for a new one.

mod access;
mod activity;
mod body;
mod connection;
mod connections;
mod health_client;
#[cfg(any(test, fuzzing))]
mod in_memory;
mod lifecycle;
mod limits_and_timeouts;
mod listen;
mod negotiation;
mod pages;
mod paths;
mod response;
mod router;
mod server;
#[cfg(test)]
mod tests;
mod timeout_stream;
mod web_api;

pub use health_client::health_status;
pub use hyper::StatusCode;
#[cfg(any(test, fuzzing))]
pub use in_memory::InMemoryServer;
pub use lifecycle::Lifecycle;
pub use limits_and_timeouts::Settings;
pub use listen::{ListenAddress, listen, passed_sockets};
pub use paths::{ExternalUrl, RoutePrefix, is_plain_path};
pub use router::{PageSettings, ProbeHandler, ProbeHandlers};
pub use server::Bound;
