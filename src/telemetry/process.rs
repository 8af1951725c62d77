//! `process_*`: values of the operating system about this process, read at each scrape.
//!
//! The collector of the `prometheus` crate counts CPU time in whole seconds and lacks the limit of
//! virtual memory. On a system without `/proc` there are no samples.

use std::{fs, path::Path};

use super::catalogue::Metric;

/// Clock ticks a second in `/proc`. Linux reports 100 on every architecture of the releases,
/// independent of the kernel's own tick. The exact call would need the C library.
const TICKS_PER_SECOND: f64 = 100.0;

/// The value of every `process_*` metric that can be read.
pub fn values() -> Vec<(Metric, f64)> {
    read(Path::new("/proc"))
}

fn read(proc: &Path) -> Vec<(Metric, f64)> {
    let own = proc.join("self");
    let text = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    let stat = text(&own.join("stat"));
    let status = text(&own.join("status"));
    let limits = text(&own.join("limits"));
    // The program name in brackets can contain spaces and brackets, so fields count from the last
    // closing bracket. The first field after it is number 3 of proc_pid_stat(5).
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .map_or_else(Vec::new, |(_, rest)| rest.split_whitespace().collect());
    let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    let cpu_seconds = || Some((field(14)? + field(15)?) / TICKS_PER_SECOND);
    let start_time = || {
        let stat = text(&proc.join("stat"));
        let boot_time: f64 = value_of(&stat, "btime")?.parse().ok()?;
        Some(boot_time + field(22)? / TICKS_PER_SECOND)
    };
    // `status` has kilobytes. `stat` has pages, whose size differs between machines.
    let resident_memory = || {
        let kilobytes = value_of(&status, "VmRSS:")?.strip_suffix("kB")?.trim();
        Some(kilobytes.parse::<f64>().ok()? * 1024.0)
    };
    let values = [
        (Metric::ProcessCpu, cpu_seconds()),
        (Metric::ProcessOpenFds, open_files(&own.join("fd"))),
        (Metric::ProcessMaxFds, limit(&limits, "Max open files")),
        (Metric::ProcessVirtualMemory, field(23)),
        (
            Metric::ProcessVirtualMemoryMax,
            limit(&limits, "Max address space"),
        ),
        (Metric::ProcessResidentMemory, resident_memory()),
        (Metric::ProcessStartTime, start_time()),
        (Metric::ProcessThreads, field(20)),
    ];
    let known = values
        .into_iter()
        .filter_map(|(metric, value)| Some((metric, value?)));
    known.collect()
}

/// The rest of the line that begins with `key`.
fn value_of<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let mut lines = text.lines();
    lines.find_map(|line| line.strip_prefix(key)).map(str::trim)
}

/// The soft limit with this name; `None` if it is unlimited.
fn limit(limits: &str, name: &str) -> Option<f64> {
    let mut columns = value_of(limits, name)?.split_whitespace();
    columns.next()?.parse().ok()
}

fn open_files(directory: &Path) -> Option<f64> {
    // One of the entries is the directory itself, open for this read.
    let count = fs::read_dir(directory).ok()?.count().saturating_sub(1);
    u32::try_from(count).ok().map(f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_may_contain_brackets_and_spaces() {
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
