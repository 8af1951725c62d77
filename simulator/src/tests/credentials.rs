//! Tests of authentication, authorization and unknown paths.

use super::{Setup, receive};
use crate::{AccountPlan, Login, TEST_ACCOUNT, TEST_SUB_ACCOUNT, World};

const PATH: &str = "/Account/MA_TEST0001/Endpoint/";

#[tokio::test]
async fn a_wrongly_spelled_path_is_refused_like_a_wrong_token() {
    let setup = Setup::of(World::still(1, 1)).await;
    for path in [
        "/account/MA_TEST0001/Endpoint/",
        "/Account/MA_TEST0001/endpoint/",
        "/Account/MA_TEST0001/Endpoint",
        "/Account/MA_TEST0001/Endpoint/1",
        "/Account/MA_TEST0001/",
        "",
    ] {
        let seen = setup.get(path).await;
        assert_eq!(
            (seen.status, seen.text().as_str()),
            (401, "Unauthorised"),
            "{path}"
        );
        assert_eq!(seen.header("www-authenticate"), None);
    }
}

#[tokio::test]
async fn a_missing_header_is_named() {
    let setup = Setup::of(World::still(1, 1)).await;
    let url = format!("{}{PATH}", setup.vendor.base_url());
    let none = receive(setup.client.get(&url)).await.unwrap();
    assert_eq!(none.status, 401);
    assert!(none.text().contains("X-Auth-ID"));
    let id = setup
        .client
        .get(&url)
        .header("X-Auth-ID", TEST_ACCOUNT.auth_id);
    assert!(receive(id).await.unwrap().text().contains("X-Auth-Token"));
    let presented = setup.vendor.requests()[1].presented;
    assert!(presented.auth_id && !presented.token && !presented.accepted);
}

#[tokio::test]
async fn a_replaced_token_is_invalid_at_once() {
    let setup = Setup::of(World::still(1, 1)).await;
    assert_eq!(setup.get(PATH).await.status, 200);
    setup
        .vendor
        .edit(|world| world.first_mut().token = "rotated".to_owned());
    let seen = setup.get(PATH).await;
    assert_eq!(seen.status, 401);
    assert_eq!(seen.json()["error"]["code"], "INVALID_CREDENTIALS");
    let accepted: Vec<_> = setup
        .vendor
        .requests()
        .iter()
        .map(|request| request.presented.accepted)
        .collect();
    assert_eq!(accepted, [true, false]);
}

#[tokio::test]
async fn an_account_is_not_accessible_with_credentials_of_another() {
    let mut world = World::still(1, 1);
    world.settle(AccountPlan::new("MA_OTHER", "other", 3).still());
    let setup = Setup::of(world).await;
    let status =
        async |path: &str, login: Login| receive(setup.request(path, login)).await.unwrap().status;
    let other = Login {
        auth_id: "MA_OTHER",
        token: "other",
    };
    assert_eq!(status("/Account/MA_OTHER/Endpoint/", other).await, 200);
    assert_eq!(
        status("/Account/MA_OTHER/Endpoint/", TEST_ACCOUNT).await,
        403
    );
    assert_eq!(
        status("/Account/SA_TEST0001/Endpoint/", TEST_ACCOUNT).await,
        403
    );
    assert_eq!(status(PATH, TEST_SUB_ACCOUNT).await, 403);
    assert_eq!(
        status("/Account/MA_NOBODY/Endpoint/", TEST_ACCOUNT).await,
        401
    );
    let mixed = Login {
        auth_id: "MA_OTHER",
        token: TEST_ACCOUNT.token,
    };
    assert_eq!(status("/Account/MA_OTHER/Endpoint/", mixed).await, 401);
}

#[tokio::test]
async fn only_reading_is_allowed() {
    let setup = Setup::of(World::still(1, 1)).await;
    let url = format!("{}{PATH}", setup.vendor.base_url());
    let post = setup
        .client
        .post(url)
        .header("X-Auth-ID", TEST_ACCOUNT.auth_id)
        .header("X-Auth-Token", TEST_ACCOUNT.token);
    assert_eq!(receive(post).await.unwrap().status, 405);
}
