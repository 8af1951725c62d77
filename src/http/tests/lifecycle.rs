//! Who may reload the configuration, and who may see it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures_util::future::{BoxFuture, FutureExt};

use super::harness::Harness;
use crate::http::{Lifecycle, Settings};

/// A configuration that can be reloaded unless it is broken.
#[derive(Default)]
struct Fake {
    is_broken: AtomicBool,
}

impl Lifecycle for Fake {
    fn reload(self: Arc<Self>) -> BoxFuture<'static, Result<String, String>> {
        let is_broken = self.is_broken.load(Ordering::Relaxed);
        let outcome = if is_broken {
            Err("file.yaml:3: wrong\n".to_owned())
        } else {
            Ok("reloaded\n".to_owned())
        };
        async { outcome }.boxed()
    }

    fn configuration(&self) -> String {
        "{\"accounts\": []}\n".to_owned()
    }
}

async fn server(enable_lifecycle: bool) -> (Harness, Arc<Fake>) {
    let fake = Arc::new(Fake::default());
    let settings = Settings {
        enable_lifecycle,
        ..Settings::default()
    };
    let lifecycle = Arc::clone(&fake) as _;
    (Harness::with_lifecycle(settings, lifecycle).await, fake)
}

/// The status and the text of the response to a request with these header lines.
async fn ask(server: &Harness, head: &str) -> (u16, String) {
    let mut client = server.client().await;
    client.send(format!("{head}\r\n\r\n")).await;
    let response = client.response().await;
    (response.status, response.text().to_owned())
}

const RELOAD: &str = "POST /-/reload HTTP/1.1\r\nHost: ";
const CONFIG: &str = "GET /-/config HTTP/1.1\r\nHost: ";

#[tokio::test]
async fn a_client_on_this_host_may_reload_and_see_the_configuration() {
    let (server, fake) = server(false).await;
    for host in [
        "localhost:10059",
        "127.0.0.1",
        "127.1.2.3:80",
        "[::1]:10059",
    ] {
        let reloaded = ask(&server, &format!("{RELOAD}{host}")).await;
        assert_eq!(reloaded, (200, "reloaded\n".to_owned()), "{host}");
        let (status, config) = ask(&server, &format!("{CONFIG}{host}")).await;
        assert_eq!((status, config.as_str()), (200, "{\"accounts\": []}\n"));
    }
    fake.is_broken.store(true, Ordering::Relaxed);
    let refused = ask(&server, &format!("{RELOAD}localhost")).await;
    assert_eq!(refused, (500, "file.yaml:3: wrong\n".to_owned()));
}

#[tokio::test]
async fn a_page_of_another_site_may_neither_reload_nor_see_the_configuration() {
    for enable_lifecycle in [false, true] {
        let (server, _) = server(enable_lifecycle).await;
        for (head, expected) in [
            // A name of the other site that leads to this host, by DNS rebinding.
            (
                "other.example:10059",
                if enable_lifecycle { 200 } else { 403 },
            ),
            ("localhost:10059\r\nOrigin: https://other.example", 403),
            ("localhost:10059\r\nOrigin: http://localhost:3000", 403),
            ("localhost:10059\r\nOrigin: null", 403),
            ("localhost:10059\r\nOrigin: http://localhost:10059", 200),
            ("other.example\r\nOrigin: http://third.example", 403),
        ] {
            let (status, _) = ask(&server, &format!("{RELOAD}{head}")).await;
            assert_eq!(status, expected, "{head}");
        }
        let (status, _) = ask(&server, &format!("{CONFIG}other.example:10059")).await;
        assert_eq!(status, 403);
    }
}

#[tokio::test]
async fn other_methods_are_not_allowed() {
    let (server, _) = server(true).await;
    for (target, allowed, others) in [
        ("/-/reload", "POST", &["GET", "HEAD", "PUT", "DELETE"][..]),
        ("/-/config", "GET, HEAD", &["POST", "PUT"]),
    ] {
        for method in others {
            let mut client = server.client().await;
            client
                .send(format!(
                    "{method} {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"
                ))
                .await;
            let response = client.response_head().await;
            assert_eq!(response.status, 405, "{method} {target}");
            assert_eq!(response.header("allow"), Some(allowed));
        }
    }
}

#[tokio::test]
async fn without_a_configuration_there_is_nothing_to_reload() {
    let server = Harness::start(Settings::default()).await;
    for head in [RELOAD, CONFIG] {
        assert_eq!(ask(&server, &format!("{head}localhost")).await.0, 404);
    }
}
