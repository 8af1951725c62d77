//! The label values that are known beforehand.

use super::Metric;

/// `registration` of every count of endpoints.
pub const REGISTRATIONS: [&str; 3] = ["registered", "unregistered", "unknown"];

/// `capability` of `vobiz_endpoint_allowed`, in the vendor's order.
pub const CAPABILITIES: [&str; 7] = [
    "voice",
    "message",
    "video",
    "same_domain",
    "other_domains",
    "phones",
    "apps",
];

/// `reason` of `vobiz_walk_rejected_rows`.
pub const REJECTED_ROWS: [&str; 5] = [
    "not_an_object",
    "no_id",
    "id_too_long",
    "undecodable",
    "duplicate",
];

/// `field` of `vobiz_walk_rejected_values` and `vobiz_walk_assumed_values`.
pub const FIELDS: [&str; 12] = [
    "username",
    "alias",
    "sip_registered",
    "sip_expires",
    "sip_user_agent",
    "sip_contact",
    "sip_received",
    "application",
    "sub_account",
    "created_at",
    "updated_at",
    "allow",
];

/// `reason` of `vobiz_walk_failures_total`.
pub const WALK_FAILURE_REASONS: [&str; 14] = [
    "auth",
    "payment_required",
    "forbidden",
    "not_found",
    "rate_limited",
    "timeout",
    "network",
    "server_error",
    "redirect",
    "client_error",
    "malformed",
    "too_large",
    "inconsistent",
    "deadline",
];

/// `reason` of `vobiz_probe_failure`.
pub const PROBE_FAILURE_REASONS: [&str; 13] = [
    "auth",
    "payment_required",
    "forbidden",
    "not_found",
    "rate_limited",
    "timeout",
    "network",
    "server_error",
    "redirect",
    "client_error",
    "malformed",
    "too_large",
    "throttled",
];

/// `reason` of `vobiz_walk_rereads_total`.
pub const REREAD_REASONS: [&str; 2] = ["anchor", "count"];

/// `change` of `vobiz_registration_changes_total`.
pub const REGISTRATION_CHANGES: [&str; 2] = ["lost", "gained"];

/// `change` of `vobiz_endpoint_changes_total`.
pub const ENDPOINT_CHANGES: [&str; 3] = ["added", "removed", "application"];

/// `operation` of everything about requests.
pub const OPERATIONS: [&str; 2] = ["list_endpoints", "retrieve_endpoint"];

/// `cause` of `vobiz_api_throttle_seconds_total`.
pub const THROTTLE_CAUSES: [&str; 2] = ["limiter", "vendor"];

/// The only values that a label of this metric can have; `None` where it is open.
pub fn closed_values(metric: Metric, label: &str) -> Option<&'static [&'static str]> {
    Some(match (metric, label) {
        (_, "registration") => &REGISTRATIONS,
        (_, "capability") => &CAPABILITIES,
        (_, "field") => &FIELDS,
        (_, "operation") => &OPERATIONS,
        (_, "cause") => &THROTTLE_CAUSES,
        (Metric::WalkRejectedRows, "reason") => &REJECTED_ROWS,
        (Metric::WalkFailures, "reason") => &WALK_FAILURE_REASONS,
        (Metric::WalkRereads, "reason") => &REREAD_REASONS,
        (Metric::ProbeFailure, "reason") => &PROBE_FAILURE_REASONS,
        (Metric::RegistrationChanges, "change") => &REGISTRATION_CHANGES,
        (Metric::EndpointChanges, "change") => &ENDPOINT_CHANGES,
        _ => return None,
    })
}
