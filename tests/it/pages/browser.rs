//! What a person can do on the pages in Debian's Chromium, with and without JavaScript.

use serde_json::json;

use super::place::{HOSTILE, Place};
use crate::{deploy::node, harness::tool, rules::path};

/// Runs the checks of `browser.mjs`. It also writes screenshots into the folder `images`, if there is one.
async fn look(place: &Place, images: Option<&str>) {
    let (name, id) = &place.longest;
    let question = json!({
        "program": tool("CHROMIUM", "chromium"),
        "base": format!("http://{}", place.exporter.address()),
        "longest": {"name": name, "id": id, "search": &name[..5]},
        "hostile": {"name": HOSTILE},
        "images": images,
    });
    let ended = node("tests/it/pages/browser.mjs", &question.to_string()).await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_finds_what_is_missed_in_chromium() {
    let place = Place::start(300).await;
    look(&place, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it needs an optimized build: make pages"]
async fn a_person_finds_the_longest_missed_of_a_hundred_thousand() {
    let place = Place::start(100_000).await;
    look(&place, None).await;
}

/// `make page-images` runs this test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it writes the images of docs/pages.md: make page-images"]
async fn the_screenshots_of_the_documentation_are_written() {
    let place = Place::start(300).await;
    let images = path("docs/images");
    std::fs::create_dir_all(&images).unwrap();
    look(&place, Some(&images.display().to_string())).await;
}
