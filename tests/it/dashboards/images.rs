//! Collects the data for the images of `docs/dashboards.md`. `make dashboard-images` runs this test.

use std::fs;

use serde_json::{Map, Value, json};

use super::{
    board::{View, boards, text},
    day::{self, STEP},
    past::stored,
};
use crate::rules::path;

/// The output file, relative to the root of the repository.
const ANSWERS: &str = "target/dashboards/answers.json";

/// Writes the responses of Prometheus by dashboard and panel. Each query has its step and its series, and each
/// series has its labels and samples.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it proves nothing: `make dashboard-images` draws what it writes"]
async fn the_query_results_for_the_images_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let (place, end) = (folder.path().to_owned(), day::end(STEP));
    let simulated = tokio::task::spawn_blocking(move || day::simulate(&place, end));
    let id = simulated.await.unwrap();
    let prometheus = stored(folder, STEP).await;
    let end = end.as_second();
    let mut all = Map::new();
    for board in boards() {
        let view = View {
            range: board.range(),
            scrape: STEP,
            endpoint: &id,
        };
        let begin = end - i64::try_from(view.range.as_secs()).unwrap();
        let mut panels = Map::new();
        for panel in board.panels() {
            let mut queries = Vec::new();
            for query in board.queries_of(panel) {
                let series = view.ask(&prometheus, &query, end).await;
                queries.push(json!({"step": view.step(&query).as_secs(), "series": series}));
            }
            panels.insert(text(&panel["title"]).to_owned(), json!(queries));
        }
        let answers = json!({"begin": begin, "end": end, "panels": panels});
        all.insert(board.uid().to_owned(), answers);
    }
    let file = path(ANSWERS);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, Value::Object(all).to_string()).unwrap();
}
