//! Every endpoint and only those, however the list is cut into pages.

use std::collections::BTreeSet;

use vobiz_exporter::sim::{Options, TEST_ACCOUNT, Vendor, World};

use crate::stand::{Exporter, Scrape, configuration};

fn ids(scrape: &Scrape) -> BTreeSet<String> {
    let id = |(labels, _): (&str, f64)| {
        let rest = labels.split("endpoint_id=\"").nth(1)?;
        Some(rest.split('"').next()?.to_owned())
    };
    scrape
        .family("vobiz_endpoint_info")
        .map(|sample| id(sample).expect("an id"))
        .collect()
}

#[tokio::test]
async fn a_fleet_is_shown_whole_and_as_the_list_says() {
    for count in [0, 1, 45, 100, 101, 1_000] {
        let vendor = Vendor::start(World::still(count, 7), Options::default())
            .await
            .unwrap();
        let exporter = Exporter::start(&configuration(&vendor, "")).await;
        let scrape = exporter
            .until("the first walk", |scrape| scrape.up("main") == Some(1.0))
            .await;
        let (expected, registered) = vendor.edit(|world| {
            let account = world.account(TEST_ACCOUNT.auth_id).unwrap();
            let ids: BTreeSet<_> = account.endpoints().map(|one| one.id().to_owned()).collect();
            (ids, account.registered())
        });
        assert_eq!(ids(&scrape), expected);
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let registered = registered as f64;
        let labels = ["account=\"main\"", "registration=\"registered\""];
        assert_eq!(scrape.value("vobiz_endpoints", &labels), Some(registered));
        assert_eq!(exporter.terminate().await.code, Some(0));
    }
}
