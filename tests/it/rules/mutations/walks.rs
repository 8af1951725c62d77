//! Wrong rules about targets, walks and settings.

use super::{Mutation, mutation};

pub const MUTATIONS: &[Mutation] = &[
    mutation(
        "blindness fires twice",
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
            "clamp_min(3 * job_account:vobiz_exporter_poll_interval_seconds:max1h, 2 * 60)",
            "clamp_min(0 * job_account:vobiz_exporter_poll_interval_seconds:max1h, 3 * 60)",
        ],
        ["walks", "walks are rare and two in five fail"],
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
        "two refusals in an hour are a revoked token",
        ["< on (job, account) (2.5 *", "< on (job, account) (0 *"],
        ["walks", "walks are rare and one in a while is refused"],
    ),
    mutation(
        "a scrape that fails ends the alert about an account that is never read",
        [
            "poll_interval_seconds:max[20m]) >= 10",
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
        "a Prometheus that was just started misses the target",
        [") >= 5\n        labels", ") >= 1\n        labels"],
        ["target", "no target was ever found"],
    ),
    mutation(
        "one replica is the whole job",
        [
            "max by (job) (max_over_time(up[5m]) and on (job) job:vobiz_exporter:expected) == 0",
            "min by (job) (max_over_time(up[5m]) and on (job) job:vobiz_exporter:expected) == 0",
        ],
        ["target", "one of two replicas does not answer"],
    ),
    mutation(
        "a scrape that fails once is a target that is down",
        [
            "max by (job) (max_over_time(up[5m]) and on (job) job:vobiz_exporter:expected) == 0",
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
            "max_over_time(process_start_time_seconds[10m])",
            "process_start_time_seconds",
        ],
        ["target", "two scrapes of the younger of two replicas fail"],
    ),
    mutation(
        "a scrape that fails hides how old the data is",
        [
            "vobiz_walk_last_success:age_seconds[1m30s]",
            "vobiz_walk_last_success:age_seconds[1s]",
        ],
        ["walks", "every other scrape fails while the vendor is away"],
    ),
    mutation(
        "who is asked less and less often is refused no more",
        [
            r#"kind{blindness="refused"}[10m]"#,
            r#"kind{blindness="none"}[10m]"#,
        ],
        [
            "walks",
            "the token is refused, and the exporter asks less and less often",
        ],
    ),
    mutation(
        "the first answer is a quarter of an hour",
        [
            "count_over_time(vobiz_api_clock_offset_seconds[15m])) >= 7",
            "count_over_time(vobiz_api_clock_offset_seconds[15m])) >= 1",
        ],
        ["walks", "the first answer of the vendor tells another time"],
    ),
];
