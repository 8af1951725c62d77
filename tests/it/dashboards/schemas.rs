//! Tests that the schemas of Grafana contain every key of the dashboards.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, process::Command};

use super::board::boards;
use crate::{
    deploy::program,
    harness::Ended,
    rules::{path, read},
};

/// Validates the dashboards. The first run generates the schemas, which takes some seconds.
async fn verdict(dashboards: &[Value]) -> Ended {
    let mut node = Command::new(program("node"))
        .args([
            "--input-type=module",
            "--eval",
            &read("tests/it/dashboards/schemas.mjs"),
        ])
        .current_dir(path("target/npm"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = node.stdin.take().unwrap();
    let dashboards = serde_json::to_vec(dashboards).unwrap();
    stdin.write_all(&dashboards).await.unwrap();
    drop(stdin);
    node.wait_with_output().await.unwrap().into()
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
