//! The dashboards that are shipped: their form, what they ask, and what Prometheus answers.

mod board;
mod generated;
mod house;
mod names;
mod provisioned;
mod real;
mod schemas;
mod stage;
mod world;
