//! Tests the JSON and the queries of the shipped dashboards, and the responses of Prometheus.

mod board;
mod files;
mod fleet;
mod limit;
mod live;
mod schemas;
