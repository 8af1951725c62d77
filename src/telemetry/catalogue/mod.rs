//! Every metric of the program in one place: name, type, labels, and what it means.
//!
//! Names, types and labels are an interface. Whatever writes a sample takes them from here, and the
//! documentation is compared with this list.

mod closed;
mod families;
mod family;

pub use closed::{
    CAPABILITIES, ENDPOINT_CHANGES, FIELDS, OPERATIONS, PROBE_FAILURE_REASONS,
    REGISTRATION_CHANGES, REGISTRATIONS, REJECTED_ROWS, REREAD_REASONS, THROTTLE_CAUSES,
    WALK_FAILURE_REASONS, closed_values,
};
pub use families::Metric;
pub use family::{Family, Kind, Part};

#[cfg(test)]
mod tests;
