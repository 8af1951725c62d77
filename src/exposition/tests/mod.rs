//! The expositions that a client reads: content, changes over time, and special characters in labels.

mod content;
mod details;
mod fixtures;
mod golden;
mod parser;
mod properties;
mod time;
