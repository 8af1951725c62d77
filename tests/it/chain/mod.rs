//! The tests `story` and `demonstration` run a complete chain: the simulated vendor, the exporter,
//! Prometheus with the shipped rules, and Alertmanager with the shipped configuration. A
//! receiver collects the notifications.
//!
//! [`scaled`](crate::rules::scaled) divides every duration of the shipped files. In `story`, a
//! minute lasts one second. The shortest valid poll interval, 5 s, corresponds to five minutes.

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
