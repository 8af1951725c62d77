//! What each page shows: a struct for each page, with the values that its template needs.
//!
//! `fleet` has all accounts at one moment. The other files are one page each, except for `fields` and `events`, which are
//! parts of pages.

mod endpoint;
mod endpoints;
mod events;
mod fields;
mod fleet;
mod groups;
mod outages;
mod overview;
mod walks;

use super::{Shell, query, text};

pub(super) use endpoint::EndpointPage;
pub(super) use endpoints::Endpoints;
pub(super) use events::{EVENTS, Events};
pub(super) use fleet::Fleet;
pub(super) use groups::GroupList;
pub(super) use outages::{
    OutageList, OutagePage, Past, ROWS as OUTAGE_ROWS, Wanted as WantedOutages,
};
pub(super) use overview::Overview;
pub(super) use walks::{Walks, wanted_account};
