//! Who takes part in the stories about queries.

use std::{fmt::Write as _, fs};

use vobiz_exporter::sim::Vendor;

use super::world::{BRANCH, PHONES, configuration, register, vendor};
use crate::{
    rules::{RULES, read, scaled},
    stand::{Exporter, Prometheus},
};

/// A minute of the rules lasts a second.
const SPEED: u64 = 60;
/// The phone that is lost, and the one that is lost and comes back.
pub const LOST: &str = "101";
const FLAPPER: &str = "102";

/// Two replicas, and two servers that scrape both: one has the rules.
pub struct Stage {
    pub vendor: Vendor,
    pub replicas: [Exporter; 2],
    pub ruled: Prometheus,
    pub plain: Prometheus,
}

async fn prometheus(replicas: &[Exporter; 2], rules: bool) -> Prometheus {
    let folder = tempfile::tempdir().unwrap();
    let mut text = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nscrape_configs: [{{job_name: vobiz-exporter, \
         static_configs: [{{targets: [\"{}\", \"{}\"]}}]}}]\n",
        replicas[0].address(),
        replicas[1].address()
    );
    if rules {
        fs::write(folder.path().join("rules.yml"), scaled(&read(RULES), SPEED)).unwrap();
        text.write_str("rule_files: [rules.yml]\n").unwrap();
    }
    Prometheus::configured(folder, &text, &[]).await
}

impl Stage {
    /// Starts everything, and waits until everybody was seen by everybody.
    pub async fn set() -> Self {
        let vendor = vendor().await;
        let text = configuration(&vendor);
        let replicas = [Exporter::start(&text).await, Exporter::start(&text).await];
        let (ruled, plain) = (
            prometheus(&replicas, true).await,
            prometheus(&replicas, false).await,
        );
        let stage = Self {
            vendor,
            replicas,
            ruled,
            plain,
        };
        stage.both_see("count(vobiz_up == 1)", 4.0).await;
        let names = "count(job_account_endpoint:vobiz_endpoint_registered_timestamp_seconds:max)";
        #[expect(clippy::cast_precision_loss, reason = "a dozen")]
        let registered = (PHONES + BRANCH) as f64;
        stage.ruled.until_is(names, registered).await;
        stage
    }

    async fn both_see(&self, expression: &str, value: f64) {
        self.ruled.until_is(expression, value).await;
        self.plain.until_is(expression, value).await;
    }

    /// One phone is lost and stays so, another comes back.
    pub async fn something_happens(&self) {
        register(&self.vendor, LOST, false);
        register(&self.vendor, FLAPPER, false);
        let away = "count(vobiz_endpoint_registered{endpoint_id=~\"101|102\"} == 0)";
        self.both_see(away, 4.0).await;
        register(&self.vendor, FLAPPER, true);
        self.both_see(away, 2.0).await;
        let alert = "count(ALERTS{alertname=\"VobizEndpointLost\", endpoint_id=\"101\", alertstate=\"firing\"})";
        self.ruled.until_is(alert, 1.0).await;
    }
}
