//! The tests run a complete chain: the simulated vendor, the exporter, Prometheus with the shipped
//! rules, and Alertmanager with the shipped example. A receiver collects the notifications.
//!
//! The chain runs sixty times as fast as shipped, so a minute lasts one second.
//! [`scaled`](crate::rules::scaled) divides every duration of the shipped files. The exporter uses
//! its shortest poll interval, five seconds. At this speed, it corresponds to five minutes.

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
