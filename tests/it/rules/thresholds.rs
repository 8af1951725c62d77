//! Each threshold of the rules, edited in its one place, changes when an alert fires. So does each part of the expressions
//! that covers a failed scrape, a replaced pod or a restart of Prometheus: without it, a case fails.

use std::fs;

use super::shipped::{CASES, RULES, read};
use crate::harness::{judge, tool};

/// An edit: the text in the rules, its replacement, and the file whose cases must then fail.
#[rustfmt::skip]
const EDITS: &[[&str; 3]] = &[
    ["absent(up{job=\"vobiz-exporter\"})\n        for: 3m", "absent(up{job=\"vobiz-exporter\"})\n        for: 1m", "target"],
    ["== 0\n          or max by (job, account)", "== 0\n          and absent(up)\n          or max by (job, account)", "target"],
    ["for: 2m\n        labels: {severity: critical}", "for: 4m\n        labels: {severity: critical}", "target"],
    ["max_over_time(up{job=\"vobiz-exporter\"}[3m])", "max_over_time(up{job=\"vobiz-exporter\"}[1m])", "target"],
    ["and on (job, instance) max_over_time(up[3m]) == 0", "and on (job, instance) max_over_time(up[3m]) >= 0", "target"],
    [") > 3\n", ") > 4\n", "target"],
    ["changes(process_start_time_seconds[1h])", "changes(process_start_time_seconds[2h])", "target"],
    ["web_config_last_reload_successful[10m])) == 0\n        for: 5m", "web_config_last_reload_successful[10m])) == 0\n        for: 1m", "target"],
    ["state_write_failures_total[15m]", "state_write_failures_total[20s]", "target"],
    ["time() - 2 * 60", "time() - 20 * 60", "target"],
    ["time() - 60 * 60", "time() - 40 * 60", "target"],
    ["{condition=\"never\"}\n        for: 5m", "{condition=\"never\"}\n        for: 1m", "accounts"],
    [") > 90", ") > 40", "accounts"],
    ["total{cause=\"vendor\"}[15m]", "total{cause=\"vendor\"}[30m]", "accounts"],
    ["> 30\n", "> 15\n", "accounts"],
    ["quantile_over_time(0.5,", "quantile_over_time(1,", "accounts"],
    ["offset_seconds[15m]))) > 30\n        for: 5m", "offset_seconds[15m]))) > 30\n        for: 15m", "accounts"],
    ["> 0.05\n", "> 0.7\n", "accounts"],
    ["> 0.05\n        for: 15m", "> 0.05\n        for: 10m", "accounts"],
    ["sum[10m]) > 5)", "sum[10m]) > 4)", "accounts"],
    ["max_over_time(account:vobiz_endpoints:sum[1h])", "max_over_time(account:vobiz_endpoints:sum[2h])", "accounts"],
    ["> 0.1 *", "> 0.05 *", "accounts"],
    ["change=\"application_removed\"}[1h]", "change=\"application_removed\"}[2h]", "accounts"],
    ["> 0\n        for: 15m", "> 0\n        for: 5m", "accounts"],
    ["below_minimum_timestamp_seconds:bridged < time() - 5 * 60", "below_minimum_timestamp_seconds:bridged < time() - 3 * 60", "endpoints"],
    ["{watch=\"page\"}\n          ) < time() - 5 * 60", "{watch=\"page\"}\n          ) < time() - 4 * 60", "endpoints"],
    ["< time() - 15 * 60", "< time() - 14 * 60", "endpoints"],
    // The parts that bridge a time without an answer, or one failed scrape.
    ["or last_over_time(account:vobiz_account_condition:bridged[90s])", "or vobiz_account_condition == 1", "accounts"],
    ["or last_over_time(endpoint:vobiz_endpoint_missed_timestamp_seconds:bridged[90s])", "or vobiz_endpoint_missed_timestamp_seconds", "endpoints"],
    ["or last_over_time(endpoint:vobiz_endpoint_missed_timestamp_seconds:bridged[90s])", "or last_over_time(vobiz_endpoint_missed_timestamp_seconds[10m])", "endpoints"],
    ["or last_over_time(outage:vobiz_outage_start_timestamp_seconds:bridged[90s])", "or vobiz_outage_start_timestamp_seconds", "endpoints"],
    ["or last_over_time(group:vobiz_group_below_minimum_timestamp_seconds:bridged[90s])", "or vobiz_group_below_minimum_timestamp_seconds", "endpoints"],
    ["or last_over_time(endpoint:vobiz_endpoint_flapping:bridged[90s])", "or vobiz_endpoint_flapping", "endpoints"],
    ["or last_over_time(vobiz_endpoint_missed_timestamp_seconds[1m])", "or vobiz_endpoint_missed_timestamp_seconds", "endpoints"],
    ["[90s]) unless on (job, account) last_over_time(vobiz_account_condition[1m])", "[90s])", "endpoints"],
    ["last_over_time(vobiz_account_condition[10m])", "last_over_time(vobiz_account_condition[3m])", "endpoints"],
    ["last_over_time(vobiz_account_condition[10m])", "last_over_time(vobiz_account_condition[20m])", "endpoints"],
    [") unless on (job, account, endpoint_id) vobiz_endpoint_registered == 1", ")", "endpoints"],
    ["registration=\"unknown\"}[10m]", "registration=\"unknown\"}[30s]", "accounts"],
    // Two aliases at a time, and an alias as a part of the identity.
    ["topk by (job, account, endpoint_id) (1, ", "max without () (", "endpoints"],
    ["alias: \"\", username: \"\"", "job: vobiz-exporter", "endpoints"],
];

#[tokio::test]
async fn each_edited_threshold_fails_a_case() {
    let promtool = tool("PROMTOOL", "promtool");
    let rules = read(RULES);
    let mut unnoticed = Vec::new();
    for [from, to, file] in EDITS {
        assert!(rules.contains(from), "nothing to edit: {from}");
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("rules")).unwrap();
        fs::create_dir(folder.path().join("tests")).unwrap();
        fs::write(
            folder.path().join("rules/vobiz-exporter.yml"),
            rules.replace(from, to),
        )
        .unwrap();
        let cases = folder.path().join("tests/cases.yml");
        fs::write(&cases, read(&format!("{CASES}/{file}.yml"))).unwrap();
        let cases = cases.display().to_string();
        let ended = judge(&promtool, &["test", "rules", &cases], "").await;
        let words = format!("{}{}", ended.out, ended.err);
        // promtool prints the expected values of a failed case. An error of syntax is no failed case.
        if !words.contains("exp:") && !words.contains("many-to-many") {
            unnoticed.push(format!("{from} -> {to}: {words}"));
        }
    }
    assert!(unnoticed.is_empty(), "{}", unnoticed.join("\n"));
}
