//! Stories about the exporter as its users and Prometheus see it.

mod pagination;
mod stand;
