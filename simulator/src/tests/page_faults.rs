//! Pages that are wrong although they are answers.

use serde_json::{Value, json};

use super::{Story, ids};
use crate::{Count, Endpoint, Fault, PageFault, World};

#[tokio::test]
async fn an_ignored_offset_gives_the_first_rows_again() {
    let story = Story::faulty(45, Fault::page(PageFault::IgnoreOffset)).await;
    let (first, second) = (
        story.list("limit=20").await,
        story.list("limit=20&offset=20").await,
    );
    assert_eq!(first.ids(), second.ids());
    assert_eq!(second.json()["meta"]["offset"], 20);
}

#[tokio::test]
async fn limits_are_ignored_clamped_or_undercut_on_order() {
    let rows = async |fault| {
        let story = Story::faulty(45, Fault::page(fault)).await;
        let seen = story.list("limit=30").await;
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
        let story = Story::faulty(45, Fault::page(PageFault::TotalCount(count))).await;
        (
            story.list("").await.json()["meta"].clone(),
            story.list("").await.json()["meta"].clone(),
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
        let story = Story::faulty(3, Fault::page(fault)).await;
        story.list("").await.json()
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
        let story = Story::faulty(3, Fault::page(fault)).await;
        let known = story.vendor.edit(|world| ids(world));
        (story.list("").await, known)
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
async fn a_glitch_shows_everybody_unregistered_for_one_request() {
    let story = Story::faulty(20, Fault::page(PageFault::Unregistered).once()).await;
    let flags = story.list("").await.each("sip_registered");
    assert!(flags.iter().all(|flag| flag == "false"));
    let flags = story.list("").await.each("sip_registered");
    assert!(flags.iter().any(|flag| flag == "true"));
}

#[tokio::test]
async fn rows_shift_between_two_pages() {
    let story = Story::of(World::still(45, 1)).await;
    let known = story.vendor.edit(|world| ids(world));
    let first = known[0].clone();
    story.vendor.plan(
        Fault::edit(move |world| {
            world.first_mut().remove(&first);
            world.first_mut().push(Endpoint::new("new"));
        })
        .at_offsets(..20)
        .once(),
    );
    let mut seen = story.list("limit=20").await.ids();
    seen.extend(story.list("limit=20&offset=20").await.ids());
    seen.extend(story.list("limit=20&offset=40").await.ids());
    assert!(
        !seen.contains(&known[20]),
        "the row at the border was never shown"
    );
    assert!(seen.contains(&known[0]) && seen.contains(&"new".to_owned()));
    assert_eq!(story.list("").await.total(), 45);
}

#[tokio::test]
async fn faults_concern_only_the_requests_they_name() {
    let story = Story::of(World::still(45, 1)).await;
    let id = story.vendor.edit(|world| ids(world)[0].clone());
    let detail = format!("/Account/MA_TEST0001/Endpoint/{id}/");
    let by_offset = story.vendor.plan(Fault::status(500).at_offsets(20..40));
    let statuses = async || {
        let first = story.list("offset=0").await.status;
        let second = story.list("offset=20").await.status;
        (first, second, story.get(&detail).await.status)
    };
    assert_eq!(statuses().await, (200, 500, 200));
    assert!(story.vendor.cancel(by_offset));
    assert!(!story.vendor.cancel(by_offset));
    story.vendor.plan(Fault::status(502).for_endpoint(&id));
    assert_eq!(statuses().await, (200, 200, 502));
    story
        .vendor
        .plan(Fault::status(503).for_account("MA_OTHER"));
    story.vendor.heal();
    story.vendor.plan(Fault::status(504).after(1).times(1));
    assert_eq!(statuses().await, (200, 504, 200));
    assert_eq!(statuses().await, (200, 200, 200));
}
