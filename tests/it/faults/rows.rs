//! Invalid rows and wrong clocks in successful responses.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use vobiz_simulator::{
    Effect, Endpoint, Fault, Options, Pace, Reading, START, Vendor, World, hostile_rows,
};

use crate::harness::{accounts_config, auth_id, label, listed, once, plan};

#[tokio::test]
async fn a_hostile_row_affects_no_other_row() {
    let rows = hostile_rows();
    let mut world = World::new(START, 7);
    world.settle(plan("hostile", 45));
    let account = world.account_mut(&auth_id("hostile")).unwrap();
    for (number, row) in rows.iter().enumerate() {
        account.insert(
            2 * number,
            Endpoint::new(format!("hostile{number}")).raw(row.json.as_str()),
        );
    }
    let vendor = Vendor::start(world, Options::default()).await.unwrap();
    let configuration = accounts_config(&vendor, "page_size: 20", [("hostile", "")]);
    let scrape = once(&configuration).await;
    assert_eq!(scrape.up("hostile"), Some(1.0));

    let shown = scrape.endpoints("hostile");
    let listed = listed(&vendor, &auth_id("hostile"));
    for (id, state) in listed.iter().filter(|(id, _)| !id.starts_with("hostile")) {
        assert_eq!(shown.get(id), Some(state), "an honest row");
    }
    let mut kept = 45;
    for row in &rows {
        match &row.reading {
            Reading::Kept(id) => assert!(shown.contains_key(id), "{}", row.what),
            Reading::Rejected | Reading::Either => continue,
        }
        kept += 1;
    }
    let either = rows
        .iter()
        .filter(|row| row.reading == Reading::Either)
        .count();
    assert!(
        (kept..=kept + either).contains(&shown.len()),
        "and no other row"
    );
    let rejected: f64 = (scrape.of_account("vobiz_walk_rejected_rows", "hostile"))
        .map(|(_, rows)| rows)
        .sum();
    let sum = rejected + f64::from(u32::try_from(shown.len()).unwrap());
    assert_eq!(
        scrape.only("vobiz_walk_reported_endpoints", "hostile"),
        Some(sum)
    );
    assert_eq!(
        scrape.only("vobiz_walk_missing_endpoints", "hostile"),
        Some(0.0)
    );

    let of = |family: &str, id: &str| {
        let id = format!("endpoint_id=\"{id}\"");
        let found = scrape
            .family(family)
            .find(|(labels, _)| labels.contains(&id));
        found.map(|(labels, value)| (labels.to_owned(), value))
    };
    let alias = |id| label(&of("vobiz_endpoint_info", id).unwrap().0, "alias").to_owned();
    assert_eq!(alias("900000000000002"), r#"a\"b\\c\nd{e=\"f\"} 1"#);
    assert_eq!(alias("900000000000003"), "\0\u{1}\r\t\u{7f}\u{2028}");
    assert_eq!(
        alias("900000000000004"),
        "\u{202e}enohP\u{202c} ☎️ नमस्ते e\u{301}"
    );
    assert_eq!(
        alias("900000000000050").len(),
        256,
        "an alias of a megabyte is cut"
    );
    assert!(
        !scrape.text.contains("5f4dcc3b5aa765d61d8327deb882cf99"),
        "a password's hash"
    );
    for (id, state) in [
        ("900000000000006", Some(true)),
        ("900000000000007", Some(true)),
        ("900000000000008", Some(true)),
        ("900000000000009", None),
        ("900000000000010", None),
        ("900000000000011", None),
    ] {
        assert_eq!(shown[id], state, "{id}");
    }
    let expiry = |id| {
        of(
            "vobiz_endpoint_registration_expiration_timestamp_seconds",
            id,
        )
        .map(|of| of.1)
    };
    assert_eq!(
        expiry("900000000000018"),
        Some(1_772_426_100.0),
        "no zone: UTC"
    );
    assert_eq!(
        expiry("900000000000019"),
        Some(1_772_426_100.74),
        "microseconds and an offset"
    );
    assert_eq!(expiry("900000000000020"), None, "no time at all");
    assert_eq!(expiry("900000000000022"), None, "not registered");
}

#[tokio::test]
async fn a_wrong_clock_is_measured_and_an_expiry_in_the_past_is_shown_unchanged() {
    let now = jiff::Timestamp::now();
    let hour = SignedDuration::from_hours(1);
    let mut world = World::new(now, 7);
    for name in ["right", "ahead"] {
        world.settle(plan(name, 0));
    }
    let account = world.account_mut(&auth_id("right")).unwrap();
    account.push(Endpoint::new("100").registered_until(now - hour));
    let options = Options {
        pace: Pace::Running(1.0),
        ..Options::default()
    };
    let vendor = Vendor::start(world, options).await.unwrap();
    vendor.plan(Fault::new(Effect::Clock(hour)).for_account(auth_id("ahead")));
    let configuration = accounts_config(&vendor, "", [("right", ""), ("ahead", "")]);
    let scrape = once(&configuration).await;
    let offset = |name| scrape.only("vobiz_api_clock_offset_seconds", name).unwrap();
    assert!(offset("right").abs() < 30.0, "{}", offset("right"));
    assert!(
        (offset("ahead") - 3600.0).abs() < 30.0,
        "{}",
        offset("ahead")
    );
    assert_eq!(
        scrape.endpoints("right"),
        BTreeMap::from([("100".to_owned(), Some(true))])
    );
    let expires = scrape.only(
        "vobiz_endpoint_registration_expiration_timestamp_seconds",
        "right",
    );
    assert_eq!(
        expires.map(f64::trunc),
        Some((now - hour).as_second().to_string().parse().unwrap())
    );
}
