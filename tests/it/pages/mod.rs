//! The pages for people.

mod browser;
mod day;
mod place;
