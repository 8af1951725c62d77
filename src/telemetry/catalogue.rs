//! Every metric of the program in one table: name, type, labels and help text.
//!
//! Names, types and labels are a public interface. Code that writes a sample takes its name and type from
//! this table. A test compares the table with `docs/metrics.md`. A closed label has a fixed set of values,
//! which the module [`labels`](super::labels) lists.

use Kind::{Counter, Gauge, Histogram};
use Part::{Instruments, Judgement, Probe, Process, Snapshot, Walk};

use super::labels::{
    Capability, Condition, ConnectionOutcome, ENDPOINT_CHANGES, Field, OUTAGE_GRADES,
    OUTAGE_SCOPES, OUTAGE_STATES, OUTAGE_USUAL, Operation, PROBE_FAILURE_REASONS,
    REGISTRATION_CHANGES, REGISTRATIONS, Rejection, RereadReason, Route, ThrottleCause,
    WALK_FAILURE_REASONS, Watch,
};

/// The description of one metric family, without its samples.
#[derive(Debug)]
pub struct Family {
    /// The full name.
    pub name: &'static str,
    /// The type.
    pub kind: Kind,
    /// The source of the samples.
    pub part: Part,
    /// The label names. A sample lacks `username` if `metrics.username` is false or the API gives no username.
    /// A sample of a probe lacks `user_agent` if `metrics.groups` lacks `user_agent`.
    pub labels: &'static [&'static str],
    /// The help text: one line of plain text.
    pub help: &'static str,
}

/// The type of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A value that can rise and fall.
    Gauge,
    /// A value that only rises, from 0 at the start of the process. The name ends in `_total`.
    Counter,
    /// Counts of observations by upper bound.
    Histogram,
}

/// The source of the samples of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The snapshot of an account. The samples are withdrawn with the snapshot.
    Snapshot,
    /// The walks of an account. The samples are rendered for each new state, and stay after a withdrawal.
    Walk,
    /// The judgements about an account. The samples follow the wall clock, and stay after a withdrawal.
    Judgement,
    /// The registry of counters and histograms, and of gauges about the exporter.
    Instruments,
    /// The operating system. The exporter reads the values whenever it encodes its own metrics.
    Process,
    /// One request to `/probe`. The samples appear only in the response to that request.
    Probe,
}

impl Kind {
    /// The word after the name in a `# TYPE` line, in the Prometheus text format and in `OpenMetrics`.
    pub fn word(self) -> &'static str {
        match self {
            Gauge => "gauge",
            Counter => "counter",
            Histogram => "histogram",
        }
    }
}

impl Family {
    /// The name in `OpenMetrics` metadata: for a counter, the name without `_total`.
    pub fn base_name(&self) -> &'static str {
        match self.kind {
            Counter => self.name.strip_suffix("_total").unwrap_or(self.name),
            Gauge | Histogram => self.name,
        }
    }

    /// The unit at the end of the base name, such as `seconds`, if the name has a unit.
    pub fn unit(&self) -> Option<&'static str> {
        ["seconds", "bytes"].into_iter().find(|unit| {
            let stem = self.base_name().strip_suffix(unit);
            stem.is_some_and(|stem| stem.ends_with('_'))
        })
    }

    /// Whether the output of `--once` contains the family. The node exporter can serve this output. Then
    /// `process_*` samples of this program would look like samples of the node exporter.
    pub fn is_in_single_run(&self) -> bool {
        match self.part {
            // `--once` retrieves no details, so all details would stay pending.
            Walk if self.name == "vobiz_details_pending" => false,
            Snapshot | Walk | Judgement => true,
            Instruments => self.kind == Counter && !self.name.starts_with("vobiz_exporter_"),
            Process | Probe => false,
        }
    }
}

impl Metric {
    /// The description of the metric.
    pub fn family(self) -> &'static Family {
        &FAMILIES[self as usize]
    }

    /// The metric with this name.
    pub fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|metric| metric.family().name == name)
    }
}

/// All possible values of a label of this metric; `None` if the label has no fixed set of values.
pub fn closed_values(metric: Metric, label: &str) -> Option<&'static [&'static str]> {
    Some(match (metric, label) {
        (_, "registration") => &REGISTRATIONS,
        (_, "watch") => Watch::LABELS,
        (_, "scope") => &OUTAGE_SCOPES,
        (_, "grade") => &OUTAGE_GRADES,
        (_, "usual") => &OUTAGE_USUAL,
        (_, "state") => &OUTAGE_STATES,
        (_, "handler") => Route::LABELS,
        (_, "outcome") => ConnectionOutcome::LABELS,
        (_, "capability") => Capability::LABELS,
        (_, "condition") => Condition::LABELS,
        (_, "field") => Field::LABELS,
        (_, "operation") => Operation::LABELS,
        (_, "cause") => ThrottleCause::LABELS,
        (Metric::WalkRejectedRows, "reason") => Rejection::LABELS,
        (Metric::WalkFailures, "reason") => &WALK_FAILURE_REASONS,
        (Metric::WalkRereads, "reason") => RereadReason::LABELS,
        (Metric::ProbeFailure, "reason") => &PROBE_FAILURE_REASONS,
        (Metric::RegistrationChanges, "change") => &REGISTRATION_CHANGES,
        (Metric::EndpointChanges, "change") => &ENDPOINT_CHANGES,
        _ => return None,
    })
}

/// Defines [`Metric`] and its table from one list, so that the enum and the table cannot differ.
macro_rules! families {
    ($($metric:ident = $part:ident $kind:ident $name:literal $labels:expr, $help:literal;)+) => {
        /// A metric of the catalogue.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Metric {
            $(#[doc = concat!("`", $name, "`: ", $help)] $metric,)+
        }

        impl Metric {
            /// All metrics, in the order of an exposition.
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

families! {
    EndpointInfo = Snapshot Gauge "vobiz_endpoint_info"
        ["account", "endpoint_id", "username", "alias", "sub_account", "group", "watch"],
        "Always 1. alias and sub_account come from the list, group and watch from the configuration. Cached from the last scheduled walk.";
    EndpointRegistered = Snapshot Gauge "vobiz_endpoint_registered" ["account", "endpoint_id", "username"],
        "Whether sip_registered in the list is true (1) or false (0); no sample for any other value. Cached from the last scheduled walk.";
    EndpointRegistrationLost = Snapshot Gauge "vobiz_endpoint_registration_lost_timestamp_seconds" ["account", "endpoint_id", "username"],
        "Start of the first published walk that read sip_registered as false after it had been true; present only while it is false. Cached from a scheduled walk.";
    EndpointRegistrationExpiration = Snapshot Gauge "vobiz_endpoint_registration_expiration_timestamp_seconds" ["account", "endpoint_id", "username"],
        "Expiry of the registration: sip_expires in the list, or sip_registration.expires in the endpoint's own record; present only while registered. Cached from the last scheduled walk or retrieval.";
    EndpointUserAgentInfo = Snapshot Gauge "vobiz_endpoint_user_agent_info" ["account", "endpoint_id", "username", "user_agent"],
        "Always 1; present if the user agent is known: sip_user_agent in the list, or sip_registration.user_agent in the endpoint's own record. Cached from the last scheduled walk or retrieval.";
    EndpointApplicationAssigned = Snapshot Gauge "vobiz_endpoint_application_assigned" ["account", "endpoint_id", "username"],
        "Whether application in the list names an application (1) or is empty (0). No sample if its value is unreadable. Cached from the last scheduled walk.";
    EndpointApplicationInfo = Snapshot Gauge "vobiz_endpoint_application_info" ["account", "endpoint_id", "username", "application_id"],
        "Always 1, for every endpoint; application_id is the id from application in the list, empty for none. Cached from the last scheduled walk.";
    EndpointDetailTimestamp = Snapshot Gauge "vobiz_endpoint_detail_timestamp_seconds" ["account", "endpoint_id", "username"],
        "Time of the last retrieval of the endpoint's own record, which has fields that the list lacks; present after a retrieval. Cached from that retrieval.";
    EndpointCreated = Snapshot Gauge "vobiz_endpoint_created_timestamp_seconds" ["account", "endpoint_id", "username"],
        "created_at in the list. Cached from the last scheduled walk. Metrics group timestamps.";
    EndpointUpdated = Snapshot Gauge "vobiz_endpoint_updated_timestamp_seconds" ["account", "endpoint_id", "username"],
        "updated_at in the list. Cached from the last scheduled walk. Metrics group timestamps.";
    EndpointAllowed = Snapshot Gauge "vobiz_endpoint_allowed" ["account", "endpoint_id", "username", "capability"],
        "Whether the list allows the capability (1) or not (0): one sample for each allow_* field in the list. Cached from the last scheduled walk. Metrics group permissions.";
    EndpointContactInfo = Snapshot Gauge "vobiz_endpoint_contact_info" ["account", "endpoint_id", "username", "contact", "received"],
        "Always 1; contact is the device's address in sip_contact, received its address in sip_registration.received, from the list or the endpoint's own record. Cached from the last scheduled walk or retrieval. Metrics group contact.";

    Endpoints = Snapshot Gauge "vobiz_endpoints" ["account", "registration"],
        "Endpoints by sip_registered in the list; the three samples add up to all endpoints shown. Cached from the last scheduled walk.";
    ApplicationEndpoints = Snapshot Gauge "vobiz_application_endpoints" ["account", "application_id", "registration"],
        "Endpoints by application and sip_registered in the list; the empty id counts endpoints without an application. Cached from the last scheduled walk.";
    ApplicationInfo = Snapshot Gauge "vobiz_application_info" ["account", "application_id", "application_name"],
        "Always 1; the name is application.app_name in any row, else the name in the configuration, else empty. Cached from the last scheduled walk.";
    GroupEndpoints = Snapshot Gauge "vobiz_group_endpoints" ["account", "group", "registration"],
        "Endpoints by configured group and by sip_registered in the list; the empty group counts endpoints that match no group. Cached from the last scheduled walk.";
    GroupMinRegistered = Snapshot Gauge "vobiz_group_min_registered_endpoints" ["account", "group"],
        "Least number of registered endpoints while the group is on duty; a percentage is of its endpoints and missing members. No sample without min_registered. Cached from the last scheduled walk.";
    GroupMissingMembers = Snapshot Gauge "vobiz_group_missing_members" ["account", "group"],
        "Endpoint ids and usernames in the group's lists that no endpoint has; no sample for a group without lists. Cached from the last scheduled walk.";
    SubAccountEndpoints = Snapshot Gauge "vobiz_sub_account_endpoints" ["account", "sub_account", "registration"],
        "Endpoints by sub_account and sip_registered in the list; the empty value is the main account. Cached from the last scheduled walk.";

    Up = Walk Gauge "vobiz_up" ["account"],
        "Whether the last finished walk of the endpoint list succeeded (1) or failed (0); 0 also while all data is withdrawn; no sample before the end of the first walk.";
    DataWithdrawn = Walk Gauge "vobiz_data_withdrawn" ["account"],
        "Whether all data of the endpoint list is withdrawn (1) because the last published walk is too old.";
    AccountCondition = Walk Gauge "vobiz_account_condition" ["account", "condition"],
        "Whether this is the present condition of the account (1) or not (0); exactly one sample of an account is 1.";
    EndpointMissed = Judgement Gauge "vobiz_endpoint_missed_timestamp_seconds" ["account", "endpoint_id", "username", "group", "watch"],
        "Since when the endpoint is missed: its group is on duty, and it is not registered although it was or is paged. Username, group and watch are those at the loss.";
    GroupBelowMinimum = Judgement Gauge "vobiz_group_below_minimum_timestamp_seconds" ["account", "group", "watch"],
        "Since when the group on duty has fewer registered endpoints than min_registered, or no endpoint although it is paged.";
    EndpointFlapping = Judgement Gauge "vobiz_endpoint_flapping" ["account", "endpoint_id", "username", "group", "watch"],
        "Changes of the registration within the last hour, while the endpoint flaps: from at least 6 changes within an hour until fewer than 3.";
    OutageStart = Judgement Gauge "vobiz_outage_start_timestamp_seconds" ["account", "scope", "group", "slot", "grade", "usual"],
        "First loss of an open outage: many endpoints of a group, or of the account, lost their registrations together.";
    OutageEndpoints = Judgement Gauge "vobiz_outage_endpoints" ["account", "scope", "group", "slot", "grade", "usual", "state"],
        "Endpoints of an open outage that are lost, and that are recovered: registered again or no longer listed.";
    OutageGroupEndpoints = Judgement Gauge "vobiz_outage_group_endpoints" ["account", "slot", "group", "state"],
        "Endpoints of an open outage of the account by group.";
    GroupOnDuty = Judgement Gauge "vobiz_group_on_duty" ["account", "group"],
        "Whether the group is on duty now by duty and off_duty in the configuration (1) or not (0); 1 for a group without both.";
    WalkLastSuccess = Walk Gauge "vobiz_walk_last_success_timestamp_seconds" ["account"],
        "End of the last published walk; no sample before the first.";
    WalkLastDuration = Walk Gauge "vobiz_walk_last_duration_seconds" ["account"],
        "Duration of the last published walk.";
    WalkPages = Walk Gauge "vobiz_walk_pages" ["account"],
        "Pages that the last published walk received, including pages read again.";
    WalkReportedEndpoints = Walk Gauge "vobiz_walk_reported_endpoints" ["account"],
        "meta.total_count of the list in the last published walk; no sample if the list has none.";
    WalkMissingEndpoints = Walk Gauge "vobiz_walk_missing_endpoints" ["account"],
        "Endpoints that meta.total_count counts and the last published walk did not find; 0 for a complete walk.";
    WalkRetainedEndpoints = Walk Gauge "vobiz_walk_retained_endpoints" ["account"],
        "Endpoints that keep their last values because the last published walk was incomplete or rejected rows.";
    WalkConfirming = Walk Gauge "vobiz_walk_confirming" ["account"],
        "Whether a walk changed so much that its publication waits for a later walk that agrees.";
    WalkRejectedRows = Walk Gauge "vobiz_walk_rejected_rows" ["account", "reason"],
        "Rows of the last published walk that are unreadable, or repeat an endpoint in two successive walks.";
    WalkRejectedValues = Walk Gauge "vobiz_walk_rejected_values" ["account", "field"],
        "Values that the last published walk dropped or cut while it kept their row, by field of the list.";
    WalkAssumedValues = Walk Gauge "vobiz_walk_assumed_values" ["account", "field"],
        "Values that the last published walk read under an assumption (a time without a zone is UTC), by field of the list.";
    ApiClockOffset = Walk Gauge "vobiz_api_clock_offset_seconds" ["account"],
        "Date header of the last list page that has one, minus the exporter's clock; present after the first published walk.";
    DetailsPending = Walk Gauge "vobiz_details_pending" ["account"],
        "Registered endpoints whose own record is due for retrieval: it is missing or older than details.max_age; normally 0.";
    ExporterPollInterval = Walk Gauge "vobiz_exporter_poll_interval_seconds" ["account"],
        "Effective time between the starts of two walks.";
    ExporterMaxAge = Walk Gauge "vobiz_exporter_max_age_seconds" ["account"],
        "Effective age of the last published walk at which all data of the endpoint list is withdrawn.";
    ExporterSeries = Walk Gauge "vobiz_exporter_series" ["account"],
        "Series about the account's endpoints and walks, including this one, without counters and histograms.";

    Walks = Instruments Counter "vobiz_walks_total" ["account"],
        "Started walks of the endpoint list.";
    WalksSkipped = Instruments Counter "vobiz_walks_skipped_total" ["account"],
        "Scheduled walks that were skipped because the previous walk was still running.";
    WalkFailures = Instruments Counter "vobiz_walk_failures_total" ["account", "reason"],
        "Failed walks by reason; each failed walk has one reason.";
    WalkRereads = Instruments Counter "vobiz_walk_rereads_total" ["account", "reason"],
        "Parts of the list that a walk read again.";
    RegistrationChanges = Instruments Counter "vobiz_registration_changes_total" ["account", "change"],
        "Endpoints whose sip_registered became false (lost) or true (gained) between two published walks.";
    EndpointChanges = Instruments Counter "vobiz_endpoint_changes_total" ["account", "change"],
        "Endpoints that were added, were removed, changed their application, or lost it, between two published walks.";
    ApiRequests = Instruments Counter "vobiz_api_requests_total" ["account", "operation", "code"],
        "Request attempts to the API by status code; the code is error for an attempt without a complete response.";
    ApiRequestDuration = Instruments Histogram "vobiz_api_request_duration_seconds" ["account", "operation"],
        "Duration of request attempts to the API.";
    ApiRetries = Instruments Counter "vobiz_api_retries_total" ["account", "operation"],
        "Requests for pages that repeated a failed request.";
    ApiThrottle = Instruments Counter "vobiz_api_throttle_seconds_total" ["account", "cause"],
        "Time that requests waited for the exporter's limits on requests or for the end of a pause that the API asked for.";
    DetailDisagreements = Instruments Counter "vobiz_detail_disagreements_total" ["account"],
        "Retrieved records that were dropped because their sip_registered contradicts the list.";
    TokenReadFailures = Instruments Counter "vobiz_token_read_failures_total" ["account"],
        "Failed reads of the token file before a walk; the previous token stays in use.";
    ExporterBuildInfo = Instruments Gauge "vobiz_exporter_build_info" ["version", "revision", "rustversion"],
        "Always 1; the version, the source revision and the compiler of this program.";
    ExporterReloadSuccessful = Instruments Gauge "vobiz_exporter_config_last_reload_successful" [],
        "Whether the last load of the configuration succeeded (1) or was refused and the earlier configuration is in force (0).";
    ExporterReloadSuccess = Instruments Gauge "vobiz_exporter_config_last_reload_success_timestamp_seconds" [],
        "Time of the last successful load of the configuration.";
    WebConfigReloadSuccessful = Instruments Gauge "vobiz_exporter_web_config_last_reload_successful" [],
        "Whether the files of the web configuration are valid (1) or the settings of earlier files are in force (0); no sample without --web.config.file.";
    WebConfigReloadSuccess = Instruments Gauge "vobiz_exporter_web_config_last_reload_success_timestamp_seconds" [],
        "Time of the last successful load of the web configuration; no sample without --web.config.file.";
    ExporterHttpRequests = Instruments Counter "vobiz_exporter_http_requests_total" ["handler", "code"],
        "Requests that the exporter's HTTP server answered.";
    ExporterHttpConnections = Instruments Counter "vobiz_exporter_http_connections_total" ["outcome"],
        "Connections to the exporter's HTTP server that have ended, by the reason of their end.";

    StateLastWrite = Instruments Gauge "vobiz_exporter_state_last_write_timestamp_seconds" [],
        "Time of the last successful write to the state database; no sample before the first, or without state.directory.";
    StateWriteFailures = Instruments Counter "vobiz_exporter_state_write_failures_total" [],
        "States of an account that were not saved in time, and starts that could only read the state, because the disk failed or took longer than 2 s; no sample without state.directory.";
    StateLoadFailures = Instruments Counter "vobiz_exporter_state_load_failures_total" [],
        "State databases that could not be loaded: damaged and set aside, unreadable, or no answer within 2 s; no sample without state.directory.";
    StateBytes = Instruments Gauge "vobiz_exporter_state_bytes" [],
        "Size of the state database with its write-ahead log after the last write; no sample before the first, or without state.directory.";

    ProcessCpu = Process Counter "process_cpu_seconds_total" [],
        "User and system CPU time of the process.";
    ProcessOpenFds = Process Gauge "process_open_fds" [],
        "Open file descriptors of the process.";
    ProcessMaxFds = Process Gauge "process_max_fds" [],
        "Limit of open file descriptors.";
    ProcessVirtualMemory = Process Gauge "process_virtual_memory_bytes" [],
        "Virtual memory of the process.";
    ProcessVirtualMemoryMax = Process Gauge "process_virtual_memory_max_bytes" [],
        "Limit of virtual memory; no sample without a limit.";
    ProcessResidentMemory = Process Gauge "process_resident_memory_bytes" [],
        "Resident memory of the process.";
    ProcessStartTime = Process Gauge "process_start_time_seconds" [],
        "Start time of the process.";
    ProcessThreads = Process Gauge "process_threads" [],
        "Threads of the process.";

    ProbeSuccess = Probe Gauge "probe_success" [],
        "Whether this probe received a valid record of the endpoint from the API, registered or not.";
    ProbeDuration = Probe Gauge "probe_duration_seconds" [],
        "Duration of this probe, including the wait for the rate limiter.";
    ProbeHttpStatusCode = Probe Gauge "vobiz_probe_http_status_code" [],
        "Status code of the API's response to the retrieval; no sample without a response.";
    ProbeEndpointRegistered = Probe Gauge "vobiz_probe_endpoint_registered" [],
        "Whether sip_registered in the endpoint's own record is true (1) or false (0); no sample for any other value or without a record. Retrieved by this probe.";
    ProbeRegistrationExpiration = Probe Gauge "vobiz_probe_registration_expiration_timestamp_seconds" [],
        "Expiry of the registration: sip_expires or sip_registration.expires in the endpoint's own record; present only while registered. Retrieved by this probe.";
    ProbeEndpointInfo = Probe Gauge "vobiz_probe_endpoint_info"
        ["account", "endpoint_id", "username", "alias", "sub_account", "application_id", "user_agent"],
        "Always 1; names from the endpoint's own record. Retrieved by this probe.";
    ProbeFailure = Probe Gauge "vobiz_probe_failure" ["reason"],
        "Whether the probe failed for this reason (1); 0 for every reason after a success.";
}
