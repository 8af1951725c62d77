//! Runs the commands of the runbooks with a real exporter, Prometheus and Alertmanager. Commands
//! that need a cluster or systemd do not run: the tests compare them with known commands.

mod commands;
mod forms;
mod page;
mod silences;
mod stage;
