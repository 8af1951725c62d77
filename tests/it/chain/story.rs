//! Simulates events of phones, of the vendor and of the exporter. The right receiver must get each
//! notification once.

use std::fs;

use vobiz_simulator::{Vendor, World};

use super::{
    expected::Expected,
    fleet::{FIRST_PHONE, configuration, register, vendor_of, world},
    history::all_away,
    stack::Stack,
};
use crate::harness::{Exporter, auth_id};

/// Durations in the shipped files are divided by this number, so a minute lasts one second.
const SPEED: u64 = 60;

/// All programs and files of the test.
struct Story {
    vendor: Vendor,
    token: tempfile::NamedTempFile,
    configuration: String,
    stack: Stack,
    expected: Expected,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it takes minutes: make test-slow"]
async fn each_event_notifies_the_right_receiver_once_and_nothing_else_does() {
    let mut story = Story::begin().await;
    story
        .a_token_is_revoked_and_a_wrong_one_put_in_its_place()
        .await;
    story
        .one_of_each_importance_is_lost_while_the_exporter_is_replaced()
        .await;
    story.a_third_of_the_fleet_is_lost().await;
    story.the_vendor_goes_away_and_comes_back().await;
    story.end().await;
}

impl Story {
    async fn begin() -> Self {
        let vendor = vendor_of(world(), None).await;
        let token = tempfile::NamedTempFile::new().unwrap();
        fs::write(&token, "token-of-main").unwrap();
        let configuration = configuration(&vendor, token.path());
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
        // Waits until four series have more than six samples each: of three accounts and one group.
        let seen =
            "count(count_over_time(job_account_scope:vobiz_endpoint_registered:sum[1m]) > 6)";
        stack.prometheus.until_is(seen, 4.0).await;
        let expected = Expected::of(stack.receiver.clone());
        Self {
            vendor,
            token,
            configuration,
            stack,
            expected,
        }
    }

    async fn a_token_is_revoked_and_a_wrong_one_put_in_its_place(&mut self) {
        let refusals = "vobiz_walk_failures_total{account=\"main\",reason=\"auth\"}";
        self.vendor.edit(|world| {
            let account = world.account_mut(&auth_id("main")).unwrap();
            "another-token".clone_into(&mut account.token);
        });
        self.stack.prometheus.until_is(refusals, 1.0).await;
        // `VobizCredentialsRefused` needs two refused walks. A new token file makes the exporter walk
        // at once. If the second walk came later, `VobizDataOld` would fire first.
        fs::write(&self.token, "mistyped-token").unwrap();
        self.expected
            .scene(
                "the token of one account is revoked, and mistyped",
                &["pager main: firing VobizCredentialsRefused"],
            )
            .await;
        fs::write(&self.token, "another-token").unwrap();
        self.expected
            .scene(
                "it is typed correctly",
                &["pager main: resolved VobizCredentialsRefused"],
            )
            .await;
    }

    async fn one_of_each_importance_is_lost_while_the_exporter_is_replaced(&mut self) {
        register(&self.vendor, "main", false, |alias| alias.ends_with(" 1"));
        register(&self.vendor, "shift", false, |_| true);
        let lost = format!("chat main: firing VobizEndpointLost {FIRST_PHONE}");
        self.expected
            .scene(
                "one endpoint of each importance is lost, and a shift ends",
                &[
                    "pager main: firing VobizWatchedEndpointLost Reception 1",
                    &lost,
                ],
            )
            .await;
        let receiver = &self.stack.receiver;
        let post = receiver
            .post("[FIRING 1] VobizEndpointLost, account main")
            .await;
        post.begins("firing", FIRST_PHONE);
        post.links(&["what to do", "dashboard"]);

        self.stack
            .replace(Exporter::start(&self.configuration).await)
            .await;
        // With wrong rules, an alert would end during this wait, or a receiver would get it again.
        self.stack
            .prometheus
            .until_is(
                "count(time() - vobiz_exporter_config_last_reload_success_timestamp_seconds > 15)",
                1.0,
            )
            .await;
        let firing = "count(ALERTS{alertstate=\"firing\"})";
        self.stack.prometheus.until_is(firing, 2.0).await;
        let away = "job_account_endpoint:vobiz_endpoint_lost:age_seconds{account=\"shift\"} > 20";
        let away = format!("count({away})");
        self.stack.prometheus.until_is(&away, 12.0).await;
        self.stack.prometheus.until_is(firing, 2.0).await;
        self.expected.scene("the exporter is replaced", &[]).await;

        register(&self.vendor, "main", true, |_| true);
        register(&self.vendor, "shift", true, |_| true);
        self.expected
            .scene(
                "they are back",
                &[
                    "pager main: resolved VobizWatchedEndpointLost Reception 1",
                    &lost.replace("firing", "resolved"),
                ],
            )
            .await;
        let receiver = &self.stack.receiver;
        let post = receiver
            .post("[RESOLVED] VobizEndpointLost, account main")
            .await;
        post.begins("resolved", FIRST_PHONE);
        post.links(&["dashboard"]);
    }

    async fn a_third_of_the_fleet_is_lost(&mut self) {
        // These seven phones and `Reception 2` are eight of the 24 endpoints.
        let phones: Vec<_> = (12..=18).map(|number| format!("Phone {number}")).collect();
        let third = |alias: &str| alias == "Reception 2" || phones.iter().any(|one| one == alias);
        register(&self.vendor, "main", false, third);
        self.expected
            .scene(
                "a third of the fleet is lost, with a reception",
                &["pager main: firing VobizFleetDropped, firing VobizWatchedEndpointLost Reception 2"],
            )
            .await;
        self.stack
            .prometheus
            .until_is("count(ALERTS{alertname=\"VobizEndpointLost\"})", 7.0)
            .await;
        register(&self.vendor, "main", true, |alias| {
            alias.starts_with("Phone")
        });
        self.expected
            .scene(
                "the phones are back, for which no single alert was sent",
                &["pager main: resolved VobizFleetDropped, still VobizWatchedEndpointLost Reception 2"],
            )
            .await;
    }

    async fn the_vendor_goes_away_and_comes_back(&mut self) {
        // Rules count refusals in a time range. The test waits until this range contains no refusal.
        let refusals = "max(increase(vobiz_walk_failures_total{reason=\"auth\"}[60s]))";
        self.stack.prometheus.until_is(refusals, 0.0).await;
        let address = self.vendor.address();
        let silent = vendor_of(World::new(jiff::Timestamp::now(), 7), None).await;
        let world = std::mem::replace(&mut self.vendor, silent).stop().await;
        self.expected
            .scene(
                "the vendor is away",
                &[
                    "chat main: firing VobizDataOld, resolved VobizDataOld",
                    "chat branch: firing VobizDataOld, resolved VobizDataOld",
                    "chat shift: firing VobizDataOld, resolved VobizDataOld",
                    "pager main: firing VobizDataWithdrawn",
                    "pager branch: firing VobizDataWithdrawn",
                    "pager shift: firing VobizDataWithdrawn",
                ],
            )
            .await;
        // When the exporter withdraws the data, the alert `VobizWatchedEndpointLost` ends. But no
        // message may report this alert as resolved.
        self.stack
            .prometheus
            .until(
                "ALERTS{alertname=\"VobizWatchedEndpointLost\"}",
                <[_]>::is_empty,
            )
            .await;
        self.vendor = vendor_of(world, Some(address)).await;
        self.expected
            .scene(
                "the vendor is back, and a reception is still lost",
                &[
                    "pager main: resolved VobizDataWithdrawn, still VobizWatchedEndpointLost Reception 2",
                    "pager branch: resolved VobizDataWithdrawn",
                    "pager shift: resolved VobizDataWithdrawn",
                ],
            )
            .await;
        register(&self.vendor, "main", true, |alias| alias == "Reception 2");
        self.expected
            .scene(
                "it is back",
                &["pager main: resolved VobizWatchedEndpointLost Reception 2"],
            )
            .await;
    }

    async fn end(mut self) {
        drop(self.stack.exporter);
        self.expected
            .scene("the exporter is gone", &["pager: firing VobizTargetDown"])
            .await;
        self.expected.print();
    }
}
