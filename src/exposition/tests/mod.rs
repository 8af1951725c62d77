//! The responses that a client reads: content, changes over time, hostile text.

mod content;
mod details;
mod fixtures;
mod golden;
mod parser;
mod properties;
mod time;
