//! Creates past samples, as Prometheus would have stored them.
//!
//! The pollers, the client and the exposition of the exporter run against the simulated vendor with
//! a paused clock. So a simulated day takes one or two minutes. `promtool` converts the scraped
//! samples to blocks. Such blocks have no staleness markers. Therefore, [`good_for`] makes
//! Prometheus use a sample only until the next scrape.

mod exporter;
mod scrapes;

use std::{path::PathBuf, time::Duration};

use jiff::Timestamp;
use tokio::time::sleep;
use vobiz_simulator::{Options, Pace, Vendor, World};

use vobiz_exporter::clock::{Clock, UnixMillis};

use exporter::Exporter;
use scrapes::Scrapes;

/// The `instance` labels of the two replicas, in the past samples and in the running Prometheus.
pub const REPLICAS: [&str; 2] = ["vobiz-exporter-0:10059", "vobiz-exporter-1:10059"];

/// A function that makes the changes of the vendor that are planned for the given timestamp.
pub type Happens<'a> = &'a mut dyn FnMut(&Vendor, Timestamp);

/// The settings of a simulated past.
pub struct Past<'a> {
    /// The data folder of a Prometheus that has not started.
    pub data: PathBuf,
    /// The time between two scrapes.
    pub step: Duration,
    /// Returns the configuration of the exporters.
    pub configuration: &'a dyn Fn(&Vendor) -> String,
    /// The time at which the second replica starts.
    pub second: Timestamp,
}

/// The Prometheus flag that limits how long a query uses a sample.
pub fn good_for(step: Duration) -> String {
    format!("--query.lookback-delta={}s", step.as_secs() - 1)
}

impl Past<'_> {
    /// Simulates until `end`. Without `end`, simulates until the simulated time is the real time.
    /// Returns the number of samples, and the world at the end.
    pub fn live(&self, world: World, end: Option<Timestamp>, happens: Happens<'_>) -> (u64, World) {
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
            let samples = self.pass(&vendor, clock, end, happens).await;
            (samples, vendor.stop().await)
        })
    }

    async fn pass(
        &self,
        vendor: &Vendor,
        clock: Clock,
        end: Option<Timestamp>,
        happens: Happens<'_>,
    ) -> u64 {
        let configuration = (self.configuration)(vendor);
        let mut exporters = Vec::new();
        let mut scrapes = Scrapes::into(&self.data);
        loop {
            happens(vendor, instant(clock.now()));
            let replicas = 1 + usize::from(instant(clock.now()) >= self.second);
            if exporters.len() < replicas {
                let name = REPLICAS[exporters.len()];
                exporters.push(Exporter::start(name, &configuration, clock));
            }
            let Some(at) = self.next(clock.now(), end) else {
                break;
            };
            sleep(at.since(clock.now())).await;
            for exporter in &exporters {
                scrapes.add(at, exporter);
            }
        }
        scrapes.end()
    }

    /// The next scrape is at the next multiple of the step, or at `end` if `end` is earlier. `None`
    /// if `end` is earlier and at most a quarter of a step after `now`.
    fn next(&self, now: UnixMillis, end: Option<Timestamp>) -> Option<UnixMillis> {
        let step = i64::try_from(self.step.as_millis()).unwrap();
        let next = UnixMillis((now.0.div_euclid(step) + 1) * step);
        let end = end.unwrap_or_else(Timestamp::now).as_second() * 1000;
        if next.0 <= end {
            return Some(next);
        }
        let some_time_ago = end - now.0 > step / 4;
        some_time_ago.then_some(UnixMillis(end))
    }
}

fn instant(time: UnixMillis) -> Timestamp {
    Timestamp::from_millisecond(time.0).unwrap()
}
