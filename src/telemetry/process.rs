//! `process_*`: what the operating system says about this process, read when it is asked for.
//!
//! Own and small, because the `prometheus` crate's collector tells processor time in whole seconds
//! and knows no limit of virtual memory. Where there is no `/proc`, there are no samples.

use std::{fs, path::Path};

use prometheus::{
    core::{Collector, Desc},
    proto::{self, MetricFamily, MetricType},
};

use super::catalogue::{Kind, Metric};

/// Clock ticks a second in `/proc`. Linux has told user space 100 on every architecture for which
/// this program is built, whatever the kernel's own tick; asking would need the C library.
const TICKS_PER_SECOND: f64 = 100.0;

const METRICS: [Metric; 8] = [
    Metric::ProcessCpu,
    Metric::ProcessOpenFds,
    Metric::ProcessMaxFds,
    Metric::ProcessVirtualMemory,
    Metric::ProcessVirtualMemoryMax,
    Metric::ProcessResidentMemory,
    Metric::ProcessStartTime,
    Metric::ProcessThreads,
];

/// Reads `/proc` at every collection.
#[derive(Debug, Clone)]
pub(super) struct ProcessCollector {
    descriptions: Vec<Desc>,
}

impl ProcessCollector {
    pub(super) fn new() -> Self {
        let describe = |metric: Metric| {
            let family = metric.family();
            Desc::new(
                family.name.to_owned(),
                family.help.to_owned(),
                Vec::new(),
                std::collections::HashMap::new(),
            )
            .expect("names are valid")
        };
        Self {
            descriptions: METRICS.into_iter().map(describe).collect(),
        }
    }
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        read(Path::new("/proc"))
            .into_iter()
            .map(|(metric, value)| family(metric, value))
            .collect()
    }
}

fn family(metric: Metric, value: f64) -> MetricFamily {
    let about = metric.family();
    let mut sample = proto::Metric::default();
    let mut family = MetricFamily::default();
    if about.kind == Kind::Counter {
        let mut counter = proto::Counter::default();
        counter.set_value(value);
        sample.set_counter(counter);
        family.set_field_type(MetricType::COUNTER);
    } else {
        let mut gauge = proto::Gauge::default();
        gauge.set_value(value);
        sample.set_gauge(gauge);
        family.set_field_type(MetricType::GAUGE);
    }
    family.set_name(about.name.to_owned());
    family.set_help(about.help.to_owned());
    family.set_metric(vec![sample]);
    family
}

/// Every value that can be read; what cannot be read is left out.
fn read(proc: &Path) -> Vec<(Metric, f64)> {
    let own = proc.join("self");
    let text = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    let stat = text(&own.join("stat"));
    let status = text(&own.join("status"));
    let limits = text(&own.join("limits"));
    // The name of the program stands in brackets and may hold anything, so fields count from the
    // last closing bracket: the first one after it is number 3 of the manual page.
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .map_or_else(Vec::new, |(_, rest)| rest.split_whitespace().collect());
    let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    let started = || {
        let booted = line(&text(&proc.join("stat")), "btime")?
            .parse::<f64>()
            .ok()?;
        Some(booted + field(22)? / TICKS_PER_SECOND)
    };
    let found = [
        (
            Metric::ProcessCpu,
            field(14)
                .zip(field(15))
                .map(|(user, system)| (user + system) / TICKS_PER_SECOND),
        ),
        (Metric::ProcessOpenFds, open_files(&own.join("fd"))),
        (Metric::ProcessMaxFds, limit(&limits, "Max open files")),
        (Metric::ProcessVirtualMemory, field(23)),
        (
            Metric::ProcessVirtualMemoryMax,
            limit(&limits, "Max address space"),
        ),
        // In kilobytes here; `stat` counts pages, whose size differs between machines.
        (
            Metric::ProcessResidentMemory,
            line(&status, "VmRSS:")
                .and_then(|rest| rest.strip_suffix("kB")?.trim().parse::<f64>().ok())
                .map(|kilobytes| kilobytes * 1024.0),
        ),
        (Metric::ProcessStartTime, started()),
        (Metric::ProcessThreads, field(20)),
    ];
    found
        .into_iter()
        .filter_map(|(metric, value)| Some((metric, value?)))
        .collect()
}

/// What follows `key` on the line that begins with it.
fn line<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(key))
        .map(str::trim)
}

/// The soft limit of this name; `None` where it is unlimited.
fn limit(limits: &str, name: &str) -> Option<f64> {
    line(limits, name)?.split_whitespace().next()?.parse().ok()
}

fn open_files(folder: &Path) -> Option<f64> {
    // One of them is the folder itself, opened to be read.
    let count = fs::read_dir(folder).ok()?.count().saturating_sub(1);
    u32::try_from(count).ok().map(f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_brackets_and_spaces_confuses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("self");
        fs::create_dir_all(own.join("fd")).unwrap();
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4 100 0 0 0 123 45 0 0 20 0 9 0 1000 4096000 300 1";
        fs::write(own.join("stat"), stat).unwrap();
        fs::write(own.join("status"), "Name:\tx\nVmRSS:\t    2048 kB\n").unwrap();
        let limits = "Limit  Soft Limit  Hard Limit  Units\n\
            Max open files            1024                 524288               files\n\
            Max address space         unlimited            unlimited            bytes\n";
        fs::write(own.join("limits"), limits).unwrap();
        fs::write(folder.path().join("stat"), "cpu 1 2\nbtime 1700000000\n").unwrap();
        assert_eq!(
            read(folder.path()),
            [
                (Metric::ProcessCpu, 1.68),
                (Metric::ProcessOpenFds, 0.0),
                (Metric::ProcessMaxFds, 1024.0),
                (Metric::ProcessVirtualMemory, 4_096_000.0),
                (Metric::ProcessResidentMemory, 2_097_152.0),
                (Metric::ProcessStartTime, 1_700_000_010.0),
                (Metric::ProcessThreads, 9.0),
            ]
        );
    }

    #[test]
    fn without_proc_there_are_no_samples() {
        assert_eq!(read(Path::new("/nonexistent")), []);
    }
}
