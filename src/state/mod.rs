//! What must survive a restart, in a `SQLite` database: the last success of every account, the registration history
//! of every endpoint, the judgements, and an event log.
//!
//! The poller saves the state of its account before it publishes it, so a restart knows every loss that a scrape has
//! shown. A [`Store`] hands the state to a thread of its own and waits at most two seconds. The thread writes what
//! differs from the last committed state, for all waiting accounts in one transaction. No scrape waits for the disk.
//!
//! - `schema` opens the file and migrates it; `lock` keeps a second exporter away.
//! - `load` reads the state of an account; `save` writes the differences; `events` writes the event log; `judgements`
//!   does both for missed endpoints and for groups below their minimum. `past_outages` writes outages that have ended.
//! - `past` reads past outages and events for the web pages, `past_events` the event log page by page, and `log_reader` all
//!   of both for reports.
//! - `requests` applies what the command `vobiz-exporter state` asks for.
//! - `file` joins these parts, and recovers from every error of the disk; `store` is the thread.

mod error;
mod events;
mod file;
mod group_events;
mod judgements;
mod load;
mod lock;
mod log_reader;
mod past;
mod past_events;
mod past_outages;
mod polled;
mod report;
mod requests;
mod save;
mod schema;
mod store;
mod walk_events;

pub use error::Error;
pub use events::EventKind;
pub use load::Restored;
pub use lock::check_directory;
pub use log_reader::{LogReader, LoggedAccount, LoggedEndpoint, LoggedOutage, StoredRow, read_log};
pub use past::{
    OutageQuery, PastEvent, PastEventKind, PastMember, PastOutage, PastReader, ScopeFilter,
};
pub use past_events::{EventPage, EventQuery, LoggedEvent};
pub use report::{backup, report};
pub use requests::{Applied, Change, Request, request};
pub use store::{AccountStore, Store, read_once};
pub use walk_events::GAP;

#[cfg(test)]
mod tests;
