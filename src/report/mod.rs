//! Reports of availability: for which time endpoints and groups were registered while on duty.
//!
//! A report is calculated from the event log of the state database and the configured groups. Time in which the exporter did
//! not see an account is unknown, and counts neither as registered nor as unregistered.
//!
//! - `availability` has the result, and reads it from a state directory.
//! - `known` finds the time in which an account was seen; `timeline` finds the states of one endpoint; `spans` measures times.
//! - `table`, `page` and `rows` render a report as text, as HTML and as CSV; `words` writes times for people.

mod availability;
mod known;
mod page;
mod rows;
mod spans;
mod table;
#[cfg(test)]
mod tests;
mod timeline;
mod words;

pub use availability::{
    AccountReport, Configured, EndpointReport, GroupReport, Query, Report, Times, read,
};
pub use known::{UnknownSpan, Why};
pub use page::html;
pub use rows::csv;
pub use spans::Period;
pub use table::{Table, summary, tables, text};
