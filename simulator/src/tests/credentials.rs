//! Who may ask what, and what a wrong path looks like.

use super::{Story, see};
use crate::{AccountPlan, Login, TEST_ACCOUNT, TEST_SUB_ACCOUNT, World};

const PATH: &str = "/Account/MA_TEST0001/Endpoint/";

#[tokio::test]
async fn a_wrongly_spelled_path_is_refused_like_a_wrong_token() {
    let story = Story::of(World::still(1, 1)).await;
    for path in [
        "/account/MA_TEST0001/Endpoint/",
        "/Account/MA_TEST0001/endpoint/",
        "/Account/MA_TEST0001/Endpoint",
        "/Account/MA_TEST0001/Endpoint/1",
        "/Account/MA_TEST0001/",
        "",
    ] {
        let seen = story.get(path).await;
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
    let story = Story::of(World::still(1, 1)).await;
    let url = format!("{}{PATH}", story.vendor.base_url());
    let none = see(story.client.get(&url)).await.unwrap();
    assert_eq!(none.status, 401);
    assert!(none.text().contains("X-Auth-ID"));
    let id = story
        .client
        .get(&url)
        .header("X-Auth-ID", TEST_ACCOUNT.auth_id);
    assert!(see(id).await.unwrap().text().contains("X-Auth-Token"));
    let presented = story.vendor.requests()[1].presented;
    assert!(presented.auth_id && !presented.token && !presented.accepted);
}

#[tokio::test]
async fn a_rotated_token_dies_at_once() {
    let story = Story::of(World::still(1, 1)).await;
    assert_eq!(story.get(PATH).await.status, 200);
    story
        .vendor
        .edit(|world| world.first_mut().token = "rotated".to_owned());
    let seen = story.get(PATH).await;
    assert_eq!(seen.status, 401);
    assert_eq!(seen.json()["error"]["code"], "INVALID_CREDENTIALS");
    let accepted: Vec<_> = story
        .vendor
        .requests()
        .iter()
        .map(|request| request.presented.accepted)
        .collect();
    assert_eq!(accepted, [true, false]);
}

#[tokio::test]
async fn nobody_sees_the_account_of_somebody_else() {
    let mut world = World::still(1, 1);
    world.settle(AccountPlan::new("MA_OTHER", "other", 3).still());
    let story = Story::of(world).await;
    let status =
        async |path: &str, login: Login| see(story.request(path, login)).await.unwrap().status;
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
    let story = Story::of(World::still(1, 1)).await;
    let url = format!("{}{PATH}", story.vendor.base_url());
    let post = story
        .client
        .post(url)
        .header("X-Auth-ID", TEST_ACCOUNT.auth_id)
        .header("X-Auth-Token", TEST_ACCOUNT.token);
    assert_eq!(see(post).await.unwrap().status, 405);
}
