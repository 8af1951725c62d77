//! Single records, retrieved under a budget, for what the list does not say.
//!
//! One request per endpoint has to be paid for wisely. `Agenda` knows whose record is wanted and
//! which of them tells the most; `Budget` knows when the next request may leave; `Desk` brings
//! both together with the account's pace, in the time between two walks.

mod agenda;
mod budget;
mod desk;

pub(super) use desk::{Desk, beside};
