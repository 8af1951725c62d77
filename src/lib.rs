//! `vobiz-exporter`: Prometheus metrics for the SIP endpoints of Vobiz accounts.
//!
//! The exporter walks the paginated endpoint list of the API on a schedule. It keeps one immutable
//! snapshot per account. It answers scrapes from bytes that it prepares when it publishes a snapshot.
//! The modules follow the direction of the data:
//!
//! ```text
//! Vobiz REST API -> api -> walk -> snapshot -> exposition -> http -> Prometheus
//! ```
//!
//! - [`config`]: the settings, read and validated once;
//! - [`telemetry`]: the metric catalogue, counters and histograms about the exporter, logs;
//! - [`clock`], [`shutdown`]: wall time; signals and the end of the process;
//! - [`api`]: the API client: typed records from responses, or a typed error;
//! - [`snapshot`]: one immutable snapshot per account, with one writer and readers that wait for no walk;
//! - [`walk`]: the schedule, the walks, and the proof that a walk is complete;
//! - [`exposition`]: the sample lines of a snapshot, compressed once;
//! - [`probe`]: one endpoint, retrieved on request, independent of the walks;
//! - [`http`]: the HTTP server;
//! - [`cli`] and [`app`]: the command line, and the composition of all modules.
//!
//! A module imports only modules before it in the direction of the data. `scripts/imports.py` checks
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
