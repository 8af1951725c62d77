//! `make demo-stack` runs the simulated vendor, the exporter, Prometheus and Alertmanager until Ctrl-C.

use std::io::Write;

use vobiz_simulator::{DEMO_ACCOUNTS, Options, Pace, Vendor, World};

use super::{notified::News, stack::Stack};
use crate::harness::Exporter;

/// Durations in the shipped files are divided by this number, so five minutes last 30 s.
const SPEED: u64 = 10;
const ENDPOINTS: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it ends when somebody presses Ctrl-C: `make demo-stack`"]
async fn the_whole_chain_runs_until_ctrl_c() {
    let world = World::demo_at(ENDPOINTS, 7, jiff::Timestamp::now());
    let options = Options {
        pace: Pace::Running(1.0),
        ..Options::default()
    };
    let vendor = Vendor::start(world, options).await.unwrap();
    let exporter = Exporter::start(&configuration(&vendor)).await;
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::start(folder, exporter, SPEED).await;
    let mut out = std::io::stdout();
    writeln!(
        out,
        "\nA simulated vendor with {ENDPOINTS} endpoints; rules and waits {SPEED} times as fast as shipped.\n  \
         http://{}/                   the exporter\n  \
         http://{}/                   Prometheus (Debian's: /classic/alerts)\n  \
         http://{}/api/v2/alerts      Alertmanager (Debian's has no pages)\n\
         What it tells comes here, the first after two or three minutes. End it with Ctrl-C.\n",
        stack.exporter.address(),
        stack.prometheus.address(),
        stack.alertmanager.address(),
    )
    .unwrap();
    let (mut shown, mut news) = (0, News::default());
    let mut end = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        for message in stack.receiver.messages().split_off(shown) {
            shown += 1;
            for one in news.take(&message) {
                writeln!(out, "{one}").unwrap();
            }
        }
        let second = std::time::Duration::from_secs(1);
        if tokio::time::timeout(second, &mut end).await.is_ok() {
            return;
        }
    }
}

/// A configuration that an operator of the simulated phones could write.
fn configuration(vendor: &Vendor) -> String {
    let base_url = vendor.base_url();
    let [main, branch] = DEMO_ACCOUNTS;
    format!(
        "poll: {{interval: 6s, max_age: 30s, deadline: 5s}}\n\
         api: {{base_url: \"{base_url}\", requests_per_second: 0}}\n\
         accounts:\n  \
         - name: main\n    auth_id: {}\n    auth_token: {}\n    \
         groups: &groups\n    \
         - {{name: reception, match: {{alias: 'Reception.*'}}, watch: page}}\n    \
         - {{name: web, match: {{alias: 'Web.*'}}, watch: ignore}}\n    \
         - {{name: spare, match: {{alias: 'Spare.*'}}, watch: ignore}}\n    \
         - {{name: bengaluru, match: {{alias: 'BLR-.*'}}}}\n    \
         - {{name: delhi, match: {{alias: 'DEL-.*'}}}}\n    \
         - {{name: mumbai, match: {{alias: 'MUM-.*'}}}}\n  \
         - name: branch\n    auth_id: {}\n    auth_token: {}\n    groups: *groups\n",
        main.auth_id, main.token, branch.auth_id, branch.token
    )
}
