//! Checks the content of an exposition. Prometheus and other parsers must accept the exposition.

use std::{collections::BTreeSet, path::Path};

use vobiz_simulator::{Endpoint, Options, TEST_ACCOUNT, Vendor, World, hostile_rows};

use vobiz_exporter::telemetry::catalogue::{Kind, Metric, Part, closed_values};

use crate::harness::{Answer, Exporter, Family, ask, judge, promtool_accepts, python, until};

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The `Accept` header of Prometheus 2.42.
const PROMETHEUS_2: &str = "application/openmetrics-text;version=1.0.0,\
    application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
/// The `Accept` header of Prometheus 3.
const PROMETHEUS_3: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
    application/openmetrics-text;version=0.0.1;q=0.5,\
    text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
/// The `Accept` header of Prometheus 3 with native histograms enabled.
const PROMETHEUS_3_PROTOBUF: &str = "application/vnd.google.protobuf;\
    proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
    application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
    application/openmetrics-text;version=0.0.1;q=0.4,\
    text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";

/// A Python program that parses `OpenMetrics` strictly and prints the number of samples.
const STRICT_PARSER: &str = "\
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
text = sys.stdin.buffer.read().decode('utf-8')
print(sum(len(family.samples) for family in text_string_to_metric_families(text)))";

/// An exporter with details and all optional metrics. Its vendor has normal and hostile endpoints.
struct Rich {
    vendor: Vendor,
    exporter: Exporter,
    _state: tempfile::TempDir,
}

impl Rich {
    async fn start() -> Self {
        let mut world = World::still(45, 7);
        let account = world.account_mut(TEST_ACCOUNT.auth_id).unwrap();
        for (number, row) in hostile_rows().into_iter().enumerate() {
            account.push(Endpoint::new(format!("hostile-{number}")).raw(row.json));
        }
        let vendor = Vendor::start(world, Options::default()).await.unwrap();
        let state = tempfile::tempdir().unwrap();
        let directory = state.path().display();
        let settings = format!("state: {{directory: '{directory}'}}\n");
        let settings = settings + &configuration(&vendor);
        // The metrics of the web configuration need a file. Without a section, it changes nothing.
        let web = state.path().join("web.yml");
        std::fs::write(&web, "").unwrap();
        let arguments = ["--web.config.file", web.to_str().unwrap()];
        let exporter = Exporter::start_with(&settings, &arguments).await;
        exporter
            .until("a walk and its details", |scrape| {
                scrape.count("vobiz_endpoint_detail_timestamp_seconds", &[]) >= 20
            })
            .await;
        Self {
            vendor,
            exporter,
            _state: state,
        }
    }

    async fn ask(&self, headers: &[(&str, &str)]) -> Answer {
        ask(self.exporter.address(), "GET", "/metrics", headers).await
    }

    async fn text(&self) -> String {
        self.ask(&[]).await.text()
    }
}

fn configuration(vendor: &Vendor) -> String {
    let (base_url, auth_id, token) = (vendor.base_url(), TEST_ACCOUNT.auth_id, TEST_ACCOUNT.token);
    let down = vendor.edit(|world| {
        let mut endpoints = world.first().endpoints();
        endpoints
            .find(|one| !one.registered())
            .unwrap()
            .username
            .clone()
    });
    format!(
        r#"
poll: {{interval: 5s, max_age: 14s, deadline: 4s}}
api: {{base_url: "{base_url}", requests_per_second: 0}}
details: {{mode: always, requests_per_minute: 6000}}
metrics: {{groups: [user_agent, timestamps, permissions, contact]}}
accounts:
  - name: main
    auth_id: {auth_id}
    auth_token: {token}
    groups:
      - {{name: listed, match: {{usernames: [nobody, {down}]}}, watch: page, min_registered: 1}}
      - {{name: "a \"group\"\\", match: {{alias: "Reception.*"}}, watch: page}}
      - {{name: web, match: {{username: "web.*"}}, watch: ignore}}
"#
    )
}

/// Repeats two requests until `agree` accepts their responses. The responses can differ, because
/// the exporter changes its own metrics once a second.
async fn at_once<A, B>(
    what: &str,
    first: impl AsyncFn() -> A,
    second: impl AsyncFn() -> B,
    agree: impl Fn(&A, &B) -> bool,
) {
    until(what, || async {
        let (first, second) = (first().await, second().await);
        agree(&first, &second).then_some(())
    })
    .await;
}

#[tokio::test]
async fn promtool_accepts_a_real_scrape_and_the_golden_files() {
    let rich = Rich::start().await;
    let scrape = rich.exporter.scrape().await;
    assert!(scrape.count("vobiz_endpoint_contact_info", &[]) > 0);
    promtool_accepts("a scrape", &scrape.text).await;
    for (name, text) in golden("prom") {
        promtool_accepts(&name, &text).await;
    }
}

#[tokio::test]
async fn the_strict_openmetrics_parser_reads_every_sample() {
    let rich = Rich::start().await;
    let page = rich.ask(&[("accept", PROMETHEUS_2)]).await.text();
    let mut pages = golden("om");
    pages.push(("a scrape".to_owned(), page));
    for (name, text) in pages {
        let verdict = judge(&python(), &["-c", STRICT_PARSER], &text).await;
        assert_eq!(verdict.code, Some(0), "{name}: {}", verdict.err);
        let samples = text.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(verdict.out.trim(), samples.to_string(), "{name}");
    }
}

/// The golden files of one format. Fails if there are none.
fn golden(extension: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/exposition/testdata");
    let files = folder.read_dir().unwrap().map(|file| file.unwrap().path());
    let wanted = files.filter(|file| file.extension().is_some_and(|has| has == extension));
    let read = |file: std::path::PathBuf| {
        let text = std::fs::read_to_string(&file).unwrap();
        (file.display().to_string(), text)
    };
    let found: Vec<_> = wanted.map(read).collect();
    assert!(!found.is_empty(), "golden files of {extension}");
    found
}

#[tokio::test]
async fn a_compressed_response_has_the_plain_content_and_head_has_the_headers_of_get() {
    let rich = Rich::start().await;
    let address = rich.exporter.address();
    for accept in [PROMETHEUS_2, TEXT] {
        let plain = [("accept", accept)];
        let packed = [("accept", accept), ("accept-encoding", "gzip")];
        at_once(
            "a packed answer equal to the plain one",
            async || rich.ask(&plain).await,
            async || rich.ask(&packed).await,
            |plain, packed| {
                assert_eq!(plain.header("content-encoding"), None);
                assert_eq!(packed.header("content-encoding"), Some("gzip"));
                assert!(packed.body.len() * 4 < plain.body.len());
                plain.text() == packed.text()
            },
        )
        .await;
        for headers in [&plain[..], &packed] {
            at_once(
                "a head equal to that of the answer",
                async || ask(address, "HEAD", "/metrics", headers).await,
                async || rich.ask(headers).await,
                |head, answer| {
                    assert_eq!((head.status, head.body.len()), (200, 0));
                    assert_eq!(
                        answer.header("content-length"),
                        Some(answer.body.len().to_string().as_str())
                    );
                    assert_eq!(
                        answer.header("vary"),
                        Some("Accept, Accept-Encoding"),
                        "{}",
                        answer.head
                    );
                    head.head == answer.head
                },
            )
            .await;
        }
    }
}

#[tokio::test]
async fn every_client_gets_the_best_format_that_it_reads() {
    let rich = Rich::start().await;
    let with = |escaping: &str| format!("{OPEN_METRICS}; escaping={escaping}");
    for (accept, content_type) in [
        (PROMETHEUS_2, with("underscores")),
        (PROMETHEUS_3, with("allow-utf-8")),
        (PROMETHEUS_3_PROTOBUF, with("allow-utf-8")),
        ("application/openmetrics-text", TEXT.to_owned()),
        (
            "application/openmetrics-text; version=1.0.0",
            with("underscores"),
        ),
        (
            "application/openmetrics-text;version=0.0.1",
            TEXT.to_owned(),
        ),
        ("text/plain", TEXT.to_owned()),
        ("*/*", TEXT.to_owned()),
        ("", TEXT.to_owned()),
        ("application/json", TEXT.to_owned()),
        ("text/html,application/xhtml+xml,*/*;q=0.8", TEXT.to_owned()),
    ] {
        let answer = rich.ask(&[("accept", accept)]).await;
        assert_eq!(answer.status, 200, "{accept}");
        let said = answer.header("content-type");
        assert_eq!(said, Some(content_type.as_str()), "{accept}");
        let ends = answer.text().ends_with("# EOF\n");
        assert_eq!(ends, content_type.starts_with(OPEN_METRICS), "{accept}");
    }
    for (accept_encoding, encoding) in [
        ("gzip", Some("gzip")),
        ("deflate, gzip;q=0.5", Some("gzip")),
        ("*", Some("gzip")),
        ("gzip;q=0", None),
        ("identity", None),
        ("br, zstd", None),
    ] {
        let answer = rich.ask(&[("accept-encoding", accept_encoding)]).await;
        let said = answer.header("content-encoding");
        assert_eq!(said, encoding, "{accept_encoding}");
        assert!(answer.text().contains("vobiz_up{"), "{accept_encoding}");
    }
}

#[tokio::test]
async fn both_formats_hold_the_same_samples_and_no_series_twice() {
    let rich = Rich::start().await;
    let samples = |answer: &Answer| -> Vec<String> {
        let families = Family::read(&answer.text()).into_iter();
        let samples = families.flat_map(|family| family.samples);
        samples.map(|sample| sample.line).collect()
    };
    at_once(
        "both formats with the same samples",
        async || rich.ask(&[]).await,
        async || rich.ask(&[("accept", PROMETHEUS_2)]).await,
        |text, open_metrics| {
            let (text, open_metrics) = (samples(text), samples(open_metrics));
            assert_eq!(text.len(), open_metrics.len());
            let series = text.iter().map(|line| line.rsplit_once(' ').unwrap().0);
            let distinct: BTreeSet<_> = series.collect();
            assert_eq!(distinct.len(), text.len(), "a series stands twice");
            text == open_metrics
        },
    )
    .await;
}

#[tokio::test]
async fn a_scrape_shows_the_documented_metrics_and_no_others() {
    let rich = Rich::start().await;
    rich.vendor.edit(|world| {
        let now = world.now();
        let account = world.account_mut(TEST_ACCOUNT.auth_id).unwrap();
        // So many are an outage, but need no confirmation.
        let registered = account.endpoints().filter(|one| one.registered());
        let lost: Vec<_> = registered
            .map(|one| one.id().to_owned())
            .step_by(2)
            .collect();
        for id in lost {
            account.edit(&id, |one| one.set_registered(false, now));
        }
    });
    rich.exporter
        .until("the outage", |scrape| {
            scrape.count("vobiz_outage_group_endpoints", &[]) > 0
        })
        .await;
    let document =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md"))
            .unwrap();
    let open_metrics = rich.ask(&[("accept", PROMETHEUS_2)]).await.text();
    let text = rich.text().await;

    let mut shown = BTreeSet::new();
    for family in Family::read(&text) {
        let metric = Metric::named(&family.name);
        let metric = metric.unwrap_or_else(|| panic!("nobody knows {}", family.name));
        let known = metric.family();
        assert_eq!(family.kind, known.kind.word(), "{}", family.name);
        assert!(
            document.contains(&format!("`{}`", family.name)),
            "{}",
            family.name
        );
        assert!(!family.samples.is_empty(), "{} is empty", family.name);
        for sample in &family.samples {
            let names = sample.labels.iter().map(|(name, _)| name.as_str());
            let names: BTreeSet<_> = names.filter(|name| *name != "le").collect();
            let mut expected: BTreeSet<_> = known.labels.iter().copied().collect();
            // A hostile row may lack the user name.
            if !names.contains(&"username") {
                expected.remove("username");
            }
            assert_eq!(names, expected, "{}", sample.line);
            for (name, value) in &sample.labels {
                let closed = closed_values(metric, name);
                let known = closed.is_none_or(|known| known.contains(&value.as_str()));
                assert!(known, "{}", sample.line);
            }
        }
        shown.insert(family.name);
    }
    let families = Metric::ALL.iter().map(|metric| metric.family());
    let scraped = families.filter(|family| family.part != Part::Probe);
    // An endpoint flaps after six walks. The tests of judgements wait for them.
    let missing = scraped
        .map(|family| family.name)
        .filter(|name| *name != "vobiz_endpoint_flapping");
    let missing: Vec<_> = missing.filter(|name| !shown.contains(*name)).collect();
    // `process_virtual_memory_max_bytes` is missing if virtual memory has no limit.
    assert!(
        matches!(missing[..], [] | ["process_virtual_memory_max_bytes"]),
        "never shown: {missing:?}"
    );

    for family in Family::read(&open_metrics) {
        let known = Metric::ALL.iter().map(|metric| metric.family());
        let known = known
            .into_iter()
            .find(|known| known.base_name() == family.name);
        let known = known.unwrap_or_else(|| panic!("nobody knows {}", family.name));
        assert_eq!(family.unit.as_deref(), known.unit(), "{}", family.name);
        assert_eq!(known.kind == Kind::Counter, family.kind == "counter");
        assert!(family.help.len() > 10, "{}", family.name);
    }
}
