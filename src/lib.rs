//! `vobiz-exporter`: Prometheus metrics for the SIP endpoints of Vobiz accounts.
//!
//! The exporter walks the platform's paginated endpoint list on a schedule, keeps one immutable
//! snapshot per account, and answers scrapes from bytes that were prepared when the snapshot was
//! published. The modules, in the order of the data:
//!
//! ```text
//! Vobiz REST API -> api -> walk -> snapshot -> exposition -> http -> Prometheus
//! ```
//!
//! - [`config`]: settings, validated once at start;
//! - [`telemetry`]: the catalogue of metrics, instruments of the exporter itself, logs;
//! - [`clock`], [`shutdown`]: wall time, signals and the shutdown token, passed as values;
//! - [`api`]: API responses become validated records, or a typed error;
//! - [`snapshot`]: one immutable snapshot per account, with one writer and readers that never wait;
//! - [`walk`]: the schedule, paging, and the proof that a walk is complete;
//! - [`exposition`]: a snapshot becomes compressed chunks, once;
//! - [`probe`]: one endpoint, requested immediately, independent of the walks;
//! - [`http`]: the HTTP server;
//! - [`cli`] and [`app`]: the command line, and the composition root.
//!
//! A module imports only modules that come before it in the data flow; `tests/it/layering.rs` checks
//! this.

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
