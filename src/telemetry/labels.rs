//! The values of every label whose values are a closed set. Settings with such values use the same macro.

use std::sync::LazyLock;

/// Defines the enum of a closed set: its variants with their label values, or their words in a
/// configuration.
macro_rules! closed_label {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $value:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        pub enum $name {
            $(#[doc = concat!("`", $value, "`.")] $(#[$about])* #[serde(rename = $value)] $variant,)+
        }

        impl $name {
            /// Every value, in the order of the documentation.
            pub const ALL: [Self; Self::LABELS.len()] = [$(Self::$variant,)+];
            /// Every label value.
            pub const LABELS: &[&str] = &[$($value,)+];

            /// The label value.
            pub fn label(self) -> &'static str {
                Self::LABELS[self as usize]
            }
        }
    };
}
pub(crate) use closed_label;

closed_label! {
    /// An operation of the API; the `operation` label.
    Operation {
        /// `GET .../Endpoint/`.
        ListEndpoints = "list_endpoints",
        /// `GET .../Endpoint/{endpoint_id}/`.
        RetrieveEndpoint = "retrieve_endpoint",
    }
}

closed_label! {
    /// The kinds of errors of the API; each is a value of the `reason` label.
    ErrorKind {
        /// 401: also the response to a wrong path or auth id.
        Auth = "auth",
        /// 402.
        PaymentRequired = "payment_required",
        /// 403: inactive account, refused source address, resource of another account.
        Forbidden = "forbidden",
        /// 404.
        NotFound = "not_found",
        /// 429.
        RateLimited = "rate_limited",
        /// 408, or no response within the request's time.
        Timeout = "timeout",
        /// DNS, TCP, TLS, reset, truncated body.
        Network = "network",
        /// 5xx.
        ServerError = "server_error",
        /// 3xx: never followed, because the token's headers must not reach another host.
        Redirect = "redirect",
        /// Any other 4xx.
        ClientError = "client_error",
        /// 200 without a readable list: an error's body, bad JSON, no `objects`.
        Malformed = "malformed",
        /// The body is larger than allowed.
        TooLarge = "too_large",
    }
}

closed_label! {
    /// Why a request waited; the `cause` label.
    ThrottleCause {
        /// The exporter's rate limiter.
        Limiter = "limiter",
        /// The API's `Retry-After`.
        Vendor = "vendor",
    }
}

closed_label! {
    /// Why a walk reads a part of the list again; `reason` in `vobiz_walk_rereads_total`.
    RereadReason {
        /// A page without its anchor.
        Anchor = "anchor",
        /// A whole list that only counting can prove complete.
        Count = "count",
    }
}

closed_label! {
    /// Why a row gave no record; the `reason` label of `vobiz_walk_rejected_rows`.
    Rejection {
        /// The row is not a JSON object.
        NotAnObject = "not_an_object",
        /// No `endpoint_id`, or one that is neither text nor an integer, or empty.
        NoId = "no_id",
        /// An `endpoint_id` of more than 128 bytes.
        IdTooLong = "id_too_long",
        /// Not decodable: a lone surrogate, absurd nesting.
        Undecodable = "undecodable",
        /// Two successive walks returned two rows with this id; the newest row was kept.
        Duplicate = "duplicate",
    }
}

closed_label! {
    /// A field of a row that can be rejected or assumed; the `field` label. `Allow` is any of `allow_*`.
    Field {
        Username = "username",
        Alias = "alias",
        SipRegistered = "sip_registered",
        SipExpires = "sip_expires",
        SipUserAgent = "sip_user_agent",
        SipContact = "sip_contact",
        SipReceived = "sip_received",
        Application = "application",
        SubAccount = "sub_account",
        CreatedAt = "created_at",
        UpdatedAt = "updated_at",
        Allow = "allow",
    }
}

closed_label! {
    /// A permission of an endpoint; the `capability` label. The API field is `allow_` and the label.
    Capability {
        Voice = "voice",
        Message = "message",
        Video = "video",
        SameDomain = "same_domain",
        OtherDomains = "other_domains",
        Phones = "phones",
        Apps = "apps",
    }
}

closed_label! {
    /// The meaning of a path; the `handler` label.
    Route {
        /// The telemetry path.
        Metrics = "metrics",
        /// The start page.
        Index = "index",
        /// `/probe`.
        Probe = "probe",
        /// `/-/healthy` and `/healthz`.
        Healthy = "healthy",
        /// `/-/ready` and `/readyz`.
        Ready = "ready",
        /// Any other path.
        Other = "other",
    }
}

closed_label! {
    /// How much an endpoint matters to the operator; the `watch` label.
    #[derive(Default)]
    Watch {
        /// An alert needs attention at once.
        Page = "page",
        /// An alert can wait for working hours.
        #[default]
        Notice = "notice",
        /// No alert.
        Ignore = "ignore",
    }
}

/// The reason of a walk that could not be proven complete.
pub const INCONSISTENT: &str = "inconsistent";
/// The reason of a walk that took too long.
pub const DEADLINE: &str = "deadline";
/// The reason of a probe whose request was not sent because of a limit of this program.
pub const THROTTLED: &str = "throttled";

/// The values of `reason` in `vobiz_walk_failures_total`.
pub static WALK_FAILURE_REASONS: LazyLock<Vec<&str>> =
    LazyLock::new(|| [ErrorKind::LABELS, &[INCONSISTENT, DEADLINE]].concat());
/// The values of `reason` in `vobiz_probe_failure`.
pub static PROBE_FAILURE_REASONS: LazyLock<Vec<&str>> =
    LazyLock::new(|| [ErrorKind::LABELS, &[THROTTLED]].concat());
/// The values of the `registration` label.
pub const REGISTRATIONS: [&str; 3] = ["registered", "unregistered", "unknown"];
/// The values of `change` in `vobiz_registration_changes_total`.
pub(super) const REGISTRATION_CHANGES: [&str; 2] = ["lost", "gained"];
/// The values of `change` in `vobiz_endpoint_changes_total`.
pub(super) const ENDPOINT_CHANGES: [&str; 3] = ["added", "removed", "application"];
