//! What programs read is what the vendor, the metrics and the pages say.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    harness::{Exporter, Scrape, ask, get},
    pages::place::{HOSTILE, Place},
};

const MISSED: &str = "vobiz_endpoint_missed_timestamp_seconds";
const LISTS: [&str; 6] = [
    "accounts",
    "groups",
    "endpoints",
    "outages",
    "events",
    "walks",
];

/// The JSON of a path of the interface.
async fn json(exporter: &Exporter, path: &str) -> Value {
    let answer = get(exporter.address(), &format!("/api/v1/{path}")).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    serde_json::from_str(&answer.text()).unwrap()
}

/// All items of a list, read with pages of so many.
async fn items(exporter: &Exporter, list: &str, limit: usize) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = json(exporter, &format!("{list}?limit={limit}{cursor}")).await;
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= limit);
        all.extend(items.iter().cloned());
        let Some(next) = page["next_cursor"].as_str() else {
            return all;
        };
        let mut text = url::form_urlencoded::Serializer::new(String::new());
        cursor = format!("&{}", text.append_pair("cursor", next).finish());
    }
}

/// The rows of a list as CSV, each with its columns.
async fn rows(exporter: &Exporter, list: &str) -> Vec<BTreeMap<String, String>> {
    let path = format!("/api/v1/{list}?format=csv");
    let answer = get(exporter.address(), &path).await;
    assert_eq!(answer.status, 200, "{path}");
    let text = answer.text();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let rows = reader.deserialize::<BTreeMap<String, String>>();
    rows.map(Result::unwrap).collect()
}

/// A value as CSV has it.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn texts(items: &[Value], field: &str) -> BTreeSet<String> {
    items.iter().map(|item| cell(&item[field])).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_agree_with_the_vendor_the_metrics_and_themselves() {
    let place = Place::start(300).await;
    let exporter = &place.exporter;
    let is_quiet = |scrape: &Scrape| scrape.condition("branch") == "failing";
    exporter.until("a condition", is_quiet).await;

    for list in LISTS {
        let all = items(exporter, list, 1000).await;
        assert!(!all.is_empty(), "{list}");
        // Walks go on, so the lists of accounts, walks and events differ from moment to moment.
        if ["groups", "endpoints", "outages"].contains(&list) {
            assert_eq!(items(exporter, list, 7).await, all, "{list}");
            let rows = rows(exporter, list).await;
            assert_eq!(rows.len(), all.len(), "{list}");
            for (row, item) in rows.iter().zip(&all) {
                for (column, text) in row {
                    assert_eq!(*text, cell(&item[column]), "{list}: {column}");
                }
                assert_eq!(row.len(), item.as_object().unwrap().len(), "{list}");
            }
        }
    }

    let endpoints = items(exporter, "endpoints", 1000).await;
    let scrape = exporter.scrape().await;
    let main: Vec<_> = endpoints
        .iter()
        .filter(|one| one["account"] == "main")
        .cloned()
        .collect();
    let (known, unregistered) = place.endpoints();
    assert_eq!(texts(&main, "endpoint_id"), known);
    let lost = main
        .iter()
        .filter(|one| one["registration"] == "unregistered");
    let lost: Vec<_> = lost.cloned().collect();
    assert_eq!(texts(&lost, "endpoint_id"), unregistered);
    assert!(texts(&main, "alias").contains(HOSTILE));
    let missed = json(exporter, "endpoints?missed=true&account=main").await;
    let missed = missed["items"].as_array().unwrap();
    assert_eq!(missed.len(), scrape.count(MISSED, &["account=\"main\""]));
    let oldest = missed
        .iter()
        .min_by_key(|one| one["missed_since"].as_str())
        .unwrap();
    assert_eq!(oldest["endpoint_id"], *place.longest.1);

    let groups = items(exporter, "groups", 1000).await;
    for group in groups.iter().filter(|group| group["account"] == "main") {
        let name = group["group"].as_str().unwrap();
        let registered = group["registered"].as_u64().unwrap();
        let found = main.iter().filter(|one| one["group"] == name);
        assert_eq!(
            found.clone().count() as u64,
            group["endpoints"].as_u64().unwrap()
        );
        let found = found.filter(|one| one["registration"] == "registered");
        assert_eq!(found.count() as u64, registered, "{name}");
    }
    let outages = json(exporter, "outages?state=open").await;
    let outages = outages["items"].as_array().unwrap();
    assert_eq!(outages.len(), 1);
    assert_eq!(
        (&outages[0]["group"], &outages[0]["open"]),
        (&"mumbai".into(), &true.into())
    );
    let failing = json(exporter, "accounts?account=branch").await;
    let failing = &failing["items"][0];
    assert_eq!(
        (&failing["condition"], &failing["failure_status"]),
        (&"failing".into(), &503.into())
    );

    let detail = json(exporter, &format!("endpoints/main/{}", place.longest.1)).await;
    assert_eq!(
        (&detail["endpoint"], &detail["on_duty"]),
        (oldest, &true.into())
    );
    let member = lost.iter().find(|one| one["group"] == "mumbai").unwrap();
    let id = member["endpoint_id"].as_str().unwrap();
    let detail = json(exporter, &format!("endpoints/main/{id}")).await;
    assert_eq!(detail["outage"]["group"], "mumbai");
    let events = json(
        exporter,
        &format!("events?account=main&endpoint_id={id}&kind=lost"),
    )
    .await;
    assert_eq!(events["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_client_keeps_an_answer_while_it_holds() {
    let place = Place::start(60).await;
    let address = place.exporter.address();
    let path = "/api/v1/outages";
    let first = get(address, path).await;
    let tag = first.header("etag").unwrap();
    let again = ask(address, "GET", path, &[("If-None-Match", tag)]).await;
    assert_eq!((again.status, again.body.len()), (304, 0), "{again:?}");
    assert_eq!(again.header("content-type"), Some("application/json"));
    assert_eq!(again.header("etag"), Some(tag));
    let other = ask(address, "GET", path, &[("If-None-Match", "\"other\"")]).await;
    assert_eq!((other.status, other.body), (200, first.body));
    let head = ask(address, "HEAD", path, &[]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[tokio::test]
async fn errors_are_problem_details_that_name_what_is_wrong() {
    let place = Place::start(60).await;
    let address = place.exporter.address();
    for (path, status, reason) in [
        ("endpoints?limit=0", 400, "limit"),
        ("endpoints?limit=many", 400, "limit"),
        ("endpoints?watch=pager", 400, "watch"),
        ("endpoints?account=", 400, "account"),
        ("endpoints?colour=red", 400, "colour"),
        ("endpoints?limit=1&limit=2", 400, "limit"),
        ("endpoints?cursor=x", 400, "cursor"),
        ("events?cursor=x", 400, "cursor"),
        ("walks?cursor=main", 400, "cursor"),
        ("outages?cursor=past", 400, "cursor"),
        ("events?cursor=-1", 400, "cursor"),
        ("endpoints?cursor=%09", 400, "cursor"),
        ("endpoints?missed=on", 400, "missed"),
        ("endpoints?account=other", 404, "account"),
        ("endpoints/main/0", 404, "endpoint"),
        ("other", 404, "openapi.json"),
        ("endpoints?format=csv&account=other", 404, "account"),
    ] {
        let answer = get(address, &format!("/api/v1/{path}")).await;
        assert_eq!(answer.status, status, "{path}");
        let content_type = answer.header("content-type");
        assert_eq!(content_type, Some("application/problem+json"), "{path}");
        let problem: Value = serde_json::from_str(&answer.text()).unwrap();
        assert_eq!(problem["status"], status, "{path}");
        assert!(
            problem["detail"].as_str().unwrap().contains(reason),
            "{path}: {problem}"
        );
    }
    let answer = ask(address, "POST", "/api/v1/endpoints", &[]).await;
    assert_eq!(
        (answer.status, answer.header("allow")),
        (405, Some("GET, HEAD"))
    );
}
