//! The commands of the runbooks. They run with a real exporter, Prometheus and Alertmanager.
//! Commands that need a cluster or systemd are compared with known commands instead.

mod commands;
mod forms;
mod page;
mod silences;
mod stage;
