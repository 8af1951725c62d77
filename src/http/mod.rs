//! The front door: answers scrapes, probes and people from what is already there.
//!
//! | path | answer |
//! |---|---|
//! | the telemetry path (`/metrics`) | the exposition, in the format and encoding that the request prefers; 503 above the limit of concurrent scrapes |
//! | `/` | a small page for people: name, version, the state of every account, links |
//! | `/probe` | where probing is on, one endpoint asked for now; 400 for a wrong question, 503 above the limit of concurrent probes; where it is off, 404 |
//! | `/-/healthy`, `/healthz` | 200 while the process lives, whatever the vendor does |
//! | `/-/ready`, `/readyz` | 503 until every account has finished its first walk, then 200 for good |
//!
//! `GET` and `HEAD` only; a query string is ignored, except by `/probe`. Nothing here takes a lock, and
//! nothing but a probe waits for the vendor: every other answer is made at once, and only the socket
//! decides how long it takes to leave. A [`Bell`] answers probes.
//!
//! What a stranger can do is bounded in every direction: how many connections there are, how long
//! and how large a request head may be, how long a connection rests, how long a reader may take
//! nothing, and how many scrapes and probes are answered at once. See [`Limits`].

mod address;
mod bell;
mod body;
mod connection;
mod connections;
mod error;
mod front;
mod landing;
mod negotiation;
mod pages;
mod patience;
mod server;
mod settings;
#[cfg(test)]
mod tests;

pub use address::Address;
pub use bell::Bell;
pub use error::BindError;
pub use pages::Pages;
pub use server::Bound;
pub use settings::{Limits, Settings};
