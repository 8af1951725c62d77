//! Tests over real sockets, and unit tests of content negotiation and timeouts.

mod access;
mod addresses;
mod client;
mod evictions;
mod harness;
mod http2;
mod lifecycle;
mod limits;
mod negotiation;
mod paths;
mod probes;
mod responses;
mod scrapes;
mod shutdown;
mod timeouts;
