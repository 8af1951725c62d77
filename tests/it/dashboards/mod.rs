//! Tests the JSON and the queries of the shipped dashboards, and the responses of Prometheus.

mod board;
mod day;
mod generated;
mod grafana;
mod images;
mod limit;
mod local;
mod names;
mod past;
mod present;
mod provisioned;
mod real;
mod remembered;
mod schemas;
mod stage;
