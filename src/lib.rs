//! `vobiz-exporter`: Prometheus metrics for the SIP endpoints of Vobiz accounts.
//!
//! The exporter walks the platform's paginated endpoint list on a schedule, keeps one immutable
//! snapshot per account, and answers scrapes from bytes that were prepared when the snapshot was
//! published. The rooms stand in the order of the data:
//!
//! ```text
//! Vobiz REST API -> api -> walk -> snapshot -> exposition -> http -> Prometheus
//! ```
//!
//! - [`config`]: settings, read once, valid ever after;
//! - [`telemetry`]: the catalogue of metrics, instruments about ourselves, logs;
//! - [`clock`], [`shutdown`]: wall time and the end of the process, as values that are handed over;
//! - [`api`]: bytes from the vendor become clean records, or a typed error;
//! - [`snapshot`]: one immutable snapshot of an account, one writer, readers never wait;
//! - [`walk`]: when to ask, how far to walk, and the proof that a walk is complete;
//! - [`exposition`]: a snapshot becomes compressed fragments, once;
//! - [`probe`]: one endpoint, asked for at once, beside the walks;
//! - [`http`]: the front door;
//! - [`cli`] and [`app`]: the command line, and the only place that sees every room.
//!
//! A room may look back along the data, never forward; `tests/it/layering.rs` holds it to that.

pub mod config;
pub mod telemetry;

pub mod clock;
pub mod shutdown;

pub mod api;
pub mod snapshot;

pub mod walk;

pub mod exposition;
pub mod probe;

pub mod http;

pub mod app;
pub mod cli;
