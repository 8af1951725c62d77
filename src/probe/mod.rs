//! Answers `/probe`: during the scrape, the prober requests the record of one endpoint from the API.
//!
//! For each endpoint of an account, one API request at most is in flight. A probe never changes a snapshot.
//!
//! 1. [`Prober::probe`] reads the parameters and the scrape timeout.
//! 2. Simultaneous scrapes of one endpoint share one API request, `InFlight`. The request waits for the rate
//!    limiter of probes, then for the rate limiter that walks also use. Then the prober sends the request.
//! 3. Each scrape waits for the record at most until its own deadline. Without it, the response has a `reason`.
//! 4. `report` turns the result into samples or, with `debug=true`, into text for a person.

mod params;
mod prober;
mod report;
#[cfg(test)]
mod tests;

pub use params::is_endpoint_id;
pub use prober::{ProbeRequest, ProbeResponse, Prober, Retrieve};
