//! `/probe`: the current state of one endpoint. Each endpoint has at most one request in flight.
//!
//! Probes are independent of walks: no result reaches a snapshot.
//!
//! 1. [`Prober::probe`] reads the parameters and the scrape timeout.
//! 2. Simultaneous probes of one endpoint share one `InFlight` request. The request waits for the
//!    rate limiter of the account's probes, then for the rate limiter that walks use. Then the request is sent.
//! 3. Each probe waits until its own deadline. Without a result, the probe reports the reason.
//! 4. `report` turns the result into samples, or into text for a person.

mod params;
mod prober;
mod report;
#[cfg(test)]
mod tests;

pub use prober::{ProbeRequest, ProbeResponse, Prober, Retrieve};
