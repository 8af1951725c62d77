//! Stories about the exporter as its users and Prometheus see it.

#![expect(
    clippy::unwrap_used,
    reason = "a story fails at the line where things are not as it tells"
)]

mod commands;
mod configuration;
mod demo;
mod formats;
mod names;
mod pagination;
mod prometheus;
mod secrets;
mod shutdown;
mod single_run;
mod stand;
mod tls;
