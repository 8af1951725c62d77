//! Wrong rules about all endpoints of an account or a group, and the comparison with last week.

use super::{Mutation, mutation};

const SHIFT: &str = "a shift ends as it did last week";

pub const MUTATIONS: &[Mutation] = &[
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
        "what is ignored counts for the fleet",
        [r#"{watch!="ignore"}"#, ""],
        ["fleet", "what is ignored drops"],
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
            r#"vobiz_endpoint_lost:count{within="5h"}[5m]"#,
            "vobiz_endpoint_registered:high_water[5m]",
        ],
        ["fleet", "half of the fleet is deleted"],
    ),
    mutation(
        "a fleet drops at once",
        [
            "sum[6h] offset 5m)\n            < 0.75 *",
            "sum[6h] offset 5m)\n            < 1e9 +",
        ],
        [
            "fleet",
            "after a gap of six minutes the first snapshot is low",
        ],
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
        "an outage of a day is usual",
        [
            "< 0.9 * max_over_time(job_account_scope:vobiz_endpoint_registered:sum[22h])",
            "< 1e9 + max_over_time(job_account_scope:vobiz_endpoint_registered:sum[22h])",
        ],
        ["week", "an outage of the first week outlasts a day"],
    ),
    mutation(
        "who is lost in a shift is not missed in the next",
        [
            "dropped_timestamp_seconds > time() - 72 * 3600",
            "dropped_timestamp_seconds > time() + 1e9",
        ],
        ["shifts", "outages meet the end of a shift"],
    ),
    mutation(
        "an unknown state is a loss for the fleet",
        [
            "group by (job, account, endpoint_id) (",
            "0 * group by (job, account, endpoint_id) (",
        ],
        [
            "fleet",
            "the states of half of the fleet are unknown, and two are lost",
        ],
    ),
    mutation(
        "an outage is forgotten in an hour without a list",
        [
            "vobiz_endpoint_registered:sum[6h]",
            "vobiz_endpoint_registered:sum[1h]",
        ],
        [
            "fleet",
            "the vendor is away for more than an hour in an outage of the fleet",
        ],
    ),
];
