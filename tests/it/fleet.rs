//! An account of 100,000 endpoints.

use vobiz_simulator::{Options, START, Vendor, World};

use crate::harness::{Exporter, Scrape, accounts_config, auth_id, listed, plan, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_endpoints_are_all_shown_and_no_others() {
    let mut world = World::new(START, 7);
    world.settle(plan("main", 100_000));
    let options = Options {
        gzip: false,
        ..Options::default()
    };
    let vendor = Vendor::start(world, options).await.unwrap();
    let times = "poll: {interval: 60s, max_age: 5m, deadline: 50s}";
    let exporter = Exporter::start(&accounts_config(&vendor, "", [("main", times)])).await;
    // The test waits for a text on the start page, because repeated scrapes of 90 MB are slow.
    until("the first walk", || async {
        let (.., landing) = exporter.get("/").await;
        landing.contains(" of 100000</td>").then_some(())
    })
    .await;
    // Metrics can show a walk a little later than a page.
    let is_up = |scrape: &Scrape| scrape.up("main") == Some(1.0);
    let scrape = exporter.until("its metrics", is_up).await;
    assert_eq!(scrape.only("vobiz_walk_pages", "main"), Some(1_011.0));
    let shown = scrape.endpoints("main");
    assert_eq!(shown.len(), 100_000);
    let listed = listed(&vendor, &auth_id("main"));
    assert!(shown == listed, "every endpoint, and in its state");
}
