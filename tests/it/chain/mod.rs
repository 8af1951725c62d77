//! The whole chain, really run: the simulated vendor, the exporter, Prometheus with the shipped rules,
//! Alertmanager with the shipped example, and somebody who receives what they send.
//!
//! Everything is sixty times as fast as shipped: the rules, the scrapes, and Alertmanager's waits are
//! the shipped files with every span cut by [`scaled`](crate::rules::scaled), so that a minute
//! lasts a second. Only the exporter cannot walk more often than every five seconds; to the rules that
//! is a poll interval of five minutes.

mod alertmanager;
mod demonstration;
mod expected;
mod fleet;
mod history;
mod inhibition;
mod message;
mod news;
mod post;
mod receiver;
mod stack;

mod story;

pub use alertmanager::Alertmanager;
