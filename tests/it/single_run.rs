//! `--once` walks every account once, and prints the samples or writes them to a file.

use std::{io::Read, os::unix::fs::PermissionsExt, path::Path};

use vobiz_simulator::{Fault, Options, TEST_ACCOUNT, Vendor, World};

use vobiz_exporter::telemetry::catalogue::{Kind, Metric};

use crate::harness::{Family, Program, Scrape, configuration, promtool_accepts};

async fn vendor_of(endpoints: usize) -> Vendor {
    let world = World::still(endpoints, 7);
    Vendor::start(world, Options::default()).await.unwrap()
}

#[tokio::test]
async fn a_single_run_prints_snapshot_and_walk_metrics_but_no_process_metrics() {
    let vendor = vendor_of(120).await;
    let ended = Program::configured(&configuration(&vendor, ""), &["--once"])
        .run()
        .await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let scrape = Scrape::read(&ended.out);
    assert_eq!(scrape.up("main"), Some(1.0));
    assert_eq!(scrape.count("vobiz_endpoint_registered", &[]), 120);
    let families = Family::read(&ended.out);
    for name in [
        "vobiz_walks_total",
        "vobiz_api_requests_total",
        "vobiz_walk_pages",
    ] {
        assert!(families.iter().any(|family| family.name == name), "{name}");
    }
    for family in families {
        let name = family.name.as_str();
        assert!(name.starts_with("vobiz_"), "{name}");
        assert!(!name.starts_with("vobiz_exporter_http"), "{name}");
        assert!(
            !name.contains("build_info") && !name.contains("config_last"),
            "{name}"
        );
        let known = Metric::named(name)
            .expect("a metric of the catalogue")
            .family();
        assert_ne!(known.kind, Kind::Histogram, "{name}");
    }
    assert!(!ended.out.contains("# EOF"));
    promtool_accepts("a single run", &ended.out).await;
}

#[tokio::test]
async fn a_single_run_with_a_failed_account_exits_with_1_and_shows_it_down() {
    let vendor = vendor_of(5).await;
    vendor.plan(Fault::status(403));
    let ended = Program::configured(&configuration(&vendor, ""), &["--once"])
        .run()
        .await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("1 of 1 accounts failed"), "{ended:?}");
    let scrape = Scrape::read(&ended.out);
    assert_eq!(scrape.up("main"), Some(0.0));
    assert_eq!(scrape.count("vobiz_endpoints", &[]), 0);
    let reason = ["reason=\"forbidden\""];
    assert_eq!(
        scrape.value("vobiz_walk_failures_total", &reason),
        Some(1.0)
    );
    promtool_accepts("a failed single run", &ended.out).await;
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = folder.read_dir().unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

#[tokio::test]
async fn the_output_file_is_replaced_atomically_and_readable_by_all() {
    let vendor = vendor_of(120).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vobiz.prom");
    std::fs::write(&file, "old\n").unwrap();
    let mut collector = std::fs::File::open(&file).unwrap();
    let text = configuration(&vendor, "");
    let output = file.to_str().unwrap();
    let program = Program::configured(&text, &["--once", "--once.output", output]);
    let ended = program.after("umask 077").run().await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), ""), "{ended:?}");

    let mut seen = String::new();
    collector.read_to_string(&mut seen).unwrap();
    assert_eq!(seen, "old\n", "an open file keeps its old content");
    let mode = file.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    let written = std::fs::read_to_string(&file).unwrap();
    assert_eq!(
        Scrape::read(&written).count("vobiz_endpoint_info", &[]),
        120
    );
    assert_eq!(names_in(folder.path()), ["vobiz.prom"]);
    promtool_accepts("the file", &written).await;

    let failed = Program::configured(
        &configuration(&vendor, "").replace(TEST_ACCOUNT.token, "wrong-token"),
        &["--once", &format!("--once.output={output}")],
    );
    assert_eq!(failed.run().await.code, Some(1));
    let written = std::fs::read_to_string(&file).unwrap();
    assert_eq!(Scrape::read(&written).up("main"), Some(0.0));
}

#[tokio::test]
async fn a_prepared_link_beside_the_file_is_not_followed() {
    let vendor = vendor_of(5).await;
    let folder = tempfile::tempdir().unwrap();
    let (file, other) = (
        folder.path().join("vobiz.prom"),
        folder.path().join("other"),
    );
    std::fs::write(&other, "precious\n").unwrap();
    let output = format!("--once.output={}", file.display());
    // The shell of `Program::after` becomes the exporter, so `$$` is the exporter's process id.
    let planted = format!(
        "ln -s {} {}/.vobiz.prom.$$.tmp",
        other.display(),
        folder.path().display()
    );
    let program = Program::configured(&configuration(&vendor, ""), &["--once", &output]);
    let ended = program.after(&planted).run().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(std::fs::read_to_string(&other).unwrap(), "precious\n");
    assert!(file.symlink_metadata().unwrap().is_file());
}

#[tokio::test]
async fn a_missing_directory_is_reported_before_any_request() {
    let vendor = vendor_of(5).await;
    let arguments = ["--once", "--once.output=/nonexistent/vobiz.prom"];
    let program = Program::configured(&configuration(&vendor, ""), &arguments);
    let ended = program.run().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("/nonexistent/vobiz.prom"), "{ended:?}");
    assert_eq!(vendor.counts().requests, 0);
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_reported_and_no_temporary_file_remains() {
    let vendor = vendor_of(5).await;
    let folder = tempfile::tempdir().unwrap();
    let taken = folder.path().join("vobiz.prom");
    std::fs::create_dir(&taken).unwrap();
    let absent = folder.path().join("absent/vobiz.prom");
    for file in [taken, absent] {
        let output = format!("--once.output={}", file.display());
        let text = configuration(&vendor, "");
        let ended = Program::configured(&text, &["--once", &output]).run().await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let message = format!("cannot write {}: ", file.display());
        assert!(ended.err.contains(&message), "{ended:?}");
        assert_eq!(names_in(folder.path()), ["vobiz.prom"]);
    }
}
