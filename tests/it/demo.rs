//! Trying the exporter without an account: the demonstration, and the simulated vendor alone.

use crate::stand::{Program, Scrape, get, until};

#[tokio::test]
async fn the_demo_serves_what_it_prints_and_ends_on_ctrl_c() {
    let arguments = [
        "demo",
        "--endpoints=30",
        "--seed=7",
        "--web.listen-address=127.0.0.1:0",
    ];
    let demo = Program::new(&arguments).start();
    let links = until("what to open", || async {
        let out = demo.out();
        let words = out.contains("Ctrl-C").then(|| out.split_whitespace());
        let links = words?.filter(|word| word.starts_with("http://localhost:"));
        Some(links.map(str::to_owned).collect::<Vec<_>>())
    })
    .await;
    assert_eq!(links.len(), 2, "{links:?}");
    let opened = async |link: &str| {
        let (address, path) = link
            .strip_prefix("http://localhost")
            .unwrap()
            .split_once('/')
            .unwrap();
        get(&format!("127.0.0.1{address}"), &format!("/{path}")).await
    };
    let page = opened(&links[0]).await.text();
    assert!(
        page.contains("<td>main</td>") && page.contains("<td>branch</td>"),
        "{page}"
    );
    until("both accounts", || async {
        let scrape = Scrape::read(&opened(&links[1]).await.text());
        (scrape.count("vobiz_endpoint_info", &[]) == 30).then_some(())
    })
    .await;
    let scrape = Scrape::read(&opened(&links[1]).await.text());
    assert_eq!(
        (scrape.up("main"), scrape.up("branch")),
        (Some(1.0), Some(1.0))
    );

    demo.signal("INT").await;
    let ended = demo.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("seed 7"), "{ended:?}");
}

#[tokio::test]
async fn the_simulated_vendor_answers_an_exporter_that_is_told_what_it_printed() {
    let arguments = [
        "simulate",
        "--listen-address=127.0.0.1:0",
        "--endpoints=250",
        "--accounts=2",
        "--seed=7",
        "--row-shape=captured",
    ];
    let vendor = Program::new(&arguments).start();
    let out = until("two accounts", || async {
        let out = vendor.out();
        (out.lines().count() == 4).then_some(out)
    })
    .await;
    let base_url = out
        .split_whitespace()
        .find(|word| word.starts_with("http://"));
    for account in out.lines().skip(2) {
        let words: Vec<_> = account.split_whitespace().collect();
        let &["auth", "id", auth_id, "token", token] = &words[..] else {
            panic!("{account}");
        };
        let once = Program::new(&["--once"])
            .set("VOBIZ_EXPORTER__API__BASE_URL", base_url.unwrap())
            .set("VOBIZ_EXPORTER__API__REQUESTS_PER_SECOND", "0")
            .set("VOBIZ_AUTH_ID", auth_id)
            .set("VOBIZ_AUTH_TOKEN", token);
        let ended = once.run().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(
            Scrape::read(&ended.out).count("vobiz_endpoint_info", &[]),
            250
        );
    }
    vendor.signal("TERM").await;
    assert_eq!(vendor.ended().await.code, Some(0));
}
