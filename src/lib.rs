//! `vobiz-exporter`: Prometheus metrics for the SIP endpoints of Vobiz accounts.
//!
//! The exporter walks the paginated endpoint list of the API on a schedule. It keeps one immutable snapshot per
//! account. It renders the metrics of an account when the account's state changes, not during a scrape. The
//! data flows through the modules in this order:
//!
//! ```text
//! Vobiz REST API -> api -> walk -> snapshot -> exposition -> http -> Prometheus
//! ```
//!
//! The table in `docs/architecture.md` lists the modules that each module may import. `scripts/imports.py`
//! checks the imports. [`app`] connects all modules.

pub mod api;
pub mod app;
pub mod blocking;
pub mod cli;
pub mod clock;
pub mod config;
pub mod duty;
pub mod exposition;
pub mod fleet;
pub mod http;
pub mod judgement;
pub mod pages;
pub mod probe;
pub mod report;
pub mod shutdown;
pub mod snapshot;
pub mod state;
pub mod telemetry;
#[cfg(test)]
mod tests;
pub mod walk;
pub mod web_api;
pub mod web_config;
