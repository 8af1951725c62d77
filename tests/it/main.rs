//! Stories about the exporter as its users and Prometheus see it.

mod accounts;
mod faults;
mod fleet;
mod pagination;
mod stand;
mod states;
