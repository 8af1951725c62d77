//! The programs that the tests of dashboard queries need.

use std::{fmt::Write as _, fs, path::Path, time::Duration};

use jiff::Timestamp;
use vobiz_simulator::{Options, Pace, Vendor};

use super::{
    day::{ACCOUNTS, Day, LATE, LOST, STEP, configuration, edit, id_of},
    past::{REPLICAS, good_for},
};
use crate::{
    harness::{Exporter, Prometheus},
    rules::{RULES, read},
};

/// The simulated day, the vendor that continues the simulation, and two exporters. Both Prometheus
/// servers have the blocks of the day and scrape both exporters. Only `ruled` has the rules.
pub struct Stage {
    pub day: Day,
    pub vendor: Vendor,
    pub replicas: [Exporter; 2],
    pub ruled: Prometheus,
    pub plain: Prometheus,
}

/// Starts a Prometheus with the blocks in `folder`. Prometheus scrapes the replicas with the
/// `instance` labels of these blocks.
pub async fn prometheus(
    folder: tempfile::TempDir,
    replicas: &[Exporter; 2],
    (scrape, step): (Duration, Duration),
    rules: Option<Duration>,
) -> Prometheus {
    let mut text = format!(
        "global: {{scrape_interval: {0}s, scrape_timeout: {0}s, evaluation_interval: 1m}}\nscrape_configs: \
         [{{job_name: vobiz-exporter, static_configs: [",
        scrape.as_secs()
    );
    for (replica, name) in replicas.iter().zip(REPLICAS) {
        let address = replica.address();
        write!(
            text,
            "{{targets: [\"{address}\"], labels: {{instance: \"{name}\"}}}}, "
        )
        .unwrap();
    }
    text.push_str("]}]\n");
    if let Some(interval) = rules {
        // The rule interval is shorter than the shipped one. The ranges in the rules are unchanged.
        let often = format!("interval: {}s", interval.as_secs());
        let rules = read(RULES).replace("interval: 1m", &often);
        fs::write(folder.path().join("rules.yml"), rules).unwrap();
        text.push_str("rule_files: [rules.yml]\n");
    }
    // Compaction of the blocks would take time, so the last two flags disable it.
    let arguments = [
        &good_for(step),
        "--storage.tsdb.min-block-duration=2h",
        "--storage.tsdb.max-block-duration=2h",
    ];
    Prometheus::configured(folder, &text, &arguments).await
}

impl Stage {
    /// Starts all programs. Waits until both servers have scraped both replicas.
    pub async fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let past = folder.path().to_owned();
        let (day, world) = tokio::task::spawn_blocking(move || Day::live(&past))
            .await
            .unwrap();
        let other = tempfile::tempdir().unwrap();
        share(&folder.path().join("data"), &other.path().join("data"));
        let options = Options {
            pace: Pace::Running(1.0),
            ..Options::default()
        };
        let vendor = Vendor::start(world, options).await.unwrap();
        let text = configuration(&vendor, folder.path());
        let replicas = [Exporter::start(&text).await, Exporter::start(&text).await];
        let often = Duration::from_secs(2);
        let (ruled, plain) = tokio::join!(
            prometheus(folder, &replicas, (often, STEP), Some(often)),
            prometheus(other, &replicas, (often, STEP), None)
        );
        let stage = Self {
            day,
            vendor,
            replicas,
            ruled,
            plain,
        };
        #[expect(clippy::cast_precision_loss, reason = "six")]
        let all = (2 * ACCOUNTS.len()) as f64;
        for prometheus in [&stage.ruled, &stage.plain] {
            prometheus.until_is("count(up == 1)", 2.0).await;
            prometheus.until_is("count(vobiz_up == 1)", all).await;
            // `rate` needs samples of two scrapes.
            let answered =
                "count(count by (instance) (rate(vobiz_exporter_http_requests_total[1m])))";
            prometheus.until_is(answered, 2.0).await;
        }
        stage
    }

    /// Ends the registration of the endpoint `LATE`. Returns the id of `LOST`, which was lost
    /// during the day, and the present time.
    pub fn lose_one_more(&self) -> (String, Timestamp) {
        let now = Timestamp::now();
        edit(&self.vendor, LATE, |one| one.set_registered(false, now));
        (self.vendor.edit(|world| id_of(world, LOST)), now)
    }
}

/// Creates the folder `other` with a hard link to each file of the folder `data`.
fn share(data: &Path, other: &Path) {
    fs::create_dir(other).unwrap();
    for entry in fs::read_dir(data).unwrap() {
        let entry = entry.unwrap();
        let place = other.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            share(&entry.path(), &place);
        } else {
            fs::hard_link(entry.path(), place).unwrap();
        }
    }
}
