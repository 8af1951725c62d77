//! Attacks on the listener, each beside good clients that must notice nothing.

mod attack;
mod client;
mod forms;
mod judge;
mod sockets;
mod stage;
mod stories;
