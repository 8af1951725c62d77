//! Stories on real sockets: what Prometheus, a probe, a person or a stranger sees.

mod addresses;
mod answers;
mod client;
mod house;
mod leaving;
mod limits;
mod probes;
mod scrapes;
