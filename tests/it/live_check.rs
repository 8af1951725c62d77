//! The check against the vendor: one page of every account, and what it tells.

use vobiz_exporter::sim::{Options, Shape, TEST_ACCOUNT, Vendor, World};

use crate::stand::{Program, configuration};

async fn vendor_of(endpoints: usize) -> Vendor {
    let world = World::still(endpoints, 7);
    Vendor::start(world, Options::default()).await.unwrap()
}

/// The configuration for `vendor` with a token that it does not know.
fn with_a_wrong_token(vendor: &Vendor) -> String {
    configuration(vendor, "").replace(TEST_ACCOUNT.token, "wrong-token")
}

#[tokio::test]
async fn a_live_check_tells_what_came_and_which_groups_matched() {
    let vendor = vendor_of(250).await;
    let text = configuration(&vendor, "").replace(
        "auth_token: test-token-not-a-secret",
        "auth_token: test-token-not-a-secret, groups: [\
         {name: everybody, match: {username: \".+\"}, watch: page}, \
         {name: nobody, match: {alias: \"no such alias\"}}]",
    );
    let checked = Program::configured(&text, &["--config.check.live"])
        .run()
        .await;
    assert_eq!((checked.code, checked.err.as_str()), (Some(0), ""));
    for line in [
        "configuration is valid: 1 account (main)",
        "main: credentials accepted",
        "main: endpoints: 250; 100 on the first page, ",
        "main: row shape: documented (registration details in rows)\n",
        "main: application: an object\n",
        "main: group everybody (watch page): 100 matched",
        "main: group nobody (watch notice): 0 matched",
    ] {
        assert!(checked.out.contains(line), "{line} in {}", checked.out);
    }
    assert!(!checked.out.contains("WebRTC"), "{}", checked.out);
    assert_eq!(vendor.counts().requests, 1, "one page for each account");

    vendor.edit(|world| {
        let account = world.first_mut();
        account.edit_all(|endpoint| endpoint.registration = None);
    });
    let checked = Program::configured(&text, &["--config.check.live"])
        .run()
        .await;
    assert_eq!(checked.code, Some(0));
    assert!(
        checked.out.contains("main: none registered: "),
        "{checked:?}"
    );
    assert!(checked.out.contains("WebRTC"), "{checked:?}");
    let shape = "main: row shape: documented, none registered on this page\n";
    assert!(checked.out.contains(shape), "{checked:?}");
}

#[tokio::test]
async fn a_live_check_tells_which_of_the_documented_shapes_rows_have() {
    for (shape, expected) in [
        (
            Shape::Captured,
            "short (no registration fields; expiry only by retrieving each endpoint)\n\
             main: application: a path that ends in its id\n",
        ),
        (Shape::Plivo, "short, with registration details in rows\n"),
    ] {
        let vendor = vendor_of(50).await;
        vendor.edit(|world| world.first_mut().shape = shape);
        let checked = Program::configured(&configuration(&vendor, ""), &["--config.check.live"])
            .run()
            .await;
        assert_eq!(checked.code, Some(0), "{checked:?}");
        let expected = format!("main: row shape: {expected}");
        assert!(checked.out.contains(&expected), "{expected} in {checked:?}");
    }
}

#[tokio::test]
async fn a_live_check_fails_with_1_when_credentials_are_refused() {
    let vendor = vendor_of(5).await;
    let text = with_a_wrong_token(&vendor);
    let checked = Program::configured(&text, &["--config.check.live"])
        .run()
        .await;
    assert_eq!(checked.code, Some(1));
    assert!(checked.out.contains("main: FAILED: "), "{checked:?}");
    assert!(checked.out.contains("status 401"), "{checked:?}");
    assert_eq!(checked.err, "1 of 1 accounts failed\n");

    let valid = Program::configured(&text, &["--config.check"]).run().await;
    assert_eq!(
        valid.code,
        Some(0),
        "only the live check can know: {valid:?}"
    );
}
