//! The values of every closed label, which has a fixed set of values. Some settings also use `closed_label`.

use std::sync::LazyLock;

/// Defines an enum for a fixed set of values. The text of a variant is a label value or a setting.
macro_rules! closed_label {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $value:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        pub enum $name {
            $(#[doc = concat!("`", $value, "`.")] $(#[$about])* #[serde(rename = $value)] $variant,)+
        }

        impl $name {
            /// Every value, in the order of the variants.
            pub const ALL: [Self; Self::LABELS.len()] = [$(Self::$variant,)+];
            /// Every label value, in the order of `ALL`.
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
    /// An operation of the API. It is the value of the label `operation`.
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
        /// Status 401, which is also the response to a wrong path or auth id; or a token that cannot be sent.
        Auth = "auth",
        /// Status 402.
        PaymentRequired = "payment_required",
        /// Status 403: an inactive account, a refused source address, or a resource of another account.
        Forbidden = "forbidden",
        /// Status 404.
        NotFound = "not_found",
        /// Status 429, or a pause that the API asks for and that is too long for the walk or probe.
        RateLimited = "rate_limited",
        /// Status 408, or a timeout before the end of the response. `api` settings and probes set timeouts.
        Timeout = "timeout",
        /// A failure of DNS, TCP or TLS, a reset connection, a truncated body, or invalid HTTP.
        Network = "network",
        /// Status 5xx.
        ServerError = "server_error",
        /// Status 3xx. A redirect is never followed, because another host must not receive the token.
        Redirect = "redirect",
        /// Any other status 4xx, or an endpoint id that cannot be a segment of a path.
        ClientError = "client_error",
        /// Status 2xx without the requested list or record (for example an error object), or a panic.
        Malformed = "malformed",
        /// The body has too many bytes, a page has too many rows, or the list has too many pages.
        TooLarge = "too_large",
    }
}

closed_label! {
    /// The reason why a request waited. It is the value of the label `cause`.
    ThrottleCause {
        /// The exporter's rate limiter.
        Limiter = "limiter",
        /// A pause that the API asks for, by `Retry-After` or by status 429.
        Vendor = "vendor",
    }
}

closed_label! {
    /// The reason why a walk reads the list or a part of it again: `reason` in `vobiz_walk_rereads_total`.
    RereadReason {
        /// A page lacks the last row of the previous page (the anchor).
        Anchor = "anchor",
        /// The walk reads the whole list again, because the previous reading did not prove the list complete.
        Count = "count",
    }
}

closed_label! {
    /// The reason why a row gave no record: the `reason` in `vobiz_walk_rejected_rows`.
    Rejection {
        /// The row is not a JSON object.
        NotAnObject = "not_an_object",
        /// The `endpoint_id` is missing, empty, or neither text nor an integer.
        NoId = "no_id",
        /// The `endpoint_id` has more than 128 bytes.
        IdTooLong = "id_too_long",
        /// The row is not decodable, for example because of a lone surrogate or deep nesting.
        Undecodable = "undecodable",
        /// Each of two successive walks read this id on two rows. The exporter keeps the row that it read last.
        Duplicate = "duplicate",
    }
}

closed_label! {
    /// The value of the label `field`: an API field whose value was dropped or cut, or whose time lacks a zone.
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
    /// The value of the label `capability`: a permission of an endpoint. `voice` is the API's `allow_voice`.
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
    /// The condition of an account. If several conditions apply, the first in this order is the present one.
    #[derive(Default)]
    Condition {
        /// The last two finished walks both ended with status 401, 402 or 403.
        Refused = "refused",
        /// Walks have finished, and no last success is known.
        Never = "never",
        /// The snapshot is withdrawn.
        Withdrawn = "withdrawn",
        /// No walk was published for three effective intervals.
        Stale = "stale",
        /// The last finished walk failed.
        Failing = "failing",
        /// No walk has finished, and no last success is known.
        #[default]
        Starting = "starting",
        /// No other condition applies.
        Ok = "ok",
    }
}

closed_label! {
    /// The handler of a request. It is the value of the label `handler`.
    Route {
        /// The path of the metrics (`--web.telemetry-path`).
        Metrics = "metrics",
        /// The start page.
        Index = "index",
        /// `/endpoints`, and the page of each endpoint.
        Endpoints = "endpoints",
        /// `/groups`.
        Groups = "groups",
        /// `/outages`.
        Outages = "outages",
        /// `/reports`.
        Reports = "reports",
        /// `/walks`.
        Walks = "walks",
        /// The paths below `/api/v1`.
        Api = "api",
        /// `/sd`.
        ServiceDiscovery = "sd",
        /// The style and the script of the pages.
        Static = "static",
        /// `/probe`.
        Probe = "probe",
        /// `/-/healthy` and `/healthz`.
        Healthy = "healthy",
        /// `/-/ready` and `/readyz`.
        Ready = "ready",
        /// `/-/reload`.
        Reload = "reload",
        /// `/-/config`.
        Config = "config",
        /// Any other path.
        Other = "other",
    }
}

closed_label! {
    /// Why a connection to the exporter's HTTP server ended. It is the value of the label `outcome`.
    ConnectionOutcome {
        /// The client closed it, or the server did so after a response or at its shutdown.
        Closed = "closed",
        /// No request for six minutes.
        IdleTimeout = "idle_timeout",
        /// The head of a request, or the TLS handshake, took longer than 10 s.
        RequestTimeout = "request_timeout",
        /// The client read no byte of a response for 30 s.
        Stalled = "stalled",
        /// The client took longer for a response than 10 s and its size at 64 KiB/s.
        TooSlow = "too_slow",
        /// The server closed it in favour of another connection.
        Evicted = "evicted",
        /// The server refused a scrape or a probe above the limit, and closed the connection.
        Refused = "refused",
        /// The client did not send HTTP, or too long a head.
        BadRequest = "bad_request",
        /// The TLS handshake failed.
        TlsFailed = "tls_failed",
    }
}

closed_label! {
    /// The importance of a group for alerts. It is the value of the label `watch`.
    Watch {
        /// An alert needs attention at once.
        Page = "page",
        /// An alert can wait for working hours.
        Notice = "notice",
        /// The endpoint causes no alert.
        Ignore = "ignore",
    }
}

/// The `reason` of a walk that failed because the list could not be proven complete.
pub const INCONSISTENT: &str = "inconsistent";
/// The `reason` of a walk that reached a time limit, if no failed request explains the delay.
pub const DEADLINE: &str = "deadline";
/// The `reason` of a probe whose request was not sent because of a limit of this program.
pub const THROTTLED: &str = "throttled";

/// The values of `reason` in `vobiz_walk_failures_total`.
pub static WALK_FAILURE_REASONS: LazyLock<Vec<&str>> =
    LazyLock::new(|| [ErrorKind::LABELS, &[INCONSISTENT, DEADLINE]].concat());
/// The values of `reason` in `vobiz_probe_failure`.
pub static PROBE_FAILURE_REASONS: LazyLock<Vec<&str>> =
    LazyLock::new(|| [ErrorKind::LABELS, &[THROTTLED]].concat());
/// The value of the label `code` if a request attempt has no response, or if its 2xx response breaks off.
pub(super) const NO_STATUS: &str = "error";
/// The values of the `registration` label.
pub const REGISTRATIONS: [&str; 3] = ["registered", "unregistered", "unknown"];
/// The values of `scope` of an outage: one of the whole account, or one of a group.
pub const OUTAGE_SCOPES: [&str; 2] = ["account", "group"];
/// The values of `grade` of an outage.
pub const OUTAGE_GRADES: [&str; 2] = ["major", "minor"];
/// The values of `usual` of an outage.
pub const OUTAGE_USUAL: [&str; 2] = ["false", "true"];
/// The values of `state` of the endpoints of an outage.
pub const OUTAGE_STATES: [&str; 2] = ["lost", "recovered"];
/// The values of `change` in `vobiz_registration_changes_total`.
pub(super) const REGISTRATION_CHANGES: [&str; 2] = ["lost", "gained"];
/// The values of `change` in `vobiz_endpoint_changes_total`.
pub(super) const ENDPOINT_CHANGES: [&str; 4] =
    ["added", "removed", "application", "application_removed"];
