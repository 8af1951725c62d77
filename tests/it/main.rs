//! Stories about the exporter as its users and Prometheus see it.

#![expect(
    clippy::unwrap_used,
    reason = "a story that cannot go on has failed; clippy knows that only inside #[test]"
)]

mod accounts;
mod faults;
mod fleet;
mod layering;
mod pagination;
mod stand;
mod states;
