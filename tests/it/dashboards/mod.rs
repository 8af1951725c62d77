//! The dashboards that are shipped: their form, what they ask, and what Prometheus answers.

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
