//! Attacks on the listener, each beside good clients that must notice nothing.

mod access;
mod attack;
mod client;
mod encrypted;
mod forms;
mod judge;
mod sockets;
mod stage;
mod stories;

pub use access::{Access, Credentials};
pub use stage::Stage;
