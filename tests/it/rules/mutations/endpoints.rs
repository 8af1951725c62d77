//! Wrong rules about single endpoints.

use super::{Mutation, mutation};

const LOST: &str = "one endpoint of each importance is lost";
const RENAMED: &str = "an endpoint is renamed while it is lost";
const UNKNOWN: &str = "states are not known any more";
const MISSING_PAGE: &str = "a lost endpoint is on a page that the list lacks";
const BECOMES_UNKNOWN: &str = "the state of endpoints becomes unknown, of which one was lost";

pub const MUTATIONS: &[Mutation] = &[
    mutation(
        "an endpoint's alert is guarded by vobiz_up",
        [
            r#"newest{watch="page"}) > bool 0)"#,
            r#"newest{watch="page"}) > bool 0) and on (job, account) vobiz_up == 1"#,
        ],
        [
            "endpoints",
            "one walk in five fails while an endpoint is lost",
        ],
    ),
    mutation(
        "a loss of any length fires",
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
        "what is ignored fires",
        [
            r#"{watch="notice"}) > bool 0"#,
            r#"{watch!="page"}) > bool 0"#,
        ],
        ["endpoints", LOST],
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
        "a list that lacks endpoints proves that they are gone",
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
        "an expiry of a row that is held is judged against the newest walk",
        [
            "vobiz_walk_retained_endpoints > 0\n                  )",
            "vobiz_walk_retained_endpoints > 1e9\n                  )",
        ],
        ["endpoints", "a page with short registrations is retained"],
    ),
    mutation(
        "a replica that has nothing to tell speaks",
        ["vobiz_data_withdrawn == 1", "vobiz_data_withdrawn == 2"],
        [
            "endpoints",
            "a replica whose clock is ahead reads nothing any more",
        ],
    ),
    mutation(
        "what a list lacks is found again",
        [
            "vobiz_endpoint_lost_timestamp_seconds:max[1h])\n                >=",
            "vobiz_endpoint_lost_timestamp_seconds:max[1h])\n                >= 1e9 +",
        ],
        ["endpoints", MISSING_PAGE],
    ),
    mutation(
        "what a list lacks is forgotten after an hour",
        [
            "job_account:vobiz_exporter_poll_interval_seconds:max,\n            time()",
            "job_account:vobiz_exporter_poll_interval_seconds:max > 1e9,\n            time()",
        ],
        ["endpoints", MISSING_PAGE],
    ),
    mutation(
        "what is deleted from a list that always lacks rows stays lost",
        [
            "last_over_time(job_account:vobiz_walk_overlooked_endpoints:min1w[10m])",
            "last_over_time(job_account:vobiz_walk_overlooked_endpoints:min1w[10m]) * (time() < bool 30 * 60)",
        ],
        [
            "endpoints",
            "a lost endpoint is deleted from a list that always lacks two",
        ],
    ),
    mutation(
        "a loss ends when the state is unknown",
        [
            "unless on (job, account, endpoint_id) (\n                vobiz_endpoint_registered\n",
            "unless on (job, account, endpoint_id) (\n                vobiz_endpoint_info\n",
        ],
        ["endpoints", BECOMES_UNKNOWN],
    ),
    mutation(
        "an endpoint of unknown state is lost",
        [
            "last_over_time(job_account_endpoint:vobiz_endpoint_lost_timestamp_seconds:max[1h])\n                >=",
            "job_account_endpoint:vobiz_endpoint_registered_timestamp_seconds:max >=",
        ],
        ["endpoints", BECOMES_UNKNOWN],
    ),
    mutation(
        "a minute without anything ends an unknown state",
        [
            "last_over_time(job_account_endpoint:vobiz_endpoint_lost_timestamp_seconds:max[1h])",
            "job_account_endpoint:vobiz_endpoint_lost_timestamp_seconds:max",
        ],
        [
            "endpoints",
            "one scrape fails while the state of a lost endpoint is unknown",
        ],
    ),
    mutation(
        "names of before a restart of Prometheus are partners, too",
        [
            r#"(topk by (job, account, endpoint_id) (1, job_account_endpoint:vobiz_endpoint_info:newest{watch="page"}) > bool 0)"#,
            r#"(job_account_endpoint:vobiz_endpoint_info:newest{watch="page"} > bool 0)"#,
        ],
        ["endpoints", "Prometheus restarts while an alias changes"],
    ),
    mutation(
        "processes of one instance are partners",
        [
            "topk by (job, instance, account, application_id) (1, vobiz_application_info)",
            "vobiz_application_info",
        ],
        [
            "endpoints",
            "two processes are one instance for some minutes",
        ],
    ),
    mutation(
        "a loss in the future is remembered",
        [
            "(vobiz_endpoint_registration_lost_timestamp_seconds <= time())",
            "vobiz_endpoint_registration_lost_timestamp_seconds",
        ],
        [
            "endpoints",
            "an endpoint is lost by a clock that is ahead, and the pod is replaced on another host",
        ],
    ),
    mutation(
        "a row that was read twice was overlooked",
        [r#"{reason!="duplicate"}"#, ""],
        [
            "endpoints",
            "a row is there twice, and a lost endpoint is deleted",
        ],
    ),
    mutation(
        "every replica speaks for the account",
        ["topk by (job, account) (1,", "sum without () ("],
        [
            "endpoints",
            "two processes are one instance for some minutes",
        ],
    ),
];
