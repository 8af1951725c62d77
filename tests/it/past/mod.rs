//! Creates past samples, as Prometheus would have stored them.
//!
//! The pollers, the client and the exposition of the exporter run against the simulated vendor with
//! a paused clock. So a simulated day takes one or two minutes. `promtool` converts the scraped
//! samples to blocks. Such blocks have no staleness markers. Therefore, [`stored`] makes
//! Prometheus use a sample only until the next scrape.

mod exporter;
mod scrapes;

use std::{path::PathBuf, time::Duration};

use jiff::Timestamp;
use tokio::time::sleep;
use vobiz_simulator::{Options, Pace, Vendor, World};

use vobiz_exporter::clock::{Clock, UnixMillis};

pub use exporter::{Exporter, PausedClient};
use scrapes::Scrapes;

use crate::harness::Prometheus;

/// A function that makes the changes of the vendor that are planned for the given time.
pub type Happens<'a> = &'a mut dyn FnMut(&Vendor, Timestamp);

/// The settings of a simulated past.
pub struct Past<'a> {
    /// The data folder of a Prometheus that has not started.
    pub data: PathBuf,
    /// The time between two scrapes.
    pub step: Duration,
    /// Returns the configuration of the exporter.
    pub configuration: &'a dyn Fn(&Vendor) -> String,
    /// Whether the samples of a metric with this name are written.
    pub keeps: &'a dyn Fn(&str) -> bool,
}

/// Starts a Prometheus with the samples in `folder/data`. It scrapes nothing.
pub async fn stored(folder: tempfile::TempDir, step: Duration) -> Prometheus {
    let use_until_next = format!("--query.lookback-delta={}s", step.as_secs() - 1);
    // Compaction of the blocks would take time, so the last two flags disable it.
    let arguments = [
        &*use_until_next,
        "--storage.tsdb.min-block-duration=2h",
        "--storage.tsdb.max-block-duration=2h",
    ];
    Prometheus::configured(folder, "global: {}\n", &arguments).await
}

impl Past<'_> {
    /// Simulates until `end`, a multiple of the step. Returns the number of samples, and the world at the end.
    pub fn live(&self, world: World, end: Timestamp, happens: Happens<'_>) -> (u64, World) {
        self.live_and_look(world, end, happens, async |_: &Exporter| {})
    }

    /// As [`Self::live`], and then looks at the exporter, after the last scrape.
    pub fn live_and_look(
        &self,
        world: World,
        end: Timestamp,
        happens: Happens<'_>,
        look: impl AsyncFnOnce(&Exporter),
    ) -> (u64, World) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let clock = Clock::anchored(UnixMillis(world.now().as_millisecond()));
            let options = Options {
                pace: Pace::Running(1.0),
                ..Options::default()
            };
            let vendor = Vendor::start(world, options).await.unwrap();
            let exporter = Exporter::start(&(self.configuration)(&vendor), clock);
            let mut scrapes = Scrapes::into(&self.data, self.keeps);
            let step = i64::try_from(self.step.as_millis()).unwrap();
            while instant(clock.now()) < end {
                happens(&vendor, instant(clock.now()));
                let at = UnixMillis((clock.now().0.div_euclid(step) + 1) * step);
                sleep(at.since(clock.now())).await;
                scrapes.add(at, &exporter);
            }
            look(&exporter).await;
            (scrapes.end(), vendor.stop().await)
        })
    }
}

fn instant(time: UnixMillis) -> Timestamp {
    Timestamp::from_millisecond(time.0).unwrap()
}
