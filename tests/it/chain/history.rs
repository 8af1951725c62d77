//! Writes samples of last week into the data folder of a Prometheus.

use std::{fmt::Write, path::Path};

use crate::harness::{judge, tool};

/// One week in seconds. The shipped rules compare current samples with samples of a week ago.
const WEEK: i64 = 7 * 24 * 3600;

/// Writes blocks into the data folder of a Prometheus that has not started. In the blocks, all
/// endpoints of an account are lost one week ago. The length of the week is divided by `speed`.
pub async fn all_away(data: &Path, account: &str, ids: &[String], speed: i64) {
    let of = format!("job=\"vobiz-exporter\",account=\"{account}\"");
    let mut series = vec![(
        "job_account_scope:vobiz_endpoint_registered:sum",
        format!("{of},scope=\"fleet\""),
        0,
    )];
    let away = "job_account_endpoint:vobiz_endpoint_lost:age_seconds";
    series.extend(
        ids.iter()
            .map(|id| (away, format!("{of},endpoint_id=\"{id}\""), 60)),
    );
    let then = jiff::Timestamp::now().as_second() - WEEK / speed;
    let mut text = String::new();
    for name in ["job_account_scope:vobiz_endpoint_registered:sum", away] {
        writeln!(text, "# TYPE {name} gauge").expect("a string takes every write");
        for (_, labels, value) in series.iter().filter(|(family, ..)| *family == name) {
            // The samples cover more time than the test needs, even on a busy machine.
            for time in (then - 120..then + 3600).step_by(5) {
                writeln!(text, "{name}{{{labels}}} {value} {time}")
                    .expect("a string takes every write");
            }
        }
    }
    text.push_str("# EOF\n");
    let file = data.with_file_name("history.om");
    std::fs::write(&file, text).expect("it can be written");
    let (file, data) = (file.display().to_string(), data.display().to_string());
    let arguments = ["tsdb", "create-blocks-from", "openmetrics", &file, &data];
    let made = judge(&tool("PROMTOOL", "promtool"), &arguments, "").await;
    assert_eq!(made.code, Some(0), "{made:?}");
}
