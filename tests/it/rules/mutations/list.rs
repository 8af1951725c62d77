//! Ways of getting the rules wrong, each with the case that notices.

/// A way of getting the rules wrong, and the case that notices.
pub struct Mutation {
    pub what: &'static str,
    /// What stands in the rules, at least once; all of it is replaced.
    pub from: &'static str,
    pub to: &'static str,
    pub file: &'static str,
    pub case: &'static str,
}

const fn mutation(
    what: &'static str,
    [from, to]: [&'static str; 2],
    [file, case]: [&'static str; 2],
) -> Mutation {
    Mutation {
        what,
        from,
        to,
        file,
        case,
    }
}

const LOST: &str = "one endpoint of each importance is lost";
const RENAMED: &str = "an endpoint is renamed while it is lost";
const UNKNOWN: &str = "states are not known any more";
const SHIFT: &str = "a shift ends as it did last week";

pub const MUTATIONS: &[Mutation] = &[
    mutation(
        "an endpoint's alert is guarded by vobiz_up",
        [
            r#"newest{watch="page"} > bool 0)"#,
            r#"newest{watch="page"} > bool 0) and on (job, account) vobiz_up == 1"#,
        ],
        [
            "endpoints",
            "one walk in five fails while an endpoint is lost",
        ],
    ),
    mutation(
        "the fleet's alert is guarded by vobiz_up",
        [
            "high_water >= 10)",
            "high_water >= 10) and on (job, account) vobiz_up == 1",
        ],
        [
            "fleet",
            "one walk in five fails while a part of the fleet is away",
        ],
    ),
    mutation(
        "a loss of any length is told",
        ["> 5 * 60)\n            >", "> 0 * 60)\n            >"],
        ["endpoints", "an endpoint is away for four minutes"],
    ),
    mutation(
        "exactly five minutes are longer than five minutes",
        ["> 5 * 60)\n            >", ">= 5 * 60)\n            >"],
        ["endpoints", LOST],
    ),
    mutation(
        "a return of three minutes resolves",
        [
            "(max_over_time(job_account_endpoint:vobiz_endpoint_lost:age_seconds[10m]) > 5 * 60)",
            "(job_account_endpoint:vobiz_endpoint_lost:age_seconds > 5 * 60)",
        ],
        [
            "endpoints",
            "an endpoint returns for three minutes and is lost again",
        ],
    ),
    mutation(
        "an alert whose labels can change is kept firing under the old ones",
        [
            "labels: {severity: critical, scope: endpoint}",
            "keep_firing_for: 10m\n        labels: {severity: critical, scope: endpoint}",
        ],
        ["endpoints", RENAMED],
    ),
    mutation(
        "an endpoint has every name that it ever had",
        [
            "topk by (job, account, endpoint_id) (1,",
            "sum without () (",
        ],
        ["endpoints", RENAMED],
    ),
    mutation(
        "every replica speaks for the account",
        ["topk by (job, account) (1,", "sum without () ("],
        ["fleet", "one of two replicas is taken away"],
    ),
    mutation(
        "a new pod forgets what the old one saw",
        [
            "last_over_time(job_account_endpoint:vobiz_endpoint_registered_timestamp_seconds:max[1h])",
            "vobiz_endpoint_registration_lost_timestamp_seconds",
        ],
        ["endpoints", "the pod is replaced while an endpoint is lost"],
    ),
    mutation(
        "a loss that no exporter saw is none",
        [
            "(vobiz_endpoint_registered == 1)",
            "(vobiz_endpoint_registered == 2)",
        ],
        [
            "endpoints",
            "an endpoint is lost while the exporter is replaced",
        ],
    ),
    mutation(
        "an endpoint that never registered is lost",
        [
            "(vobiz_endpoint_registered == 1)",
            "(vobiz_endpoint_registered >= 0)",
        ],
        ["endpoints", LOST],
    ),
    mutation(
        "what is ignored is told",
        [
            r#"{watch="notice"} > bool 0"#,
            r#"{watch!="page"} > bool 0"#,
        ],
        ["endpoints", LOST],
    ),
    mutation(
        "what is ignored counts for the fleet",
        [r#"{watch!="ignore"}"#, ""],
        ["fleet", "what is ignored drops"],
    ),
    mutation(
        "the text prefers the username to the alias",
        [
            "or $labels.alias $labels.username",
            "or $labels.username $labels.alias",
        ],
        ["endpoints", LOST],
    ),
    mutation(
        "a list that owes endpoints proves that they are gone",
        [
            "(vobiz_walk_missing_endpoints +",
            "(vobiz_walk_missing_endpoints * 0 +",
        ],
        ["endpoints", "an endpoint is not in a list that is short"],
    ),
    mutation(
        "an expiry is judged against the present",
        [
            "(vobiz_walk_last_success_timestamp_seconds - vobiz_walk_last_duration_seconds)",
            "(vobiz_walk_last_success_timestamp_seconds * 0 + time())",
        ],
        [
            "endpoints",
            "walks fail, and expiries pass that nobody could have read anew",
        ],
    ),
    mutation(
        "an expiry of an endpoint's own record is judged against the walk",
        [
            "vobiz_endpoint_detail_timestamp_seconds\n                or on (job, instance, account, endpoint_id)\n",
            "",
        ],
        ["endpoints", "a registration is overdue when it is read"],
    ),
    mutation(
        "one unknown state of twenty is too many",
        ["> 0.05", ">= 0.05"],
        ["endpoints", UNKNOWN],
    ),
    mutation(
        "an unknown state is a loss for the fleet",
        [
            "vobiz_endpoint_info\n                and on",
            "vobiz_endpoint_info * 0\n                and on",
        ],
        ["fleet", UNKNOWN],
    ),
    mutation(
        "a long outage becomes the measure of itself",
        [
            "< 0.75 * last_over_time(job_account_scope:vobiz_endpoint_registered:high_water[1h])",
            "< 0 * last_over_time(job_account_scope:vobiz_endpoint_registered:high_water[1h])",
        ],
        ["fleet", "an outage outlasts the look-back of four hours"],
    ),
    mutation(
        "exactly three quarters are less than three quarters",
        ["< 0.75 *", "<= 0.75 *"],
        ["fleet", "exactly a quarter of the fleet drops"],
    ),
    mutation(
        "two of three are a fleet",
        ["high_water >= 10", "high_water >= 1"],
        ["fleet", "most of a small fleet drops"],
    ),
    mutation(
        "what is deleted is lost",
        [
            "last_over_time(job_account_scope:vobiz_endpoint_info:count[5m])",
            "1e9",
        ],
        ["fleet", "half of the fleet is deleted"],
    ),
    mutation(
        "a fleet drops at once",
        [
            "max_over_time(job_account_scope:vobiz_endpoint_registered:sum[5m])",
            "job_account_scope:vobiz_endpoint_registered:sum",
        ],
        ["fleet", "a third of the fleet drops"],
    ),
    mutation(
        "an account that was always empty has become empty",
        ["endpoints:sum[1d]) > 0", "endpoints:sum[1d]) >= 0"],
        ["fleet", "an account has no endpoints and never had any"],
    ),
    mutation(
        "exactly a tenth is more than a tenth",
        ["< 0.9 * (max_over_time", "<= 0.9 * (max_over_time"],
        ["fleet", "a page of the list is lost"],
    ),
    mutation(
        "the fleet does not know last week",
        [
            ">= 0.9 * job_account_scope:vobiz_endpoint_registered:min1h_usual",
            ">= 1e9 + job_account_scope:vobiz_endpoint_registered:min1h_usual",
        ],
        ["week", SHIFT],
    ),
    mutation(
        "an endpoint does not know last week",
        [
            "last_over_time(job_account_endpoint:vobiz_endpoint_lost:as_usual[15m])",
            "(job_account_endpoint:vobiz_endpoint_lost:as_usual > 1e9)",
        ],
        ["week", SHIFT],
    ),
    mutation(
        "a loss that is a week old is usual",
        ["age_seconds < 72 * 3600", "age_seconds < 7200 * 3600"],
        ["week", "an endpoint never comes back"],
    ),
    mutation(
        "blindness is told twice",
        [
            "          or on (job, account)\n          label_replace",
            "          or\n          label_replace",
        ],
        ["walks", "walks fail until the data is withdrawn"],
    ),
    mutation(
        "a restart forgets the last good walk",
        [
            "max_over_time(vobiz_walk_last_success_timestamp_seconds[1h])",
            "vobiz_walk_last_success_timestamp_seconds",
        ],
        ["walks", "the exporter is replaced while the vendor is away"],
    ),
    mutation(
        "three minutes are old, whatever the interval is",
        [
            "(3 * job_account:vobiz_exporter_poll_interval_seconds:max1h)",
            "(3 * 60 + 0 * job_account:vobiz_exporter_poll_interval_seconds:max1h)",
        ],
        ["walks", "walks are rare and each is refused"],
    ),
    mutation(
        "one refusal is a revoked token",
        ["[15m])) >= 2", "[15m])) >= 1"],
        ["walks", "one refusal among other failures is none"],
    ),
    mutation(
        "a walk that fails now and then is an alert",
        ["0.3", "0.1"],
        ["walks", "one walk in five fails"],
    ),
    mutation(
        "a Prometheus that was just started misses the target",
        [") >= 5\n        labels", ") >= 1\n        labels"],
        ["target", "no target was ever found"],
    ),
    mutation(
        "one replica is the whole job",
        [
            "max by (job) (max_over_time(job_instance:vobiz_exporter:up[5m])) == 0",
            "min by (job) (max_over_time(job_instance:vobiz_exporter:up[5m])) == 0",
        ],
        ["target", "one of two replicas does not answer"],
    ),
    mutation(
        "a scrape that fails once is a target that is down",
        [
            "max by (job) (max_over_time(job_instance:vobiz_exporter:up[5m])) == 0",
            "max by (job) (job_instance:vobiz_exporter:up) == 0",
        ],
        [
            "target",
            "the exporter restarts; the first scrape of the new process comes too early",
        ],
    ),
    mutation(
        "a replica that is seen again was started",
        [
            "last_over_time(job:vobiz_exporter_start_time_seconds:max[1h])",
            "job:vobiz_exporter_start_time_seconds:max < 0",
        ],
        ["target", "two scrapes of the younger of two replicas fail"],
    ),
    mutation(
        "two refusals in an hour are a revoked token",
        ["< on (job, account) (2.5 *", "< on (job, account) (0 *"],
        ["walks", "walks are rare and one in a while is refused"],
    ),
    mutation(
        "a scrape that fails ends the alert about an account that is never read",
        [
            "poll_interval_seconds:max[12m]) >= 10",
            "poll_interval_seconds:max[10m]) >= 10",
        ],
        [
            "walks",
            "no walk has ever succeeded, and a scrape fails now and then",
        ],
    ),
    mutation(
        "an alert about walks that fail comes and goes",
        [
            "last_over_time(job_account:vobiz_walk_failures:ratio_increase1h[10m])",
            "job_account:vobiz_walk_failures:ratio_increase1h",
        ],
        ["walks", "walks are rare and two in five fail"],
    ),
    mutation(
        "ten ticks an hour are few, whatever the interval is",
        [
            "> on (job, account) (0.2 * sum by",
            "> on (job, account) (20 * sum by",
        ],
        [
            "walks",
            "half of the ticks are skipped where walks are rare",
        ],
    ),
    mutation(
        "an expiry of a row that is held is judged against the newest walk",
        [
            "vobiz_walk_held_endpoints > 0\n                  )",
            "vobiz_walk_held_endpoints > 1e9\n                  )",
        ],
        ["endpoints", "a page with short registrations is held"],
    ),
    mutation(
        "an outage of a day is usual",
        [
            "< 0.9 * max_over_time(job_account_scope:vobiz_endpoint_registered:sum[22h])",
            "< 1e9 + max_over_time(job_account_scope:vobiz_endpoint_registered:sum[22h])",
        ],
        ["week", "an outage of the first week outlasts a day"],
    ),
    mutation(
        "a replica that has nothing to tell speaks",
        ["vobiz_data_withdrawn == 1", "vobiz_data_withdrawn == 2"],
        [
            "endpoints",
            "a replica whose clock is ahead reads nothing any more",
        ],
    ),
];
