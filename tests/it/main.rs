//! Tests of the exporter as its users see it. The word vendor means the simulated Vobiz API.

#![expect(
    clippy::unwrap_used,
    reason = "a story that cannot go on has failed; clippy knows that only inside #[test]"
)]

mod accounts;
mod attacks;
mod chain;
mod commands;
mod configuration;
mod dashboards;
mod demo;
mod deploy;
mod details;
mod documents;
mod duty;
mod faults;
mod fleet;
mod formats;
mod harness;
mod judgements;
mod listening;
mod live_check;
mod names;
mod pages;
mod pagination;
mod past;
mod probe;
mod process_environment;
mod prometheus;
mod reload;
mod report;
mod rules;
mod runbooks;
mod secrets;
mod shutdown;
mod single_run;
mod state;
mod states;
mod tls;
mod web_api;
mod web_config;
mod week;
