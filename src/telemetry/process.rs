//! The `process_*` metrics. The exporter reads their values from the operating system when it encodes them.
//!
//! The collector of the `prometheus` crate is not used: it counts CPU time in whole seconds and lacks
//! the limit of virtual memory. On a system without `/proc`, there are no samples.

use std::fs;

use procfs::{
    ProcResult, WithCurrentSystemInfo,
    process::{LimitValue, Process},
};

use super::catalogue::Metric;

/// The value of every `process_*` metric that can be read.
pub fn values() -> Vec<(Metric, f64)> {
    read().unwrap_or_default()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "samples are floats for Prometheus, too"
)]
fn read() -> ProcResult<Vec<(Metric, f64)>> {
    // The count includes the open folder, so 1 is subtracted. `Process` opens a file, so the count comes first.
    let open_files = fs::read_dir("/proc/self/fd").ok();
    let open_files = open_files.map(|files| files.count() as f64 - 1.0);
    let process = Process::myself()?;
    let (stat, limits) = (process.stat()?, process.limits()?);
    let ticks_per_second = procfs::ticks_per_second() as f64;
    let seconds = |ticks: u64| ticks as f64 / ticks_per_second;
    let boot_time = procfs::boot_time_secs().ok();
    let start_time = boot_time.map(|boot| boot as f64 + seconds(stat.starttime));
    let limit = |soft_limit| match soft_limit {
        LimitValue::Value(limit) => Some(limit as f64),
        LimitValue::Unlimited => None,
    };
    let max_files = limit(limits.max_open_files.soft_limit);
    let max_memory = limit(limits.max_address_space.soft_limit);
    let resident_memory = stat.rss_bytes().get() as f64;
    let values = [
        (Metric::ProcessCpu, Some(seconds(stat.utime + stat.stime))),
        (Metric::ProcessOpenFds, open_files),
        (Metric::ProcessMaxFds, max_files),
        (Metric::ProcessVirtualMemory, Some(stat.vsize as f64)),
        (Metric::ProcessVirtualMemoryMax, max_memory),
        (Metric::ProcessResidentMemory, Some(resident_memory)),
        (Metric::ProcessStartTime, start_time),
        (Metric::ProcessThreads, Some(stat.num_threads as f64)),
    ];
    let known = values.map(|(metric, value)| Some((metric, value?)));
    Ok(known.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use std::{fs::File, time::Duration};

    use super::*;
    use crate::clock::Clock;

    fn value(metric: Metric) -> Option<f64> {
        let mut values = values().into_iter();
        values.find_map(|(known, value)| (known == metric).then_some(value))
    }

    #[test]
    fn every_value_describes_this_process() {
        let now = Clock::system().now().as_seconds();
        let start = value(Metric::ProcessStartTime).unwrap();
        let hour = Duration::from_secs(3600).as_secs_f64();
        assert!(
            now - hour < start && start < now + 5.0,
            "{start}, now {now}"
        );
        assert!(value(Metric::ProcessCpu).unwrap() < hour * 64.0);
        assert!(value(Metric::ProcessThreads).unwrap() >= 1.0);
        let resident = value(Metric::ProcessResidentMemory).unwrap();
        let virtual_memory = value(Metric::ProcessVirtualMemory).unwrap();
        assert!(
            1e6 < resident && resident < virtual_memory,
            "{resident} of {virtual_memory}"
        );
        let files: Vec<_> = (0..100)
            .map(|_| File::open("/proc/self/stat").unwrap())
            .collect();
        let open = value(Metric::ProcessOpenFds).unwrap();
        assert!(open > 100.0, "{open}");
        drop(files);
        assert!(open < value(Metric::ProcessMaxFds).unwrap());
    }
}
