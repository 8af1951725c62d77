//! From the text of a body to records, without a tree of values in between.
//!
//! A page's envelope is read once and leaves its rows as slices of the text; each row is then read
//! by itself, so that an undecodable one costs nobody else.

mod envelope;
mod json;
mod moment;
mod reader;
mod reference;
mod row;

pub(super) use envelope::{NotAPage, page};
pub(super) use json::{Json, pick};
pub(super) use row::record;

#[cfg(test)]
mod tests;
