//! The list itself, in the order in which families stand in an exposition.

use super::{
    Family,
    Kind::{Counter, Gauge, Histogram},
    Part::{Instruments, Probe, Process, Snapshot, Walk},
};

/// Writes the enum and its table from one list, so that neither can lack what the other has.
macro_rules! families {
    ($($metric:ident = $part:ident $kind:ident $name:literal $labels:expr, $help:literal;)+) => {
        /// A metric of the catalogue.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Metric {
            $(#[doc = concat!("`", $name, "`: ", $help)] $metric,)+
        }

        impl Metric {
            /// All of them, in the order in which they stand in an exposition.
            pub const ALL: &[Self] = &[$(Self::$metric,)+];
        }

        static FAMILIES: &[Family] = &[$(Family {
            name: $name,
            kind: $kind,
            part: $part,
            labels: &$labels,
            help: $help,
        },)+];
    };
}

impl Metric {
    /// What is written about it.
    pub fn family(self) -> &'static Family {
        &FAMILIES[self as usize]
    }

    /// The metric of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|metric| metric.family().name == name)
    }
}

families! {
    EndpointInfo = Snapshot Gauge "vobiz_endpoint_info"
        ["account", "endpoint_id", "username", "alias", "sub_account", "group", "watch"],
        "Always 1; the list's alias and sub_account, and the operator's own group and its importance. Cached from the last scheduled walk.";
    EndpointRegistered = Snapshot Gauge "vobiz_endpoint_registered"
        ["account", "endpoint_id", "username"],
        "Whether the list's sip_registered is true (1) or false (0); no sample when it is neither. Cached from the last scheduled walk.";
    EndpointRegistrationLost = Snapshot Gauge "vobiz_endpoint_registration_lost_timestamp_seconds"
        ["account", "endpoint_id", "username"],
        "Start of the first published walk that found sip_registered false after it had been true; only while it is false. Cached from a scheduled walk.";
    EndpointRegistrationExpiration = Snapshot Gauge "vobiz_endpoint_registration_expiration_timestamp_seconds"
        ["account", "endpoint_id", "username"],
        "When the registration runs out: the list's sip_expires, or sip_registration.expires of the endpoint's own record; only while registered. Cached from the last scheduled walk or retrieval.";
    EndpointUserAgentInfo = Snapshot Gauge "vobiz_endpoint_user_agent_info"
        ["account", "endpoint_id", "username", "user_agent"],
        "Always 1; the client's name from the list's sip_user_agent, or sip_registration.user_agent of the endpoint's own record, where known. Cached from the last scheduled walk or retrieval.";
    EndpointApplicationAssigned = Snapshot Gauge "vobiz_endpoint_application_assigned"
        ["account", "endpoint_id", "username"],
        "Whether the list's application names one (1) or is empty (0). Cached from the last scheduled walk.";
    EndpointApplicationInfo = Snapshot Gauge "vobiz_endpoint_application_info"
        ["account", "endpoint_id", "username", "application_id"],
        "Always 1, for every endpoint; the id from the list's application, empty for none. Cached from the last scheduled walk.";
    EndpointDetailTimestamp = Snapshot Gauge "vobiz_endpoint_detail_timestamp_seconds"
        ["account", "endpoint_id", "username"],
        "When the endpoint's own record was last retrieved, for what the list does not say; only where it was. Cached from that retrieval.";
    EndpointCreated = Snapshot Gauge "vobiz_endpoint_created_timestamp_seconds"
        ["account", "endpoint_id", "username"],
        "The list's created_at. Cached from the last scheduled walk. Group timestamps.";
    EndpointUpdated = Snapshot Gauge "vobiz_endpoint_updated_timestamp_seconds"
        ["account", "endpoint_id", "username"],
        "The list's updated_at. Cached from the last scheduled walk. Group timestamps.";
    EndpointAllowed = Snapshot Gauge "vobiz_endpoint_allowed"
        ["account", "endpoint_id", "username", "capability"],
        "The list's allow_* switches, one sample for each capability that is given. Cached from the last scheduled walk. Group permissions.";
    EndpointContactInfo = Snapshot Gauge "vobiz_endpoint_contact_info"
        ["account", "endpoint_id", "username", "contact", "received"],
        "Always 1; the device's address from sip_contact and as the registrar saw it from sip_registration.received, of the list or of the endpoint's own record. Cached from the last scheduled walk or retrieval. Group contact.";

    Endpoints = Snapshot Gauge "vobiz_endpoints"
        ["account", "registration"],
        "Endpoints by the list's sip_registered; the three samples add up to all endpoints shown. Cached from the last scheduled walk.";
    ApplicationEndpoints = Snapshot Gauge "vobiz_application_endpoints"
        ["account", "application_id", "registration"],
        "Endpoints by the list's application and sip_registered; the empty id is for those without one. Cached from the last scheduled walk.";
    ApplicationInfo = Snapshot Gauge "vobiz_application_info"
        ["account", "application_id", "application_name"],
        "Always 1; the name from any row's application.app_name, else from the configuration, else empty. Cached from the last scheduled walk.";
    GroupEndpoints = Snapshot Gauge "vobiz_group_endpoints"
        ["account", "group", "registration"],
        "Endpoints by the operator's own group and the list's sip_registered; the empty group is for those that none matched. Cached from the last scheduled walk.";
    SubAccountEndpoints = Snapshot Gauge "vobiz_sub_account_endpoints"
        ["account", "sub_account", "registration"],
        "Endpoints by the list's sub_account and sip_registered; the empty one is the main account. Cached from the last scheduled walk.";

    Up = Walk Gauge "vobiz_up"
        ["account"],
        "Whether the last finished walk of the endpoint list succeeded; no sample until the first has finished.";
    DataWithdrawn = Walk Gauge "vobiz_data_withdrawn"
        ["account"],
        "Whether everything read from the endpoint list is withheld because the last good walk is too long ago.";
    WalkLastSuccess = Walk Gauge "vobiz_walk_last_success_timestamp_seconds"
        ["account"],
        "End of the last published walk; no sample before the first.";
    WalkLastDuration = Walk Gauge "vobiz_walk_last_duration_seconds"
        ["account"],
        "How long the last good walk took.";
    WalkPages = Walk Gauge "vobiz_walk_pages"
        ["account"],
        "Pages that the last good walk received, those that were read again included.";
    WalkReportedEndpoints = Walk Gauge "vobiz_walk_reported_endpoints"
        ["account"],
        "The list's meta.total_count in the last good walk; no sample where it gave none.";
    WalkMissingEndpoints = Walk Gauge "vobiz_walk_missing_endpoints"
        ["account"],
        "Endpoints that meta.total_count promises and the last good walk did not find; 0 when the walk is complete.";
    WalkRetainedEndpoints = Walk Gauge "vobiz_walk_retained_endpoints"
        ["account"],
        "Endpoints shown with their last values because the last good walk was incomplete or had rows that gave no endpoint.";
    WalkConfirming = Walk Gauge "vobiz_walk_confirming"
        ["account"],
        "Whether a walk changed so much that it is published only when a later walk agrees.";
    WalkRejectedRows = Walk Gauge "vobiz_walk_rejected_rows"
        ["account", "reason"],
        "Rows of the last good walk that gave no endpoint.";
    WalkRejectedValues = Walk Gauge "vobiz_walk_rejected_values"
        ["account", "field"],
        "Values of the last good walk that were dropped or cut while their row was kept, by field of the list.";
    WalkAssumedValues = Walk Gauge "vobiz_walk_assumed_values"
        ["account", "field"],
        "Values of the last good walk that were read under an assumption (a time without zone taken as UTC), by field of the list.";
    ApiClockOffset = Walk Gauge "vobiz_api_clock_offset_seconds"
        ["account"],
        "The Date header of the last list page that had one minus the exporter's clock; known from the first good walk on.";
    DetailsPending = Walk Gauge "vobiz_details_pending"
        ["account"],
        "Registered endpoints whose own record is wanted and is missing or older than details.max_age; rests at 0.";
    ExporterPollInterval = Walk Gauge "vobiz_exporter_poll_interval_seconds"
        ["account"],
        "Effective time between the starts of two walks.";
    ExporterMaxAge = Walk Gauge "vobiz_exporter_max_age_seconds"
        ["account"],
        "Effective time after the last good walk at which everything read from the endpoint list is withheld.";
    ExporterSeries = Walk Gauge "vobiz_exporter_series"
        ["account"],
        "Series shown about the account's endpoints and walks, this one included, counters and histograms not.";

    Walks = Instruments Counter "vobiz_walks_total"
        ["account"],
        "Walks of the endpoint list that were started.";
    WalksSkipped = Instruments Counter "vobiz_walks_skipped_total"
        ["account"],
        "Ticks of the schedule that were skipped because a walk was still running.";
    WalkFailures = Instruments Counter "vobiz_walk_failures_total"
        ["account", "reason"],
        "Walks that failed, by the one reason that counts.";
    WalkRereads = Instruments Counter "vobiz_walk_rereads_total"
        ["account", "reason"],
        "Parts of the list that a walk read again.";
    RegistrationChanges = Instruments Counter "vobiz_registration_changes_total"
        ["account", "change"],
        "Endpoints whose sip_registered became false (lost) or true (gained) from one published walk to the next.";
    EndpointChanges = Instruments Counter "vobiz_endpoint_changes_total"
        ["account", "change"],
        "Endpoints that came, went, or got another application from one published walk to the next.";
    ApiRequests = Instruments Counter "vobiz_api_requests_total"
        ["account", "operation", "code"],
        "Attempts of requests to the API by status code, or error where no answer came.";
    ApiRequestDuration = Instruments Histogram "vobiz_api_request_duration_seconds"
        ["account", "operation"],
        "How long attempts of requests to the API took.";
    ApiRetries = Instruments Counter "vobiz_api_retries_total"
        ["account", "operation"],
        "Attempts that repeated a failed one.";
    ApiThrottle = Instruments Counter "vobiz_api_throttle_seconds_total"
        ["account", "cause"],
        "Time that requests waited for our own rate limiter or for the vendor's Retry-After.";
    DetailDisagreements = Instruments Counter "vobiz_detail_disagreements_total"
        ["account"],
        "Retrieved records that were dropped because their sip_registered contradicts the list's.";
    TokenReadFailures = Instruments Counter "vobiz_token_read_failures_total"
        ["account"],
        "Times that the token's file could not be read before a walk and the old token stayed in use.";
    ExporterBuildInfo = Instruments Gauge "vobiz_exporter_build_info"
        ["version", "revision", "rustversion"],
        "Always 1; what this program was built from.";
    ExporterReloadSuccess = Instruments Gauge "vobiz_exporter_config_last_reload_success_timestamp_seconds"
        [],
        "When the configuration was last loaded with success.";
    ExporterHttpRequests = Instruments Counter "vobiz_exporter_http_requests_total"
        ["handler", "code"],
        "Requests that the exporter's own HTTP server answered.";

    ProcessCpu = Process Counter "process_cpu_seconds_total"
        [],
        "User and system time of the process.";
    ProcessOpenFds = Process Gauge "process_open_fds"
        [],
        "Open file descriptors.";
    ProcessMaxFds = Process Gauge "process_max_fds"
        [],
        "The limit of open file descriptors.";
    ProcessVirtualMemory = Process Gauge "process_virtual_memory_bytes"
        [],
        "Virtual memory.";
    ProcessVirtualMemoryMax = Process Gauge "process_virtual_memory_max_bytes"
        [],
        "The limit of virtual memory; no sample where there is none.";
    ProcessResidentMemory = Process Gauge "process_resident_memory_bytes"
        [],
        "Resident memory.";
    ProcessStartTime = Process Gauge "process_start_time_seconds"
        [],
        "When the process was started.";
    ProcessThreads = Process Gauge "process_threads"
        [],
        "Threads of the process.";

    ProbeSuccess = Probe Gauge "probe_success"
        [],
        "Whether the API gave a valid record of the endpoint, registered or not, while this was asked for.";
    ProbeDuration = Probe Gauge "probe_duration_seconds"
        [],
        "How long this probe took, waiting for its turn included.";
    ProbeHttpStatusCode = Probe Gauge "vobiz_probe_http_status_code"
        [],
        "Status of the API's answer to retrieving the endpoint; no sample when no answer came.";
    ProbeEndpointRegistered = Probe Gauge "vobiz_probe_endpoint_registered"
        [],
        "Whether sip_registered of the endpoint's own record is true (1) or false (0); no sample when it is neither or there is no record. Asked for by this probe.";
    ProbeRegistrationExpiration = Probe Gauge "vobiz_probe_registration_expiration_timestamp_seconds"
        [],
        "When the registration runs out: sip_expires or sip_registration.expires of the endpoint's own record; only while registered. Asked for by this probe.";
    ProbeEndpointInfo = Probe Gauge "vobiz_probe_endpoint_info"
        ["account", "endpoint_id", "username", "alias", "sub_account", "application_id", "user_agent"],
        "Always 1; names of the endpoint from its own record. Asked for by this probe.";
    ProbeFailure = Probe Gauge "vobiz_probe_failure"
        ["reason"],
        "Whether the probe failed for this reason; 0 for all of them when it succeeded.";
}
