//! Changes of the files while the exporter runs.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::telemetry::{
    Instruments,
    logs::{Captured, Format, Level},
};

/// The longest time until a change is in force.
const SOON: Duration = Duration::from_millis(2500);

fn gauge(instruments: &Instruments, name: &str) -> Option<f64> {
    let families = instruments.gather();
    let family = families.iter().find(|family| family.name() == name)?;
    Some(family.get_metric()[0].get_gauge().get_value())
}

fn is_successful(instruments: &Instruments) -> Option<bool> {
    let value = gauge(
        instruments,
        "vobiz_exporter_web_config_last_reload_successful",
    );
    value.map(|value| value > 0.5)
}

/// Runs `test` while the files are watched. Returns the log.
async fn watched<F: Future<Output = ()>>(
    config: &WebConfig,
    test: impl FnOnce(Instruments) -> F,
) -> String {
    let log = Captured::default();
    let _logging = tracing::dispatcher::set_default(&log.dispatch(Level::INFO, Format::Logfmt));
    let instruments = Instruments::new();
    tokio::select! {
        () = config.watch(instruments.clone()) => {}
        () = test(instruments) => {}
    }
    log.text()
}

async fn until(mut condition: impl FnMut() -> bool) {
    let limit = Duration::from_secs(60);
    let wait = async {
        while !condition() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(limit, wait)
        .await
        .expect("the condition never holds");
}

fn headers(config: &WebConfig) -> Vec<String> {
    let settings = config.current();
    let values = settings.headers().iter();
    values
        .map(|(_, value)| value.to_str().unwrap().to_owned())
        .collect()
}

fn with_header(value: &str) -> String {
    format!("http_server_config:\n  headers:\n    Content-Security-Policy: {value}\n")
}

#[tokio::test(start_paused = true)]
async fn a_changed_file_is_in_force_soon() {
    let folder = Folder::new();
    let (config, _) = folder.load(&with_header("one")).unwrap();
    let log = watched(&config, async |instruments| {
        until(|| is_successful(&instruments) == Some(true)).await;
        for value in ["two", "three"] {
            folder.replace("web.yml", &with_header(value));
            let changed = Instant::now();
            until(|| headers(&config) == [value]).await;
            assert!(changed.elapsed() <= SOON);
        }
    })
    .await;
    assert_eq!(
        log.matches("web configuration reloaded").count(),
        2,
        "{log}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_replaced_certificate_is_in_force_soon() {
    let folder = Folder::new();
    let (config, _) = folder.load_tls("").unwrap();
    let first = config.current().tls().unwrap();
    watched(&config, async |_| {
        let (certificate, key) = self_signed();
        folder.replace("server.crt", &certificate);
        folder.replace("server.key", &key);
        until(|| !Arc::ptr_eq(&first, &config.current().tls().unwrap())).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn unchanged_files_keep_the_same_settings() {
    let folder = Folder::new();
    let (config, _) = folder.load_tls("").unwrap();
    let first = config.current();
    let log = watched(&config, async |_| {
        folder.replace("web.yml", &with_tls(""));
        sleep(Duration::from_secs(10)).await;
    })
    .await;
    assert!(Arc::ptr_eq(&first, &config.current()));
    assert_eq!(log, "");
}

#[tokio::test(start_paused = true)]
async fn an_invalid_file_is_logged_once_and_the_settings_stay() {
    let folder = Folder::new();
    let (config, _) = folder.load(&with_header("one")).unwrap();
    let log = watched(&config, async |instruments| {
        until(|| is_successful(&instruments) == Some(true)).await;
        folder.replace("web.yml", "junk: true\n");
        until(|| is_successful(&instruments) == Some(false)).await;
        sleep(Duration::from_secs(30)).await;
        assert_eq!(headers(&config), ["one"]);
        folder.replace("web.yml", "other: true\n");
        sleep(SOON).await;
        folder.replace("web.yml", &with_header("one"));
        until(|| is_successful(&instruments) == Some(true)).await;
    })
    .await;
    let errors: Vec<_> = log
        .lines()
        .filter(|line| line.contains("level=error"))
        .collect();
    assert_eq!(errors.len(), 2, "{log}");
    assert!(
        errors[0].contains("junk") && errors[1].contains("other"),
        "{log}"
    );
    assert_eq!(log.matches("valid again").count(), 1, "{log}");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_arrives_after_its_certificate_is_used_then() {
    let folder = Folder::new();
    let (config, _) = folder.load_tls("").unwrap();
    let first = config.current().tls().unwrap();
    watched(&config, async |instruments| {
        until(|| is_successful(&instruments) == Some(true)).await;
        let (certificate, key) = self_signed();
        folder.replace("server.crt", &certificate);
        until(|| is_successful(&instruments) == Some(false)).await;
        assert!(Arc::ptr_eq(&first, &config.current().tls().unwrap()));
        folder.replace("server.key", &key);
        until(|| is_successful(&instruments) == Some(true)).await;
        assert!(!Arc::ptr_eq(&first, &config.current().tls().unwrap()));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_reload_can_neither_turn_tls_off_nor_use_an_empty_file() {
    let folder = Folder::new();
    let (config, _) = folder.load_tls("").unwrap();
    let log = watched(&config, async |instruments| {
        until(|| is_successful(&instruments) == Some(true)).await;
        for text in ["", "rate_limit: {}\n"] {
            folder.replace("web.yml", text);
            sleep(Duration::from_secs(10)).await;
            assert_eq!(is_successful(&instruments), Some(false));
            assert!(config.current().tls().is_some());
        }
    })
    .await;
    let errors: Vec<_> = log
        .lines()
        .filter(|line| line.contains("level=error"))
        .collect();
    assert_eq!(errors.len(), 2, "{log}");
    assert!(
        errors[0].contains("is empty") && errors[1].contains("cannot turn TLS on or off"),
        "{log}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_rate_limiter_survives_a_reload() {
    let folder = Folder::new();
    let limit = |burst: u32| format!("rate_limit:\n  interval: 1h\n  burst: {burst}\n");
    let (config, _) = folder.load(&limit(1)).unwrap();
    assert!(config.allows_request());
    let log = watched(&config, async |_| {
        folder.replace("web.yml", &format!("{}{}", limit(5), with_header("new")));
        until(|| headers(&config) == ["new"]).await;
        assert!(!config.allows_request());
    })
    .await;
    assert!(
        log.contains("rate_limit has changed; restart the exporter"),
        "{log}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_is_switched_by_a_link_is_noticed() {
    // Kubernetes makes `..data` a link to a new folder.
    let folder = Folder::new();
    for (name, value) in [("v1", "one"), ("v2", "two")] {
        std::fs::create_dir(folder.path(name)).unwrap();
        folder.write(&format!("{name}/web.yml"), &with_header(value));
    }
    let link = |target: &str| {
        std::os::unix::fs::symlink(target, folder.path("..new")).unwrap();
        std::fs::rename(folder.path("..new"), folder.path("..data")).unwrap();
    };
    link("v1");
    std::os::unix::fs::symlink("..data/web.yml", folder.path("web.yml")).unwrap();
    let (config, _) = WebConfig::load(&folder.path("web.yml")).unwrap();
    watched(&config, async |_| {
        link("v2");
        until(|| headers(&config) == ["two"]).await;
    })
    .await;
}
