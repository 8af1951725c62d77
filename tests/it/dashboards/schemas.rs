//! Tests that the schemas of Grafana contain every key of the dashboards.

use serde_json::{Value, json};

use super::board::boards;
use crate::{deploy::node, harness::Ended};

/// Validates the dashboards. The first run generates the schemas, which takes some seconds.
async fn verdict(dashboards: &[Value]) -> Ended {
    let dashboards = serde_json::to_string(dashboards).unwrap();
    node("tests/it/dashboards/schemas.mjs", &dashboards).await
}

#[tokio::test]
async fn grafana_knows_every_key_of_every_dashboard_and_wrong_keys_are_detected() {
    let good: Vec<_> = boards().into_iter().map(|board| board.json).collect();
    let judged = verdict(&good).await;
    let words = format!("{}{}", judged.out, judged.err);
    assert_eq!((judged.code, words.as_str()), (Some(0), ""));

    let mut spoiled = Vec::new();
    for (pointer, key, value) in [
        ("", "colour", json!("blue")),
        ("/panels/1/gridPos", "w", json!("wide")),
        ("/panels/1/fieldConfig/defaults", "unitt", json!("s")),
        ("/panels/1/options", "colorModee", json!("value")),
        ("/panels/1/targets/0", "expression", json!("up")),
    ] {
        let mut board = good[2].clone();
        let object = board.pointer_mut(pointer).unwrap().as_object_mut();
        object.unwrap().insert(key.to_owned(), value);
        spoiled.push(board);
    }
    for board in spoiled {
        let judged = verdict(&[board]).await;
        assert_eq!(judged.code, Some(1), "{judged:?}");
    }
}
