//! The HTTP server: answers scrapes, probes and browsers.
//!
//! | path | response |
//! |---|---|
//! | the telemetry path (`/metrics`) | the exposition in the negotiated format and encoding; 503 above the limit of concurrent scrapes |
//! | `/` | a start page: name, version, the state of every account, links |
//! | `/probe` | if probes are enabled, the result of one request to the API; 400 for wrong parameters, 503 above the limit of concurrent probes; otherwise 404 |
//! | `/-/healthy`, `/healthz` | 200 while the process runs, independent of the API |
//! | `/-/ready`, `/readyz` | 503 until every account has finished its first walk, then 200 |
//!
//! Only `GET` and `HEAD` are allowed. Every path except `/probe` ignores the query string. Only a probe
//! waits for the API. A scrape may wait for a short time while another scrape encodes the counters of the
//! exporter, or while a publication joins chunks.
//!
//! Limits apply to connections, to the size and duration of a request head, to idle time, to the time
//! without reading, and to concurrent scrapes and probes. See [`Settings`].

mod connection;
mod limits;
mod negotiation;
mod pages;
mod router;
mod server;
#[cfg(test)]
mod tests;

pub use limits::Settings;
pub use router::ProbeHandler;
pub use server::{Bound, ListenAddress, listen};
