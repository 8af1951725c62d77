//! The pages for people.

mod browser;
mod day;
mod levels;
mod limit;
pub mod place;
