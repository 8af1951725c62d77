//! The interface for programs: its description, its content, service discovery, and its limits.

mod content;
mod description;
mod discovery;
mod limit;
