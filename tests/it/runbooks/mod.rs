//! The commands of the runbooks: run for real against an exporter, a Prometheus and an Alertmanager, or,
//! where they need what is not here (a cluster, systemd), held to forms that are known to be right.

mod commands;
mod forms;
mod page;
mod silences;
mod stage;
