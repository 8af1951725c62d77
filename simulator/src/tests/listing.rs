//! Tests of list and retrieve responses, as the vendor's documents describe them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Setup, ids, receive};
use crate::{
    Account, Endpoint, Order, START, Shape, TEST_ACCOUNT, TEST_SUB_ACCOUNT, World, hostile_rows,
};

/// A world of three endpoints with various values in the fields that the filters compare.
fn small() -> World {
    let mut world = World::new(START, 1);
    let mut account = Account::new(TEST_ACCOUNT.auth_id, TEST_ACCOUNT.token);
    account.push(
        Endpoint::new("1")
            .username("desk_1")
            .alias("John's Phone")
            .application("12345678901234567"),
    );
    account.push(
        Endpoint::new("2")
            .username("desk_2")
            .alias("Reception & Hall")
            .registered_until(START),
    );
    let mut third = Endpoint::new("3").username("web_desk").alias("Reception");
    third.sub_account = Some("SA_1".to_owned());
    account.push(third);
    world.add(account);
    world
}

#[tokio::test]
async fn every_documented_filter_works() {
    let setup = Setup::of(small()).await;
    for (query, expected) in [
        ("", "123"),
        ("username__contains=desk", "123"),
        ("username__contains=desk_", "12"),
        ("username__exact=desk_2", "2"),
        ("username__startswith=web", "3"),
        ("alias__contains=Reception", "23"),
        ("alias__contains=%26+H", "2"),
        ("alias__exact=Reception", "3"),
        ("alias__exact=John%27s%20Phone", "1"),
        ("application_id__exact=12345678901234567", "1"),
        ("application_id__isnull=true", "23"),
        ("application_id__isnull=False", "1"),
        ("sub_account=SA_1", "3"),
        ("sub_account=SA_2", ""),
        ("username__contains=desk&alias__contains=Hall", "2"),
        ("colour=green", "123"),
    ] {
        let seen = setup.list(query).await;
        assert_eq!(seen.ids().concat(), expected, "{query}");
        assert_eq!(seen.total(), expected.len() as u64, "{query}");
    }
}

#[tokio::test]
async fn bad_parameters_are_refused() {
    let setup = Setup::of(small()).await;
    for (query, status) in [
        ("limit=0", 422),
        ("limit=ten", 422),
        ("limit=-1", 422),
        ("offset=-1", 422),
        ("offset=1.5", 422),
        ("application_id__exact=abc", 400),
        ("application_id__isnull=perhaps", 400),
    ] {
        assert_eq!(setup.list(query).await.status, status, "{query}");
    }
    let seen = setup.list("limit=0").await.json();
    assert_eq!(seen["error"]["code"], "VALIDATION_ERROR");
    assert_eq!(seen["error"]["details"]["errors"][0]["field"], "limit");
}

#[tokio::test]
async fn pages_cover_the_list_once_and_end() {
    let setup = Setup::of(World::still(45, 1)).await;
    let everything = setup.vendor.edit(|world| ids(world));
    let first = setup.list("").await;
    assert_eq!(first.ids(), everything[..20]);
    assert_eq!(first.total(), 45);
    let mut found = Vec::new();
    for offset in [0, 20, 40, 45, 1000] {
        found.extend(setup.list(&format!("limit=20&offset={offset}")).await.ids());
    }
    assert_eq!(found, everything);
    let past = setup.list("limit=20&offset=1000").await.json();
    assert_eq!(past["objects"], json!([]));
    assert_eq!(past["meta"]["total_count"], 45);
    assert_eq!(past["meta"]["next"], Value::Null);
}

#[tokio::test]
async fn the_limit_is_clamped_to_what_the_account_allows() {
    let setup = Setup::of(World::still(250, 1)).await;
    let seen = setup.list("limit=1000").await;
    assert_eq!(seen.rows().len(), 100);
    assert_eq!(seen.json()["meta"]["limit"], 100);
    setup.vendor.edit(|world| world.first_mut().max_limit = 20);
    assert_eq!(setup.list("limit=100").await.rows().len(), 20);
}

#[tokio::test]
async fn links_are_relative_to_a_path_that_does_not_work() {
    let setup = Setup::of(World::still(45, 1)).await;
    let meta = &setup
        .list("limit=20&offset=20&username__contains=e")
        .await
        .json()["meta"];
    let link = "/v1/Account/MA_TEST0001/Endpoint/?limit=20&offset=0&username__contains=e";
    assert_eq!(meta["previous"], link);
    let meta = &setup.list("limit=20").await.json()["meta"];
    assert_eq!(
        meta["next"],
        "/v1/Account/MA_TEST0001/Endpoint/?limit=20&offset=20"
    );
    assert_eq!(meta["previous"], Value::Null);
}

#[tokio::test]
async fn documented_rows_have_every_field_of_the_document() {
    let setup = Setup::of(small()).await;
    let rows = setup.list("").await.rows();
    assert_eq!(rows[1]["sip_registered"], "true");
    assert_eq!(rows[1]["sip_contact"], "192.168.1.100:5060");
    assert_eq!(rows[1]["sip_expires"], START.to_string());
    assert_eq!(rows[1]["application"], Value::Null);
    assert_eq!(rows[0]["sip_registered"], "false");
    assert_eq!(rows[0]["sip_expires"], Value::Null);
    assert_eq!(rows[0]["application"]["app_id"], "12345678901234567");
    assert_eq!(rows[0]["alias"], "John's Phone");
    assert_eq!(rows[2]["sub_account"], "SA_1");
    assert_eq!(rows[0].as_object().unwrap().len(), 20);
}

#[tokio::test]
async fn captured_rows_have_eight_keys() {
    let mut world = small();
    world.first_mut().shape = Shape::Captured;
    let setup = Setup::of(world).await;
    let rows = setup.list("").await.rows();
    let keys: BTreeSet<_> = rows[1]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let expected = [
        "alias",
        "application",
        "endpoint_id",
        "resource_uri",
        "sip_registered",
        "sip_uri",
        "sub_account",
        "username",
    ];
    assert_eq!(keys, BTreeSet::from(expected));
    assert_eq!(
        rows[0]["application"],
        "/v1/Account/MA_TEST0001/Application/12345678901234567/"
    );
    assert_eq!(rows[1]["sip_registered"], "true");
}

#[tokio::test]
async fn plivo_rows_omit_unknown_fields() {
    let mut world = small();
    world.first_mut().shape = Shape::Plivo;
    let setup = Setup::of(world).await;
    let rows = setup.list("").await.rows();
    assert_eq!(rows[1]["sip_expires"], "2026-03-02 04:30:00");
    assert!(rows[0].get("sip_expires").is_none());
}

#[tokio::test]
async fn a_retrieve_adds_the_registration_of_a_registered_endpoint() {
    let setup = Setup::of(small()).await;
    let path = |id: &str| format!("/Account/MA_TEST0001/Endpoint/{id}/");
    let two = setup.get(&path("2")).await.json();
    assert_eq!(two["sip_registration"]["expires"], START.to_string());
    assert_eq!(two["sip_registration"]["received"], "203.0.113.42:5060");
    assert!(two.get("sip_contact").is_none());
    let one = setup.get(&path("1")).await.json();
    assert!(one.get("sip_registration").is_none());
    assert_eq!(one["application"]["answer_method"], "POST");
    let none = setup.get(&path("99999999")).await;
    assert_eq!(none.status, 404);
    assert_eq!(
        none.json(),
        json!({"error": "Endpoint not found", "endpoint_id": "99999999"})
    );
    setup
        .vendor
        .edit(|world| world.first_mut().shape = Shape::Captured);
    let two = setup.get(&path("2")).await.json();
    assert_eq!(
        two["sip_registration"]["user_agent"],
        "Yealink SIP-T46U 108.86.0.20"
    );
}

#[tokio::test]
async fn a_sub_account_sees_its_own_endpoints_and_no_others() {
    let setup = Setup::of(World::still(64, 1)).await;
    let path = "/Account/SA_TEST0001/Endpoint/?limit=100";
    let own = receive(setup.request(path, TEST_SUB_ACCOUNT))
        .await
        .unwrap();
    assert_eq!(own.total(), 8);
    let filtered = setup.list("limit=100&sub_account=SA_TEST0001").await;
    assert_eq!(own.ids(), filtered.ids());
    assert_eq!(setup.list("").await.total(), 64);
    setup
        .vendor
        .edit(|world| world.first_mut().lists_sub_accounts = false);
    assert_eq!(setup.list("").await.total(), 56);
    assert_eq!(setup.list("sub_account=SA_TEST0001").await.total(), 8);
    let foreign = setup.vendor.edit(|world| ids(world)[0].clone());
    let path = format!("/Account/SA_TEST0001/Endpoint/{foreign}/");
    assert_eq!(
        receive(setup.request(&path, TEST_SUB_ACCOUNT))
            .await
            .unwrap()
            .status,
        404
    );
}

#[tokio::test]
async fn a_hidden_endpoint_is_counted_but_not_shown() {
    let setup = Setup::of(World::still(10, 1)).await;
    let hidden = setup.vendor.edit(|world| {
        let id = ids(world)[3].clone();
        assert!(world.first_mut().hide(&id, true));
        id
    });
    let seen = setup.list("").await;
    assert_eq!((seen.total(), seen.rows().len()), (10, 9));
    assert!(!seen.ids().contains(&hidden));
    setup
        .vendor
        .edit(|world| world.first_mut().hide(&hidden, false));
    assert_eq!(setup.list("").await.rows().len(), 10);
    setup
        .vendor
        .edit(|world| world.first_mut().total_count = Some(12));
    assert_eq!(setup.list("").await.total(), 12);
}

#[tokio::test]
async fn a_shuffled_list_has_another_order_for_each_request() {
    let setup = Setup::of(World::still(50, 1)).await;
    setup
        .vendor
        .edit(|world| world.first_mut().order = Order::Shuffled);
    let (one, other) = (
        setup.list("limit=50").await.ids(),
        setup.list("limit=50").await.ids(),
    );
    assert_ne!(one, other);
    assert_eq!(BTreeSet::from_iter(one), BTreeSet::from_iter(other));
}

#[tokio::test]
async fn hostile_text_and_hostile_rows_are_returned_unchanged() {
    let alias = "a\"b\\c\nd\u{0}\u{7f}é☎";
    let mut world = World::new(START, 1);
    world.add(Account::new(TEST_ACCOUNT.auth_id, TEST_ACCOUNT.token));
    world
        .first_mut()
        .push(Endpoint::new("1").alias(alias).username("u\"x"));
    let setup = Setup::of(world).await;
    let seen = setup.list("").await;
    assert_eq!(seen.each("alias"), [alias]);
    assert_eq!(seen.each("sip_uri"), ["sip:u\"x@registrar.vobiz.ai"]);
    setup.vendor.edit(|world| {
        for (number, row) in hostile_rows().into_iter().enumerate() {
            world
                .first_mut()
                .push(Endpoint::new(format!("raw{number}")).raw(row.json));
        }
    });
    let body = setup.list("limit=100").await.text();
    for row in hostile_rows() {
        assert!(body.contains(&row.json), "{}", row.what);
    }
}

#[test]
fn a_world_answers_without_a_socket() {
    let mut world = World::still(3, 1);
    let path = "/api/v1/Account/MA_TEST0001/Endpoint/?limit=2";
    let (status, body) = world.ask(path, TEST_ACCOUNT);
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (status, body["objects"].as_array().unwrap().len()),
        (200, 2)
    );
    assert_eq!(world.ask(path, TEST_SUB_ACCOUNT).0, 403);
}
