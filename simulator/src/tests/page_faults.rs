//! Tests of page faults: what a client receives.

use serde_json::{Value, json};

use super::{Setup, ids};
use crate::{Count, Endpoint, Fault, PageFault, World};

#[tokio::test]
async fn an_ignored_offset_gives_the_first_rows_again() {
    let setup = Setup::faulty(45, Fault::page(PageFault::IgnoreOffset)).await;
    let (first, second) = (
        setup.list("limit=20").await,
        setup.list("limit=20&offset=20").await,
    );
    assert_eq!(first.ids(), second.ids());
    assert_eq!(second.json()["meta"]["offset"], 20);
}

#[tokio::test]
async fn limit_faults_ignore_clamp_or_shorten_pages() {
    let rows = async |fault| {
        let setup = Setup::faulty(45, Fault::page(fault)).await;
        let seen = setup.list("limit=30").await;
        (
            seen.rows().len(),
            seen.json()["meta"]["limit"].as_u64().unwrap(),
        )
    };
    assert_eq!(rows(PageFault::IgnoreLimit).await, (45, 30));
    assert_eq!(rows(PageFault::ClampLimit(7)).await, (7, 7));
    assert_eq!(rows(PageFault::ShortPage(7)).await, (7, 30));
}

#[tokio::test]
async fn the_count_can_be_wrong_in_every_way() {
    let meta = async |count| {
        let setup = Setup::faulty(45, Fault::page(PageFault::TotalCount(count))).await;
        (
            setup.list("").await.json()["meta"].clone(),
            setup.list("").await.json()["meta"].clone(),
        )
    };
    assert_eq!(meta(Count::Missing).await.0.get("total_count"), None);
    assert_eq!(meta(Count::Null).await.0["total_count"], Value::Null);
    assert_eq!(meta(Count::Text).await.0["total_count"], "45");
    let renamed = meta(Count::Renamed).await.0;
    assert_eq!(
        (renamed.get("total_count"), &renamed["total"]),
        (None, &json!(45))
    );
    assert_eq!(meta(Count::Exactly(7)).await.0["total_count"], 7);
    assert_eq!(meta(Count::Off(-5)).await.0["total_count"], 40);
    let (one, other) = meta(Count::Wandering).await;
    assert_ne!(one["total_count"], other["total_count"]);
}

#[tokio::test]
async fn objects_can_be_missing_null_or_empty() {
    let body = async |fault| {
        let setup = Setup::faulty(3, Fault::page(fault)).await;
        setup.list("").await.json()
    };
    assert_eq!(body(PageFault::NoObjects).await.get("objects"), None);
    assert_eq!(body(PageFault::NullObjects).await["objects"], Value::Null);
    let empty = body(PageFault::EmptyObjects).await;
    assert_eq!(
        (&empty["objects"], &empty["meta"]["total_count"]),
        (&json!([]), &json!(3))
    );
    assert_eq!(body(PageFault::NoMeta).await.get("meta"), None);
    assert_eq!(
        body(PageFault::Next("{\"a\":1}".to_owned())).await["meta"]["next"]["a"],
        1
    );
}

#[tokio::test]
async fn rows_can_be_broken_added_or_left_out() {
    let text = async |fault| {
        let setup = Setup::faulty(3, Fault::page(fault)).await;
        let known = setup.vendor.edit(|world| ids(world));
        (setup.list("").await, known)
    };
    let (broken, known) = text(PageFault::BrokenRows).await;
    assert!(known.iter().all(|id| !broken.text().contains(id.as_str())));
    assert_eq!(broken.rows().len(), 3);
    let (extra, known) = text(PageFault::ExtraRow(1, "null".to_owned())).await;
    assert_eq!(extra.rows()[1], Value::Null);
    assert_eq!(extra.rows()[2]["endpoint_id"], known[1].as_str());
    let (missing, known) = text(PageFault::MissingRow(0)).await;
    assert_eq!(missing.ids(), known[1..]);
    assert_eq!(missing.total(), 3);
}

#[tokio::test]
async fn an_unregistered_fault_applies_to_one_request() {
    let setup = Setup::faulty(20, Fault::page(PageFault::Unregistered).once()).await;
    let flags = setup.list("").await.each("sip_registered");
    assert!(flags.iter().all(|flag| flag == "false"));
    let flags = setup.list("").await.each("sip_registered");
    assert!(flags.iter().any(|flag| flag == "true"));
}

#[tokio::test]
async fn rows_shift_between_two_pages() {
    let setup = Setup::of(World::still(45, 1)).await;
    let known = setup.vendor.edit(|world| ids(world));
    let first = known[0].clone();
    setup.vendor.plan(
        Fault::edit(move |world| {
            world.first_mut().remove(&first);
            world.first_mut().push(Endpoint::new("new"));
        })
        .at_offsets(..20)
        .once(),
    );
    let mut seen = setup.list("limit=20").await.ids();
    seen.extend(setup.list("limit=20&offset=20").await.ids());
    seen.extend(setup.list("limit=20&offset=40").await.ids());
    assert!(
        !seen.contains(&known[20]),
        "the row at the border was never shown"
    );
    assert!(seen.contains(&known[0]) && seen.contains(&"new".to_owned()));
    assert_eq!(setup.list("").await.total(), 45);
}

#[tokio::test]
async fn faults_match_only_the_selected_requests() {
    let setup = Setup::of(World::still(45, 1)).await;
    let id = setup.vendor.edit(|world| ids(world)[0].clone());
    let detail = format!("/Account/MA_TEST0001/Endpoint/{id}/");
    let by_offset = setup.vendor.plan(Fault::status(500).at_offsets(20..40));
    let statuses = async || {
        let first = setup.list("offset=0").await.status;
        let second = setup.list("offset=20").await.status;
        (first, second, setup.get(&detail).await.status)
    };
    assert_eq!(statuses().await, (200, 500, 200));
    assert!(setup.vendor.cancel(by_offset));
    assert!(!setup.vendor.cancel(by_offset));
    setup.vendor.plan(Fault::status(502).for_endpoint(&id));
    assert_eq!(statuses().await, (200, 200, 502));
    setup
        .vendor
        .plan(Fault::status(503).for_account("MA_OTHER"));
    setup.vendor.heal();
    setup.vendor.plan(Fault::status(504).after(1).times(1));
    assert_eq!(statuses().await, (200, 504, 200));
    assert_eq!(statuses().await, (200, 200, 200));
}
