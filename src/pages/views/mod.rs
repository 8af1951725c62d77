//! What each page shows: a struct for each page, with the values that its template needs.
//!
//! The files are one page each, except for `fields` and `events`, which are parts of pages, and `words`, which several
//! pages use.

mod endpoint;
mod endpoints;
mod events;
mod fields;
mod groups;
mod outages;
mod overview;
mod report;
mod walks;
mod words;

use super::{Shell, query, reports, text};

pub(super) use endpoint::EndpointPage;
pub(super) use endpoints::Endpoints;
pub(super) use events::{EVENTS, Events};
pub(super) use groups::GroupList;
pub(super) use outages::{
    OutageList, OutagePage, Past, ROWS as OUTAGE_ROWS, Wanted as WantedOutages,
};
pub(super) use overview::Overview;
pub(super) use report::{ReportPage, wanted_report};
pub(super) use walks::{Walks, wanted_account};
