//! Names from the API cannot imitate metrics or log lines. The exporter can omit user names.

use vobiz_simulator::{AccountPlan, Endpoint, Options, START, Shape, TEST_ACCOUNT, Vendor, World};

use crate::harness::{
    Exporter, Family, Finished, Program, Scrape, ask, configuration, get, promtool_accepts, until,
};

#[tokio::test]
async fn names_cannot_forge_a_line_of_the_log_or_a_metric() {
    let forged =
        "x\"} 1\nvobiz_forged{a=\"b\"} 1\r\nts=2 level=error msg=forged\u{1b}[31m\u{2028}\u{85}\\";
    let mut world = World::still(0, 7);
    let expires = world.now() + std::time::Duration::from_secs(3600);
    let account = world.account_mut(TEST_ACCOUNT.auth_id).unwrap();
    for number in 0..3 {
        let endpoint = Endpoint::new(format!("{number}\n\"forged\""));
        account.push(
            endpoint
                .alias(forged)
                .username(forged)
                .registered_until(expires),
        );
    }
    let vendor = Vendor::start(world, Options::default()).await.unwrap();
    let text = configuration(&vendor, "");
    let mut started = Vec::new();
    for format in ["logfmt", "json"] {
        let arguments = [
            "--web.listen-address=127.0.0.1:0",
            "--log.level=trace",
            "--log.format",
            format,
        ];
        let process = Program::configured(&text, &arguments).start();
        let address = process.listens(1).await.remove(0);
        started.push((format, process, address));
    }
    for (_, _, address) in &started {
        until("the first walk", || async {
            (get(address, "/-/ready").await.status == 200).then_some(())
        })
        .await;
    }
    vendor.edit(|world| world.first_mut().edit_all(|one| one.registration = None));
    for (format, process, address) in started {
        until("the loss in the log", || async {
            let log = process.err();
            (log.matches("lost its registration").count() == 3).then_some(())
        })
        .await;
        // Between the log line of a loss and the new data, the exporter can withdraw the old data.
        let page = until("the endpoints in a scrape", || async {
            let page = get(&address, "/metrics").await.text();
            page.contains("\nvobiz_endpoint_info{").then_some(page)
        })
        .await;
        let families = Family::read(&page);
        assert!(families.iter().all(|family| family.name != "vobiz_forged"));
        let info = families
            .iter()
            .find(|family| family.name == "vobiz_endpoint_info");
        assert_eq!(info.unwrap().samples.len(), 3);
        promtool_accepts("a scrape with forged names", &page).await;

        process.signal("TERM").await;
        let log = process.ended().await.err;
        for line in log.lines() {
            let ours = match format {
                "json" => serde_json::from_str::<serde_json::Value>(line).is_ok(),
                _ => line.starts_with("ts=20"),
            };
            assert!(ours, "{line:?}");
        }
        let speaks =
            |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{2028}' | '\u{2029}');
        assert!(!log.contains(speaks), "{log:?}");
    }
}

#[tokio::test]
async fn disabled_usernames_appear_nowhere() {
    tokio::join!(
        without_usernames(Shape::Documented),
        without_usernames(Shape::Captured),
        // The contact contains the user name only in this row shape.
        without_usernames(Shape::Plivo),
    );
}

async fn without_usernames(shape: Shape) {
    let mut world = World::new(START, 7);
    let plan = AccountPlan::of(TEST_ACCOUNT, 45).shape(shape);
    world.settle(plan.still());
    let endpoints = || world.first().endpoints();
    let usernames: Vec<_> = endpoints().map(|one| one.username.clone()).collect();
    let lost = endpoints().find(|one| one.registered()).unwrap();
    let lost = lost.id().to_owned();
    let vendor = Vendor::start(world, Options::default()).await.unwrap();
    let text = configuration(
        &vendor,
        "metrics: {username: false, groups: [user_agent, timestamps, permissions, contact]}",
    );
    let exporter = Exporter::start_with(&text, &["--log.level=trace"]).await;
    // If the list has no contacts, the exporter reads the contacts from details.
    exporter
        .until("the first walk and a contact", |scrape| {
            scrape.count("vobiz_endpoint_contact_info", &[]) > 0
        })
        .await;
    vendor.edit(|world| world.first_mut().edit(&lost, |one| one.registration = None));
    exporter.log_line("lost its registration").await;
    let address = exporter.address();
    let open_metrics = [("accept", "application/openmetrics-text;version=1.0.0")];
    let pages = [
        get(address, "/metrics").await.text(),
        ask(address, "GET", "/metrics", &open_metrics).await.text(),
        get(address, "/").await.text(),
    ];
    let Finished { code, log } = exporter.terminate().await;
    assert_eq!(code, Some(0), "{log}");
    let outputs = [
        log,
        format!(
            "{:?}",
            Program::configured(&text, &["--config.check.live"])
                .run()
                .await
        ),
    ];
    let scrape = Scrape::read(&pages[0]);
    assert_eq!(scrape.count("vobiz_endpoint_info", &[]), 45);
    assert!(scrape.count("vobiz_endpoint_contact_info", &[]) > 0);
    for text in pages.into_iter().chain(outputs) {
        assert!(!text.contains("username=\""), "{text}");
        for username in &usernames {
            assert!(!text.contains(username), "{username} stands in {text}");
        }
    }
}
