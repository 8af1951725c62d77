//! The log of the received requests, and their counts.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use super::credentials::PresentedCredentials;
use super::fault::Operation;

/// A logged request, without credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRecord {
    /// The number of the request. The first request has the number 1.
    pub number: u64,
    /// The number of the connection. The first connection has the number 1.
    pub connection: u64,
    /// The simulated time when the request arrived.
    pub time: Timestamp,
    /// The real time from the start of the simulated vendor to the arrival of the request.
    pub since_start: Duration,
    /// The operation of the request.
    pub operation: Operation,
    /// The HTTP method.
    pub method: String,
    /// The path as the client sent it.
    pub path: String,
    /// The query as the client sent it, without `?`.
    pub query: String,
    /// The auth id in the path.
    pub account: Option<String>,
    /// The `User-Agent` header.
    pub user_agent: Option<String>,
    /// The `Accept` header.
    pub accept: Option<String>,
    /// The `Accept-Encoding` header.
    pub accept_encoding: Option<String>,
    /// Whether the request has an `Authorization` header. The simulated vendor ignores it.
    pub authorization: bool,
    /// Which credential headers the request has.
    pub presented: PresentedCredentials,
    /// The status of the response; `None` before the response starts.
    pub status: Option<u16>,
}

/// The counts of requests, responses and connections since the start of the simulated vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// All requests.
    pub requests: u64,
    /// List requests.
    pub list_endpoints: u64,
    /// Retrieve requests.
    pub retrieve_endpoint: u64,
    /// Requests with any other path.
    pub other: u64,
    /// Responses that have started.
    pub answered: u64,
    /// Responses that have started with a status below 300.
    pub successes: u64,
    /// Requests whose response is neither complete nor aborted.
    pub in_flight: u64,
    /// The maximum of `in_flight`.
    pub peak_in_flight: u64,
    /// Accepted connections.
    pub connections: u64,
}

/// The latest requests, and counts of all requests.
#[derive(Debug)]
pub(super) struct RequestLog {
    records: VecDeque<RequestRecord>,
    capacity: usize,
    pub(super) counts: Counts,
}

impl RequestLog {
    /// Creates an empty log for at most this many records.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            records: VecDeque::new(),
            capacity,
            counts: Counts::default(),
        }
    }

    /// Adds a request and returns its number.
    pub(super) fn arrive(&mut self, mut record: RequestRecord) -> u64 {
        let counts = &mut self.counts;
        counts.requests += 1;
        counts.in_flight += 1;
        counts.peak_in_flight = counts.peak_in_flight.max(counts.in_flight);
        match record.operation {
            Operation::ListEndpoints => counts.list_endpoints += 1,
            Operation::RetrieveEndpoint => counts.retrieve_endpoint += 1,
            Operation::Other => counts.other += 1,
        }
        let number = counts.requests;
        record.number = number;
        while self.records.len() >= self.capacity.max(1) {
            self.records.pop_front();
        }
        self.records.push_back(record);
        number
    }

    /// Records the status of a response.
    pub(super) fn answered(&mut self, number: u64, status: u16) {
        self.counts.answered += 1;
        self.counts.successes += u64::from(status < 300);
        let first = self.records.front().map_or(0, |record| record.number);
        let index = number
            .checked_sub(first)
            .and_then(|index| usize::try_from(index).ok());
        if let Some(record) = index.and_then(|index| self.records.get_mut(index)) {
            record.status = Some(status);
        }
    }

    /// Records that a response is complete or aborted.
    pub(super) fn done(&mut self) {
        self.counts.in_flight -= 1;
    }

    /// The recorded requests, the oldest first.
    pub(super) fn records(&self) -> Vec<RequestRecord> {
        self.records.iter().cloned().collect()
    }
}
