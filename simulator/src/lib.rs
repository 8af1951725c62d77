//! A model of the Vobiz endpoint API, for demonstrations, tests and benches.
//!
//! [`World`] is the model itself: accounts, their endpoints and what happens to them as time goes
//! on. It is plain and synchronous, knows no socket and no real clock, and is decided by a seed:
//! [`World::advance`] to the same instant always leads to the same state, in one step or in many.
//!
//! [`Vendor`] puts a world behind an HTTP listener that answers as the vendor's documents say, or,
//! where a [`Fault`] was planned, as the vendor should not.
//!
//! ```text
//! AccountPlan -> World (Account, Endpoint) --advance--> life: registrations, shifts, outages
//!                  |
//! request -> route -> list | retrieve -> Answer -> fault -> bytes on the wire
//! ```
//!
//! Nothing of the exporter is used here.

mod account;
mod agenda;
mod answer;
mod credentials;
mod endpoint;
mod error_body;
mod exchange;
mod fault;
mod hostile;
mod identity;
mod life;
mod list;
mod log;
mod names;
mod operator;
mod page_fault;
mod plan;
mod populate;
mod query;
mod retrieve;
mod script;
mod server;
mod shape;
mod shift;
mod state;
mod transport;
mod vendor;
mod wire;
mod world;

pub use account::{Account, Application, Order, SubAccount};
pub use credentials::Presented;
pub use endpoint::{Endpoint, Registration};
pub use error_body::{ErrorBody, RetryAfter};
pub use fault::{Edit, Effect, Fault, Operation, Reply};
pub use hostile::{HostileRow, Reading, hostile_rows};
pub use identity::identity;
pub use log::{Counts, RequestRecord};
pub use page_fault::{Count, PageFault};
pub use plan::FaultId;
pub use populate::{
    AccountPlan, DEMO_ACCOUNTS, DEMO_SUB_ACCOUNT, Login, START, TEST_ACCOUNT, TEST_SUB_ACCOUNT,
};
pub use shape::Shape;
pub use vendor::{Latency, Options, Pace, Vendor};
pub use world::{Happened, World};

#[cfg(test)]
mod tests;
