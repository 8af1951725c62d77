//! Tests the report of `--config.check.live` about the list of every account.

use std::time::Duration;

use vobiz_simulator::{Effect, Fault, Options, Shape, TEST_ACCOUNT, Vendor, World};

use crate::harness::{self, Program, accounts_config, auth_id, configuration};

async fn vendor_of(endpoints: usize) -> Vendor {
    let world = World::still(endpoints, 7);
    Vendor::start(world, Options::default()).await.unwrap()
}

fn with_a_wrong_token(vendor: &Vendor) -> String {
    configuration(vendor, "").replace(TEST_ACCOUNT.token, "wrong-token")
}

#[tokio::test]
async fn a_live_check_reports_endpoints_and_matching_groups() {
    let vendor = vendor_of(300).await;
    let last = vendor.edit(|world| world.first().at(299).unwrap().username.clone());
    let text = configuration(&vendor, "").replace(
        "auth_token: test-token-not-a-secret",
        "auth_token: test-token-not-a-secret, groups: [\
         {name: last, match: {username: \"LAST\"}}, \
         {name: all, match: {username: \".+\"}, watch: page}, \
         {name: none, match: {alias: \"no such alias\"}, min_registered: 2}, \
         {name: list, match: {usernames: [LAST, \"lost desk\"]}}]",
    );
    let text = text.replace("LAST", &last);
    let checked = Program::configured(&text, &["--config.check.live"])
        .run()
        .await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let warnings = checked
        .err
        .lines()
        .filter(|line| line.contains("level=warn"));
    let others = warnings.filter(|line| !line.contains("members of a group"));
    assert_eq!(others.count(), 0, "{checked:?}");
    for line in [
        "configuration is valid: 1 account (main)",
        "main: credentials accepted",
        "main: endpoints: 300, ",
        "main: registration details in rows: yes\n",
        "main: group last (watch notice): 1 matched, ",
        "main: group all (watch page): 299 matched, ",
        "main: group none (watch notice): 0 matched, 0 registered\n",
        "main: group none: below its minimum of 2 registered\n",
        "main: group list: 1 listed members do not exist: lost desk\n",
        " endpoints would page in 5 minutes\n",
    ] {
        assert!(checked.out.contains(line), "{line} in {}", checked.out);
    }
    assert!(!checked.out.contains("WebRTC"), "{}", checked.out);
    assert_eq!(vendor.counts().requests, 4, "overlapping pages");

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
    let details = "main: registration details in rows: unknown, none registered\n";
    assert!(checked.out.contains(details), "{checked:?}");
}

#[tokio::test]
async fn a_live_check_reports_whether_rows_have_registration_details() {
    for (shape, expected) in [
        (
            Shape::Captured,
            "no, the expiry needs a request for each endpoint\n",
        ),
        (Shape::Plivo, "yes\n"),
    ] {
        let vendor = vendor_of(50).await;
        vendor.edit(|world| world.first_mut().shape = shape);
        let checked = Program::configured(&configuration(&vendor, ""), &["--config.check.live"])
            .run()
            .await;
        assert_eq!(checked.code, Some(0), "{checked:?}");
        let expected = format!("main: registration details in rows: {expected}");
        assert!(checked.out.contains(&expected), "{expected} in {checked:?}");
    }
}

#[tokio::test]
async fn a_live_check_exits_with_1_when_credentials_are_refused() {
    let vendor = vendor_of(5).await;
    let text = with_a_wrong_token(&vendor);
    let checked = Program::configured(&text, &["--config.check.live"])
        .run()
        .await;
    assert_eq!(checked.code, Some(1));
    assert!(checked.out.contains("main: FAILED: "), "{checked:?}");
    assert!(checked.out.contains("status 401"), "{checked:?}");
    assert!(
        checked.err.ends_with("1 of 1 accounts failed\n"),
        "{checked:?}"
    );

    let valid = Program::configured(&text, &["--config.check"]).run().await;
    assert_eq!(
        valid.code,
        Some(0),
        "only the live check uses the token: {valid:?}"
    );
}

#[tokio::test]
async fn accounts_are_read_concurrently_and_reported_in_their_order() {
    let names = ["slow", "refused", "well"];
    let vendor = harness::vendor(names.map(|name| (name, 150))).await;
    let slow = Effect::Drip(10_000, Duration::from_millis(50));
    vendor.plan(Fault::new(slow).for_account(auth_id("slow")));
    vendor.plan(Fault::status(401).for_account(auth_id("refused")));
    let text = accounts_config(&vendor, "", names.map(|name| (name, "")));
    let checked = Program::configured(&text, &["--config.check.live"])
        .run()
        .await;
    assert_eq!(checked.code, Some(1), "{checked:?}");
    let reported: Vec<_> = (checked.out.lines())
        .filter(|line| line.contains("endpoints: ") || line.contains("FAILED"))
        .map(|line| line.split(':').next().unwrap())
        .collect();
    assert_eq!(reported, names);
    assert!(
        checked.err.ends_with("1 of 3 accounts failed\n"),
        "{checked:?}"
    );
}
