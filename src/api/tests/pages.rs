//! Tests of the JSON around the rows, and of pages with unreadable rows.

use proptest::prelude::*;

use crate::api::{Error, ErrorKind, Page, Rejection, Row, row::read_page};

/// Decodes the response to a request for 100 rows.
fn page(body: &str) -> Result<Page, (ErrorKind, String)> {
    read_page(body, 100)
}

fn rows(objects: &str) -> Vec<Row> {
    page(&format!(r#"{{"objects":{objects}}}"#)).unwrap().rows
}

fn contents(objects: &str) -> Vec<Result<String, Rejection>> {
    let rows = rows(objects).into_iter();
    rows.map(|row| row.content.map(|endpoint| endpoint.id))
        .collect()
}

fn total(meta: &str) -> Option<u64> {
    page(&format!(r#"{{"meta":{meta},"objects":[]}}"#))
        .unwrap()
        .total
}

fn malformed(body: &str) -> String {
    match page(body) {
        Err((ErrorKind::Malformed, message)) => message,
        other => panic!("{body} gave {other:?}"),
    }
}

#[test]
fn the_total_is_read_from_any_form_of_a_number() {
    for (meta, expected) in [
        (r#"{"total_count":45}"#, Some(45)),
        (r#"{"total_count":"45"}"#, Some(45)),
        (r#"{"total":7}"#, Some(7)),
        (r#"{"total":7,"total_count":8}"#, Some(8)),
        (r#"{"total":7,"total_count":null}"#, Some(7)),
        (r#"{"total_count":-1}"#, None),
        (r#"{"total_count":1e3}"#, None),
        (r#"{"total_count":99999999999999999999999}"#, None),
        (r#"{"total_count":"many"}"#, None),
        (r#"{"total_count":[45]}"#, None),
        (r#"{"limit":20,"offset":0}"#, None),
        ("{}", None),
        ("null", None),
        ("[45]", None),
        ("45", None),
    ] {
        assert_eq!(total(meta), expected, "{meta}");
    }
}

#[test]
fn the_value_of_next_is_ignored() {
    for next in [
        "null",
        r#""""#,
        r#""/v1/Account/MA_1/Endpoint/?limit=20&offset=20""#,
        r#""https://elsewhere.example/""#,
        r#"{"a":[1]}"#,
        "17",
    ] {
        let meta = format!(r#"{{"next":{next},"previous":{next},"total_count":3}}"#);
        assert_eq!(total(&meta), Some(3), "{next}");
    }
}

#[test]
fn keys_have_any_order_and_unknown_keys_any_value() {
    let body = r#"{"objects":[{"x":{"y":[{}]},"alias":"a","endpoint_id":"1"}],"new":[[1,{"z":1e999}]],
        "api_id":null,"meta":{"total_count":1,"new":{}}}"#;
    let Page { rows, total, .. } = page(body).unwrap();
    assert_eq!(
        rows[0].content.as_ref().unwrap().alias.as_deref(),
        Some("a")
    );
    assert_eq!(total, Some(1));
}

#[test]
fn a_missing_list_is_never_an_empty_list() {
    assert_eq!(contents("[]"), []);
    for body in [
        r#"{"meta":{"total_count":0}}"#,
        r#"{"objects":null}"#,
        r#"{"objects":{}}"#,
        r#"{"objects":{"a":[1]}}"#,
        r#"{"objects":"[]"}"#,
        r#"{"objects":0}"#,
        r#"{"objects":-1}"#,
        r#"{"objects":0.5}"#,
        r#"{"objects":false}"#,
        "{}",
        "[]",
        r#"[{"total_count":0},null,null,[]]"#,
        "null",
        "",
        "<html></html>",
        r#"{"objects":[]"#,
        r#"{"objects":[{"endpoint_id":"1"}"#,
        r#"{"objects":[]} trailing"#,
        r#"[{"total_count":1},[]]"#,
    ] {
        malformed(body);
    }
}

#[test]
fn a_success_with_the_body_of_an_error_is_not_a_page() {
    for body in [
        r#"{"error":"boom","objects":[]}"#,
        r#"{"error":{"code":"X"},"objects":[]}"#,
        r#"{"objects":[],"status":"error"}"#,
        r#"{"status":"Error","message":"boom"}"#,
    ] {
        malformed(body);
    }
    for body in [
        r#"{"error":null,"objects":[]}"#,
        r#"{"error":"","objects":[],"status":"success"}"#,
        r#"{"objects":[],"error":{},"status":200}"#,
    ] {
        assert!(page(body).is_ok(), "{body}");
    }
}

#[test]
fn the_message_about_a_malformed_body_repeats_none_of_it() {
    for body in [
        r#""s3cret""#,
        r#"{"objects":"s3cret"}"#,
        "s3cret",
        r#"{"s3cret"#,
    ] {
        assert!(!malformed(body).contains("s3cret"), "{body}");
    }
}

#[test]
fn an_unreadable_row_affects_no_other_row() {
    use Rejection::{IdTooLong, NoId, NotAnObject, Undecodable};
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let long = "9".repeat(129);
    let objects = format!(
        r#"[{{"endpoint_id":"1"}}, null, 7, "text", [], {{}}, {{"endpoint_id":null}}, {{"endpoint_id":""}},
            {{"endpoint_id":1.5}}, {{"endpoint_id":true}}, {{"endpoint_id":["1"]}}, {{"endpoint_id":"{long}"}},
            {{"endpoint_id":{long}}}, {{"endpoint_id":"2","alias":"\ud800"}}, {{"endpoint_id":"\udfff"}},
            {{"\ud800":1,"endpoint_id":"2"}}, {deep}, {{"endpoint_id":"3","alias":{deep},"new":{deep}}}, {{"endpoint_id":4}}]"#
    );
    let id = |id: &str| Ok(id.to_owned());
    let expected = [
        id("1"),
        Err(NotAnObject),
        Err(NotAnObject),
        Err(NotAnObject),
        Err(NotAnObject),
        Err(NoId),
        Err(NoId),
        Err(NoId),
        Err(NoId),
        Err(NoId),
        Err(NoId),
        Err(IdTooLong),
        Err(IdTooLong),
        Err(Undecodable),
        Err(Undecodable),
        Err(Undecodable),
        Err(NotAnObject),
        id("3"),
        id("4"),
    ];
    assert_eq!(contents(&objects), expected);
}

#[test]
fn the_key_of_a_row_is_its_id_and_of_an_unreadable_row_its_bytes() {
    let rows = rows(
        r#"[{"endpoint_id":"12345678901234567","alias":"a"}, {"alias":"b","endpoint_id":12345678901234567},
            {"endpoint_id":"12345678901234568"}, {"alias":"x"}, {"alias":"x"}, {"alias":"y"}]"#,
    );
    let keys: Vec<_> = rows.iter().map(|row| row.key).collect();
    assert_eq!(keys[0], keys[1]);
    assert_ne!(keys[1], keys[2], "ids are not compared as floats");
    assert_eq!(keys[3], keys[4]);
    assert_ne!(keys[4], keys[5]);
}

#[test]
fn far_more_rows_than_the_limit_are_rejected() {
    let row = r#"{"endpoint_id":"1"},"#;
    let list = |count: usize| format!("[{}]", row.repeat(count).trim_end_matches(','));
    assert_eq!(rows(&list(109)).len(), 109);
    let body = format!(r#"{{"objects":{}}}"#, list(110));
    assert_eq!(page(&body).unwrap_err().0, ErrorKind::TooLarge);
}

proptest! {
    /// No body causes a panic or an overflow.
    #[test]
    fn any_body_is_read_or_rejected(body in any::<Vec<u8>>(), json in hostile_json()) {
        let _ = page(&String::from_utf8_lossy(&body));
        let _ = page(&json);
        let _ = page(&format!(r#"{{"objects":[{json}]}}"#));
        let _ = Error::of_status(429, None, &json);
        let row = format!(
            r#"{{"endpoint_id":"1","sip_expires":{json},"application":{json},"sub_account":{json},
                "sip_registration":{json},"alias":{json},"sip_registered":{json}}}"#
        );
        let _ = page(&format!(r#"{{"meta":{json},"objects":[{row}]}}"#));
    }
}

/// Parts of JSON and of API responses, in valid and invalid order.
fn hostile_json() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\ud800",
        "\\u0000",
        "null",
        "true",
        "-",
        "1e999",
        "\"endpoint_id\"",
        "\"objects\"",
        "\"error\"",
        "\"/\"",
        "\"app_id\"",
        "\"2025-10-28T11:30:00\"",
        "\"9999-12-31T23:59:60Z\"",
        "\"2025-10-2\u{e9}\"",
        "é",
        "99999999999999999999",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}
