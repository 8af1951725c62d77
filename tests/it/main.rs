//! Stories about the exporter as its users and Prometheus see it.

mod commands;
mod configuration;
mod formats;
mod pagination;
mod prometheus;
mod secrets;
mod shutdown;
mod stand;
mod tls;
