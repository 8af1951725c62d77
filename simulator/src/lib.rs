//! A model of the Vobiz endpoint API, for demonstrations, tests and benches.
//!
//! [`World`] is the model: accounts, their endpoints and simulated events. It is synchronous and
//! uses no socket and no real clock. The same seed, start and accounts give the same events. The
//! number of calls of [`World::advance`] does not change the events.
//!
//! [`Vendor`] serves a world over HTTP or HTTPS. It responds as the vendor's documents describe,
//! unless a planned [`Fault`], or a field of an [`Account`] or [`Endpoint`], changes the response.
//!
//! ```text
//! AccountPlan -> World (Account, Endpoint) --advance--> events: registrations, shifts, outages
//!                  |
//! request -> route -> list | retrieve -> Response -> fault -> bytes on the connection
//! ```
//!
//! This crate does not depend on the exporter.

mod account;
mod account_events;
mod bad_rows;
mod body;
mod command;
mod credentials;
mod devices;
mod endpoint;
mod error_body;
mod fault;
mod handler;
mod initial_accounts;
mod list;
mod page_fault;
mod registration;
mod request_log;

mod routes;
mod row_json;
mod server;
mod vendor;
mod vendor_state;
mod working_hours;
mod world;

pub use account::{Account, Application, Order, Shape, SubAccount};
pub use bad_rows::{HostileRow, Reading, hostile_rows};
pub use command::{SimulateArgs, simulate};
pub use credentials::{Login, PresentedCredentials};
pub use endpoint::{Endpoint, Registration};
pub use error_body::{ErrorBody, RetryAfter};
pub use fault::{Edit, Effect, Fault, FaultId, Operation, Reply};
pub use initial_accounts::{
    AccountPlan, DEMO_ACCOUNTS, DEMO_SUB_ACCOUNT, START, TEST_ACCOUNT, TEST_SUB_ACCOUNT,
};
pub use page_fault::{Count, PageFault};
pub use request_log::{Counts, RequestRecord};
pub use server::identity;
pub use vendor::Vendor;
pub use vendor_state::{Latency, Options, Pace};
pub use world::{EventCounts, World};

#[cfg(test)]
mod tests;
