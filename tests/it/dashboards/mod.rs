//! Tests the JSON and the queries of the shipped dashboards, and the responses of Prometheus.

mod board;
mod day;
mod files;
mod images;
mod limit;
mod live;
pub mod past;
mod schemas;
