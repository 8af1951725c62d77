//! Compares expositions of small accounts with files. If the environment variable `UPDATE_GOLDEN` exists, each
//! test writes its files before the comparison.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use super::{fixtures::*, parser::checked};
use crate::{
    clock::Clock,
    exposition::{Exposition, Format, single_run},
    snapshot::{AccountState, Application, Endpoint, Field, Shown, channel},
    telemetry::{Instruments, Metric, Operation, ThrottleCause},
};

/// An account with every optional value and family, but without details.
fn rich() -> AccountState {
    let application = |id: &str, name: Option<&str>| {
        Some(Application {
            id: id.to_owned(),
            name: name.map(str::to_owned),
        })
    };
    let text = |text: &str| Some(text.to_owned());
    let complete = |registered| Endpoint {
        id: "1001".to_owned(),
        username: text("reception01"),
        alias: text("Reception \"front\" \\ desk"),
        registered,
        expires_at: Some(at(3600)),
        user_agent: text("Yealink SIP-T46U 108.86.0.90"),
        contact: text("sip:reception01@192.0.2.7:5060;transport=tls"),
        received: text("198.51.100.9:41230"),
        application: application("12345678901234567", Some("Support")),
        created_at: Some(at(-86_400)),
        updated_at: Some(at(-3_600)),
        allowed: [
            Some(true),
            Some(true),
            Some(false),
            None,
            None,
            Some(true),
            Some(true),
        ],
        ..Endpoint::default()
    };
    let lost = |registered| Endpoint {
        id: "1002".to_owned(),
        username: text("blr-2"),
        alias: text("BLR-2"),
        registered,
        application: application("77", None),
        sub_account: text("SA_1"),
        ..Endpoint::default()
    };
    let bare = Endpoint {
        id: "9007199254740993".to_owned(),
        alias: text("zwei\nZeilen"),
        ..Endpoint::default()
    };
    let mut odd = Endpoint {
        id: "1003".to_owned(),
        username: text("webrtc"),
        registered: Some(false),
        ..Endpoint::default()
    };
    odd.rejected.insert(Field::SipExpires);
    odd.assumed.insert(Field::CreatedAt);
    let first = snapshot([complete(Some(true)), lost(Some(true))], None, facts(0));
    let mut facts = facts(60);
    facts.started_at.0 += 125;
    facts.missing = 1;
    facts.rejected_rows[3] = 2;
    let second = [complete(Some(true)), lost(Some(false)), odd, bare];
    AccountState {
        shown: Arc::new(Shown {
            username: true,
            user_agent: true,
            timestamps: true,
            permissions: true,
            contact: true,
            groups: groups(
                "[{name: bangalore, match: {alias: x}, watch: page}, {name: empty, match: {alias: x}, watch: ignore}]",
            ),
            applications: BTreeMap::from([
                ("77".to_owned(), "Sales".to_owned()),
                ("unused".to_owned(), "Nobody".to_owned()),
            ]),
        }),
        confirming: true,
        clock_offset: Some(-0.5),
        ..good("main", snapshot(second, Some(&first), facts))
    }
}

/// Three accounts: `main` is `rich()`, `new` is in its first walk, and the first walk of `down` has failed.
fn accounts() -> (Vec<AccountState>, Instruments) {
    let instruments = Instruments::new();
    let main = instruments.account("main");
    main.count(Metric::Walks, &[], 1);
    main.count(Metric::Walks, &[], 1);
    main.registration_changes(1, 0);
    main.request(
        Operation::ListEndpoints,
        Some(200),
        std::time::Duration::from_millis(300),
    );
    main.request(
        Operation::ListEndpoints,
        None,
        std::time::Duration::from_secs(2),
    );
    main.throttled(
        ThrottleCause::Limiter,
        std::time::Duration::from_millis(200),
    );
    instruments
        .account("down")
        .count(Metric::WalkFailures, &["auth"], 1);
    instruments.config_loaded(at(-10));
    instruments.http_request(crate::telemetry::labels::Route::Metrics, 200);
    let states = vec![rich(), fresh("new"), failed(&fresh("down"), "auth")];
    (states, instruments)
}

/// The text without the lines that differ between machines.
fn comparable(text: &str) -> String {
    let lines = text.split_inclusive('\n');
    let keeps = |line: &&str| !line.starts_with("process_") && !line.contains("_build_info{");
    lines.filter(keeps).collect()
}

fn compare(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/exposition/testdata")
        .join(file);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, text).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap();
    assert!(
        golden == text,
        "{file} differs; UPDATE_GOLDEN=1 writes it:\n{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_exposition_of_an_account_with_all_features_is_the_golden_file() {
    let (states, instruments) = accounts();
    let (_publishers, readers): (Vec<_>, Vec<_>) = states.into_iter().map(channel).unzip();
    let exposition = Exposition::new(readers, instruments, Clock::system());
    for (format, file) in [
        (Format::Text, "rich.prom"),
        (Format::OpenMetrics, "rich.om"),
    ] {
        let text = text(&exposition, format);
        checked(&text);
        compare(file, &comparable(&text));
    }
}

#[tokio::test(start_paused = true)]
async fn a_single_run_has_metrics_of_snapshots_and_walks_only() {
    let (states, instruments) = accounts();
    let states: Vec<_> = states.into_iter().map(Arc::new).collect();
    let pieces: Vec<_> = single_run(&states, &instruments, &Clock::system())
        .pieces
        .collect();
    let text = String::from_utf8(pieces.concat()).unwrap();
    let samples = checked(&text);
    assert!(
        samples
            .iter()
            .any(|sample| sample.name == "vobiz_walk_failures_total")
    );
    for sample in &samples {
        let name = sample.name.as_str();
        assert!(name.starts_with("vobiz_"), "{name}");
        assert!(!name.ends_with("_bucket"), "{name}");
        for foreign in ["http", "build", "config"] {
            assert!(
                !name.starts_with(&format!("vobiz_exporter_{foreign}")),
                "{name}"
            );
        }
    }
    compare("single_run.prom", &text);
}
