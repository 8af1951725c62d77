//! Stories about what a scraper is told.

mod details;
mod golden;
mod parser;
mod properties;
mod stories;
mod time;
mod workshop;
