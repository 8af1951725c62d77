//! Tests with the sample responses from the API's documentation, which contain every field.

use super::*;

const LIST_NARRATIVE: &str = include_str!("../testdata/list_narrative.json");
const LIST_SCHEMA: &str = include_str!("../testdata/list_schema.json");
const ENDPOINT_NARRATIVE: &str = include_str!("../testdata/endpoint_narrative.json");
const ENDPOINT_SCHEMA: &str = include_str!("../testdata/endpoint_schema.json");
const ENDPOINT_NOT_FOUND: &str = include_str!("../testdata/endpoint_not_found.json");

fn john() -> Endpoint {
    Endpoint {
        id: "87654321".to_owned(),
        username: text("john_doe"),
        alias: text("John's Desktop Phone"),
        registered: Some(true),
        expires_at: at("2025-10-28T11:30:00Z"),
        user_agent: text("Zoiper v5.4.5"),
        contact: text("192.168.1.100:5060"),
        received: None,
        application: application("12345678", Some("Customer Service App")),
        sub_account: None,
        created_at: at("2025-10-27T10:30:00Z"),
        updated_at: at("2025-10-28T09:15:00Z"),
        allowed: [true, true, false, true, false, true, true].map(Some),
        rejected: Fields::default(),
        assumed: Fields::default(),
    }
}

fn acme() -> Endpoint {
    Endpoint {
        id: "147322537258167".to_owned(),
        username: text("acme_sip_user_01"),
        alias: text("Acme Desktop Phone"),
        registered: Some(false),
        application: application("12345678901234567", None),
        ..Endpoint::default()
    }
}

fn endpoints(body: &str) -> (Vec<Endpoint>, Option<u64>) {
    let Page { rows, total, .. } = read_page(body, 20).unwrap();
    let endpoints = rows.into_iter().map(|row| row.content.unwrap()).collect();
    (endpoints, total)
}

#[test]
fn the_narrative_list_is_read_field_by_field() {
    let jane = Endpoint {
        id: "87654322".to_owned(),
        username: text("jane_smith"),
        alias: text("Jane's Mobile"),
        registered: Some(false),
        created_at: at("2025-10-26T14:20:00Z"),
        updated_at: at("2025-10-26T14:20:00Z"),
        allowed: [true, true, true, true, false, true, true].map(Some),
        ..Endpoint::default()
    };
    assert_eq!(endpoints(LIST_NARRATIVE), (vec![john(), jane], Some(45)));
}

#[test]
fn the_schemas_list_is_read_field_by_field() {
    let demo = Endpoint {
        id: "125649946800674".to_owned(),
        username: text("sipuser_demo"),
        alias: text("SIP Demo Phone"),
        registered: Some(false),
        ..Endpoint::default()
    };
    assert_eq!(endpoints(LIST_SCHEMA), (vec![acme(), demo], Some(4)));
}

#[test]
fn a_retrieved_endpoint_adds_the_address_that_the_registrar_saw() {
    let expected = Endpoint {
        received: text("203.0.113.42:5060"),
        ..john()
    };
    assert_eq!(read_record(ENDPOINT_NARRATIVE), Ok(expected));
    assert_eq!(read_record(ENDPOINT_SCHEMA), Ok(acme()));
}

#[test]
fn the_documented_error_is_no_page() {
    read_page(ENDPOINT_NOT_FOUND, 20).unwrap_err();
}
