//! Tests over real sockets, and unit tests of content negotiation and timeouts.

mod addresses;
mod client;
mod harness;
mod hosts;
mod limits;
mod negotiation;
mod paths;
mod probes;
mod responses;
mod scrapes;
mod shutdown;
mod timeouts;
