//! Complete chains: the simulated vendor, the exporter, Prometheus with the shipped rules, and Alertmanager with the shipped
//! configuration. A receiver collects the notifications.
//!
//! [`scaled`](crate::rules::scaled) divides every duration of the shipped files.

mod alertmanager;
mod cases;
mod demonstration;
mod message;
mod notified;
mod receiver;
mod routing;
mod site;
mod stack;
mod texts;

pub use alertmanager::Alertmanager;
