//! What happens to phones, to the vendor and to the exporter reaches the right people, once.

use vobiz_exporter::sim::{Vendor, World};

use super::{
    fleet::{configuration, register, vendor_of, world},
    history::all_away,
    ledger::Ledger,
    stack::Stack,
};
use crate::stand::{Exporter, auth_id};

/// A minute lasts a second.
const SPEED: u64 = 60;

/// With walks as rare as one in five minutes, data may be old before there were two refusals, and two
/// outages in a row may look like walks that fail again and again.
const MAY: [&str; 4] = [
    "chat firing VobizDataOld main",
    "chat resolved VobizDataOld main",
    "chat firing VobizWalksFailing main",
    "chat resolved VobizWalksFailing main",
];

/// Everybody who takes part.
struct Story {
    vendor: Vendor,
    configuration: String,
    stack: Stack,
    ledger: Ledger,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_is_told_to_the_right_people_once_and_nothing_else_is() {
    let mut story = Story::begin().await;
    story
        .one_of_each_importance_is_lost_while_the_exporter_is_replaced()
        .await;
    story.a_third_of_the_fleet_is_lost().await;
    story.the_vendor_goes_away_and_comes_back().await;
    story.a_token_is_revoked().await;
    story.end().await;
}

impl Story {
    async fn begin() -> Self {
        let vendor = vendor_of(world(), None).await;
        let configuration = configuration(&vendor);
        let folder = tempfile::tempdir().unwrap();
        let agents = vendor.edit(|world| {
            let agents = world.account(&auth_id("shift")).unwrap().endpoints();
            agents.map(|one| one.id().to_owned()).collect::<Vec<_>>()
        });
        all_away(
            &folder.path().join("data"),
            "shift",
            &agents,
            SPEED.cast_signed(),
        )
        .await;
        let exporter = Exporter::start(&configuration).await;
        let stack = Stack::start(folder, exporter, SPEED).await;
        // Three fleets, and the group that is not ignored, seen for some minutes of ours.
        let seen =
            "count(count_over_time(job_account_scope:vobiz_endpoint_registered:sum[1m]) > 6)";
        stack.prometheus.until_is(seen, 4.0).await;
        let ledger = Ledger::of(stack.receiver.clone());
        Self {
            vendor,
            configuration,
            stack,
            ledger,
        }
    }

    async fn one_of_each_importance_is_lost_while_the_exporter_is_replaced(&mut self) {
        register(&self.vendor, "main", false, |alias| alias.ends_with(" 1"));
        register(&self.vendor, "shift", false, |_| true);
        self.ledger
            .scene(
                "one endpoint of each importance is lost, and a shift ends",
                &[
                    "pager firing VobizWatchedEndpointLost main Reception 1",
                    "chat firing VobizEndpointLost main Phone 1",
                ],
                &[],
            )
            .await;

        self.stack
            .replace(Exporter::start(&self.configuration).await)
            .await;
        // The new one runs for long enough to have forgotten, or doubled, or told of the shift.
        self.stack
            .prometheus
            .until_is(
                "count(time() - vobiz_exporter_config_last_reload_success_timestamp_seconds > 15)",
                1.0,
            )
            .await;
        let told = "count(ALERTS{alertstate=\"firing\"})";
        self.stack.prometheus.until_is(told, 2.0).await;
        let away = "job_account_endpoint:vobiz_endpoint_lost:age_seconds{account=\"shift\"} > 20";
        let away = format!("count({away})");
        self.stack.prometheus.until_is(&away, 12.0).await;
        self.stack.prometheus.until_is(told, 2.0).await;
        self.ledger
            .scene("the exporter is replaced", &[], &[])
            .await;

        register(&self.vendor, "main", true, |_| true);
        register(&self.vendor, "shift", true, |_| true);
        self.ledger
            .scene(
                "they are back",
                &[
                    "pager resolved VobizWatchedEndpointLost main Reception 1",
                    "chat resolved VobizEndpointLost main Phone 1",
                ],
                &[],
            )
            .await;
    }

    async fn a_third_of_the_fleet_is_lost(&mut self) {
        // Eight of twenty-four.
        let phones: Vec<_> = (12..=18).map(|number| format!("Phone {number}")).collect();
        let third = |alias: &str| alias == "Reception 2" || phones.iter().any(|one| one == alias);
        register(&self.vendor, "main", false, third);
        self.ledger
            .scene(
                "a third of the fleet is lost, with a reception",
                &[
                    "pager firing VobizFleetDropped main",
                    "pager firing VobizWatchedEndpointLost main Reception 2",
                ],
                &[],
            )
            .await;
        self.stack
            .prometheus
            .until_is("count(ALERTS{alertname=\"VobizEndpointLost\"})", 7.0)
            .await;
        register(&self.vendor, "main", true, |alias| {
            alias.starts_with("Phone")
        });
        self.ledger
            .scene(
                "the phones are back, of which nobody was told singly",
                &["pager resolved VobizFleetDropped main"],
                &[],
            )
            .await;
    }

    async fn the_vendor_goes_away_and_comes_back(&mut self) {
        let address = self.vendor.address();
        let silent = vendor_of(World::new(jiff::Timestamp::now(), 7), None).await;
        let world = std::mem::replace(&mut self.vendor, silent).stop().await;
        self.ledger
            .scene(
                "the vendor is away",
                &[
                    "chat firing VobizDataOld main",
                    "chat firing VobizDataOld branch",
                    "chat firing VobizDataOld shift",
                    "chat resolved VobizDataOld main",
                    "chat resolved VobizDataOld branch",
                    "chat resolved VobizDataOld shift",
                    "pager firing VobizDataWithdrawn main",
                    "pager firing VobizDataWithdrawn branch",
                    "pager firing VobizDataWithdrawn shift",
                ],
                &[],
            )
            .await;
        // Nothing is known of the lost reception any more, and nobody is told that it is well.
        self.stack
            .prometheus
            .until(
                "ALERTS{alertname=\"VobizWatchedEndpointLost\"}",
                <[_]>::is_empty,
            )
            .await;
        self.vendor = vendor_of(world, Some(address)).await;
        self.ledger
            .scene(
                "the vendor is back, and a reception is still lost",
                &[
                    "pager resolved VobizDataWithdrawn main",
                    "pager resolved VobizDataWithdrawn branch",
                    "pager resolved VobizDataWithdrawn shift",
                ],
                &[],
            )
            .await;
        self.stack
            .prometheus
            .until_is("count(ALERTS{alertname=\"VobizWatchedEndpointLost\"})", 1.0)
            .await;
        register(&self.vendor, "main", true, |alias| alias == "Reception 2");
        self.ledger
            .scene(
                "it is back",
                &["pager resolved VobizWatchedEndpointLost main Reception 2"],
                &[],
            )
            .await;
    }

    async fn a_token_is_revoked(&mut self) {
        self.set_token("another one");
        self.ledger
            .scene(
                "the token of one account is revoked",
                &["pager firing VobizCredentialsRefused main"],
                &MAY,
            )
            .await;
        self.set_token("token-of-main");
        self.ledger
            .scene(
                "it is valid again",
                &["pager resolved VobizCredentialsRefused main"],
                &MAY,
            )
            .await;
    }

    async fn end(mut self) {
        drop(self.stack.exporter);
        self.ledger
            .scene(
                "the exporter is gone",
                &["pager firing VobizTargetDown"],
                &MAY,
            )
            .await;
        self.ledger.print();
    }

    fn set_token(&self, token: &str) {
        self.vendor.edit(|world| {
            let account = world.account_mut(&auth_id("main")).unwrap();
            token.clone_into(&mut account.token);
        });
    }
}
