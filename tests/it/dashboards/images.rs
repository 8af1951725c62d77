//! Collects the data for the images of `docs/dashboards.md`. `make dashboard-images` runs this test.

use std::fs;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    board::{Board, boards},
    day::STEP,
    grafana::View,
    stage::Stage,
};
use crate::{harness::Prometheus, rules::path};

/// The output file, relative to the root of the repository.
const ANSWERS: &str = "target/dashboards/answers.json";

/// The responses of Prometheus by panel title. Each query has its step and its series, and each
/// series has its labels and samples.
async fn answers(board: &Board, prometheus: &Prometheus, endpoint: &str) -> Value {
    let view = View::opened(board, STEP, endpoint);
    let now = Timestamp::now().as_second();
    let mut panels = Map::new();
    for panel in board.panels() {
        let mut queries = Vec::new();
        for query in panel.queries() {
            let expression = view.fill(&query);
            let series = if query.instant {
                let samples = prometheus.query(&expression).await.into_iter();
                let series = samples.map(|one| json!([one.labels, [[now, one.value]]]));
                series.collect::<Vec<_>>()
            } else {
                let range = view.steps(&query, now);
                let series = prometheus.range(&expression, range).await.into_iter();
                series.map(|series| json!(series)).collect()
            };
            let step = view.interval(&query).as_secs();
            queries.push(json!({"step": step, "series": series}));
        }
        panels.insert(panel.title, json!(queries));
    }
    let begin = now - view.range.as_secs().cast_signed();
    json!({"begin": begin, "end": now, "panels": panels})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it proves nothing: `make dashboard-images` draws what it writes"]
async fn the_query_results_for_the_images_are_written() {
    let stage = Stage::set().await;
    let (id, _) = stage.lose_one_more();
    let firing = format!("ALERTS{{alertstate=\"firing\", endpoint_id=\"{id}\"}}");
    stage
        .ruled
        .until(&firing, |alerts| !alerts.is_empty())
        .await;
    let mut all = Map::new();
    for board in boards() {
        let answers = answers(&board, &stage.ruled, &id).await;
        all.insert(board.uid().to_owned(), answers);
    }
    let file = path(ANSWERS);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, Value::Object(all).to_string()).unwrap();
}
