//! Single records, retrieved under a budget, for what the list does not say.
//!
//! One request per endpoint has to be paid for wisely. `DetailQueue` knows whose record is wanted and
//! which of them tells the most; `RequestBudget` knows when the next request may leave; `DetailFetcher` brings
//! both together with the account's limiter, in the time between two walks.

mod budget;
mod fetcher;
mod queue;

pub(super) use fetcher::{DetailFetcher, beside};
