//! The complete chain with real programs. The simulated vendor, the exporter, Prometheus with the
//! shipped rules, and Alertmanager with the shipped example run together. A receiver collects the
//! notifications.
//!
//! The chain runs sixty times as fast as shipped, so a minute lasts one second.
//! [`scaled`](crate::rules::scaled) divides every duration of the shipped files. The exporter
//! cannot walk more often than every five seconds. To the rules, this is a poll interval of five
//! minutes.

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
