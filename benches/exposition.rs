//! Benchmarks of rendering, publishing and scraping.
//!
//! `render` renders the snapshot of one account to chunks. `publish` renders a new state of one
//! account. The exposition also has 299 other accounts, each with 45 endpoints. `scrape` builds one
//! response body.

#![expect(clippy::print_stderr, reason = "sizes are part of the result")]

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tokio::{runtime, time::Instant};
use vobiz_exporter::{
    api::{Application, Endpoint, Row, RowKey},
    clock::{Clock, UnixMillis},
    exposition::{AccountSummary, Encoding, Exposition, Format},
    snapshot::{
        AccountState, LastSuccess, Publisher, Reader, Retention, Shown, Snapshot, SnapshotBuilder,
        WalkFacts, channel,
    },
    telemetry::{Instruments, Metric},
};

const NOON: i64 = 1_732_200_000_000;

fn snapshot(endpoints: u64) -> Arc<Snapshot> {
    let mut builder = SnapshotBuilder::new(true);
    for number in 0..endpoints {
        let at = NOON - i64::try_from(number * 7919 % 300_000).unwrap_or(0);
        let endpoint = Endpoint {
            id: (18_446_000_000_u64 + number * 37).to_string(),
            username: Some(format!("desk{number:06}{}", number * 7919 % 9973)),
            alias: Some(format!("Reception desk {number}")),
            registered: Some(number % 10 != 0),
            expires_at: Some(UnixMillis(at + 3_600_000)),
            user_agent: Some(format!(
                "Yealink SIP-T{} 96.86.0.{}",
                number % 7,
                number % 40
            )),
            application: (number % 5 != 0).then(|| Application {
                id: (number % 30 * 1_234_567).to_string(),
                name: Some(format!("Application {}", number % 30)),
            }),
            created_at: Some(UnixMillis(at - 90_000_000_000)),
            updated_at: Some(UnixMillis(at - 40_000_000_000)),
            ..Endpoint::default()
        };
        let row = Row {
            key: RowKey(number),
            content: Ok(endpoint),
        };
        builder.take(&row, number);
    }
    let facts = WalkFacts {
        pages: endpoints.div_ceil(99),
        reported: Some(endpoints),
        ..WalkFacts::new(
            UnixMillis(NOON),
            UnixMillis(NOON + 2_500),
            Duration::from_millis(2_500),
        )
    };
    let (snapshot, _) = builder
        .finish()
        .build(None, facts, Retention::default(), &|_| None);
    Arc::new(snapshot)
}

fn state(account: &str, snapshot: Option<Arc<Snapshot>>, timestamps: bool) -> AccountState {
    AccountState {
        account: account.into(),
        shown: Arc::new(Shown {
            username: true,
            user_agent: true,
            timestamps,
            ..Shown::default()
        }),
        up: snapshot.as_ref().map(|_| true),
        last_success: (snapshot.as_ref())
            .map(|snapshot| LastSuccess::new(snapshot.walk.ended_at, Duration::ZERO)),
        snapshot,
        clock_offset: Some(0.25),
        poll_interval: Duration::from_secs(60),
        max_age: Duration::from_secs(300),
        stale_at: Some(Instant::now() + Duration::from_secs(86_400)),
        withdraw_at: Some(Instant::now() + Duration::from_secs(86_400)),
        ..AccountState::default()
    }
}

/// Creates this many accounts with the same snapshot, and adds 1 to each account's walk counter.
fn fleet(accounts: usize, snapshot: &Arc<Snapshot>) -> (Vec<Publisher>, Vec<Reader>, Instruments) {
    let instruments = Instruments::new();
    let channels = (0..accounts).map(|number| {
        let name = format!("account-{number}");
        instruments.account(&name).count(Metric::Walks, &[], 1);
        channel(state(&name, Some(Arc::clone(snapshot)), false))
    });
    let (publishers, readers) = channels.unzip();
    (publishers, readers, instruments)
}

fn render(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("render");
    group.sample_size(20);
    for (endpoints, timestamps) in [(45, false), (10_000, false), (100_000, true)] {
        let snapshot = snapshot(endpoints);
        let (_publisher, reader) = channel(state("main", Some(snapshot), timestamps));
        group.throughput(Throughput::Elements(endpoints));
        group.bench_function(endpoints.to_string(), |bencher| {
            bencher.iter(|| {
                Exposition::new(vec![reader.clone()], Instruments::new(), Clock::system())
            });
        });
        let exposition = Exposition::new(vec![reader.clone()], Instruments::new(), Clock::system());
        for encoding in [Encoding::Gzip, Encoding::Identity] {
            let body = exposition.body(Format::Text, encoding);
            let (length, pieces) = (body.length, body.pieces.count());
            eprintln!("{endpoints} endpoints, {encoding:?}: {length} bytes, {pieces} pieces");
        }
    }
    group.finish();
}

fn publish(criterion: &mut Criterion) {
    let runtime = runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime starts");
    let small = snapshot(45);
    let mut group = criterion.benchmark_group("publish");
    group.sample_size(20);
    for (name, with) in [
        ("300x45, new snapshot", Some(&small)),
        ("300x45, failed walk", None),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || {
                    let (mut publishers, mut readers, instruments) = fleet(299, &small);
                    let (publisher, reader) = channel(state("one", None, false));
                    publishers.push(publisher);
                    readers.push(reader);
                    let exposition = Exposition::new(readers, instruments, Clock::system());
                    let mut new = state("one", with.map(Arc::clone), false);
                    new.up = Some(with.is_some());
                    new.failure = with.is_none().then_some("network");
                    publishers[299].publish(new);
                    (publishers, exposition)
                },
                |(_publishers, exposition)| {
                    // At first, only the summary of the added account shows no finished walk. When
                    // it shows a finished walk, the exposition has rendered the new state.
                    let is_walking = |one: &AccountSummary| !one.has_walked;
                    let ready = async {
                        while exposition.accounts().iter().any(is_walking) {
                            tokio::task::yield_now().await;
                        }
                    };
                    runtime.block_on(async {
                        tokio::select! {
                            () = exposition.clone().run() => {}
                            () = ready => {}
                        }
                    });
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn scrape(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scrape");
    let (_publishers, readers, instruments) = fleet(1, &snapshot(10_000));
    let exposition = Exposition::new(readers, instruments, Clock::system());
    for encoding in [Encoding::Gzip, Encoding::Identity] {
        group.bench_function(format!("10000, {encoding:?}"), |bencher| {
            bencher.iter(|| {
                let body = exposition.body(Format::Text, encoding);
                body.pieces.for_each(|piece| drop(black_box(piece)));
            });
        });
    }
    let (_publishers, readers, instruments) = fleet(300, &snapshot(45));
    let exposition = Exposition::new(readers, instruments, Clock::system());
    group.bench_function("300x45, Gzip", |bencher| {
        bencher.iter(|| {
            let body = exposition.body(Format::Text, Encoding::Gzip);
            body.pieces.for_each(|piece| drop(black_box(piece)));
        });
    });
    let body = exposition.body(Format::Text, Encoding::Gzip);
    let (length, pieces) = (body.length, body.pieces.count());
    eprintln!("300x45: {length} bytes, {pieces} pieces");
    group.finish();
}

criterion_group!(benches, render, publish, scrape);
criterion_main!(benches);
