//! `/probe`: the state of one endpoint at this moment, with at most one request in flight for it.
//!
//! Probes are independent of walks: no result reaches a snapshot.
//!
//! 1. [`Prober::probe`] reads the parameters and the time that the scrape leaves.
//! 2. Equal probes that come together share one `InFlight` request. The request waits for its account's
//!    share, then for the rate limiter that walks use, and is then sent once.
//! 3. Each probe waits until its own deadline and then reports the reason.
//! 4. The result becomes samples, or text for a person (`report`).

mod params;
mod prober;
mod report;
#[cfg(test)]
mod tests;

pub use prober::{ProbeRequest, ProbeResponse, Prober, Retrieve};
