//! The past, as Prometheus would remember it.
//!
//! The exporter's own pollers, client and exposition run before the simulated vendor on a clock that
//! waits for nobody, so that a day passes in a minute or two. What scrapes would have found becomes
//! blocks by Prometheus's own tool. Such blocks cannot say that a series has ended, as a scrape does, so
//! a Prometheus over them must take a sample for good until the next scrape and no longer: see
//! [`good_for`].

mod exporter;
mod scrapes;

use std::{path::PathBuf, time::Duration};

use jiff::Timestamp;
use tokio::time::sleep;
use vobiz_simulator::{Options, Pace, Vendor, World};

use vobiz_exporter::clock::{Clock, UnixMillis};

use exporter::Exporter;
use scrapes::Scrapes;

/// How targets are called, then and now.
pub const REPLICAS: [&str; 2] = ["vobiz-exporter-0:10059", "vobiz-exporter-1:10059"];

/// What happens at an instant beside what happens by itself.
pub type Happens<'a> = &'a mut dyn FnMut(&Vendor, Timestamp);

/// Where the past is kept and how it passes.
pub struct Past<'a> {
    /// A data folder of a Prometheus that has not been started yet.
    pub data: PathBuf,
    /// Between two scrapes.
    pub step: Duration,
    /// The exporter's configuration.
    pub configuration: &'a dyn Fn(&Vendor) -> String,
    /// From when on there is a second replica.
    pub second: Timestamp,
}

/// The argument that tells Prometheus for how long a sample is good.
pub fn good_for(step: Duration) -> String {
    format!("--query.lookback-delta={}s", step.as_secs() - 1)
}

impl Past<'_> {
    /// Lives until `end`, or else until the real present, whenever that is reached. Returns the number of
    /// samples, and the world as it is then.
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

    /// The next scrape, at whole multiples of a step; the last one comes at once where the present does
    /// not wait for the step to be over.
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
