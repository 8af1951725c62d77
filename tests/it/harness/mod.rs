//! The common parts of all tests: the simulated vendor in the test process, the exporter as a
//! process, and the samples that Prometheus would receive.

mod ask;
mod exporter;
mod family;
mod program;
mod prometheus;
mod recording_proxy;
mod scrape;
mod tool;

pub use ask::{Answer, SlowReader, ask, get, is_closed};
pub use exporter::{Exporter, Finished, run};
pub use family::Family;
pub use program::{Ended, Process, Program, Written, signal};
pub use prometheus::Prometheus;
pub use recording_proxy::RecordingProxy;
pub use scrape::{Scrape, label};
pub use tool::{Generation, blackbox_exporter, judge, promtool_accepts, python, tool};

use std::{collections::BTreeMap, fmt::Write as _, future::Future, time::Duration};

use vobiz_simulator::{AccountPlan, Options, START, TEST_ACCOUNT, Vendor, World};

/// The time limit for most waits of a test.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Calls `ask` repeatedly until it returns a value. Panics with `what` after the time limit.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, ask: impl FnMut() -> F) -> T {
    until_within(TIMEOUT, what, ask).await
}

/// Calls `ask` like [`until`], but with the time limit `timeout`.
pub async fn until_within<T, F: Future<Output = Option<T>>>(
    timeout: Duration,
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(timeout, asking)
        .await
        .unwrap_or_else(|_| panic!("timed out: {what}"))
}

/// A configuration with the account `main` of this vendor, and with the shortest poll interval.
/// `more` has further lines at the top level of the file.
pub fn configuration(vendor: &Vendor, more: &str) -> String {
    let (base_url, auth_id, token) = (vendor.base_url(), TEST_ACCOUNT.auth_id, TEST_ACCOUNT.token);
    format!(
        "poll: {{interval: 5s, max_age: 14s, deadline: 4s}}\n\
         api: {{base_url: \"{base_url}\", requests_per_second: 0}}\n\
         accounts: [{{name: main, auth_id: {auth_id}, auth_token: {token}}}]\n\
         {more}\n"
    )
}

/// The auth id of the account that the tests call `name`.
pub fn auth_id(name: &str) -> String {
    format!("MA_{name}")
}

fn token(name: &str) -> String {
    format!("token-of-{name}")
}

/// The plan of an account with simulated events.
pub fn lively(name: &str, endpoints: usize) -> AccountPlan {
    AccountPlan::new(auth_id(name), token(name), endpoints)
}

/// The plan of an account without simulated events.
pub fn plan(name: &str, endpoints: usize) -> AccountPlan {
    lively(name, endpoints).still()
}

/// A vendor with these accounts, each with its number of endpoints and without simulated events.
pub async fn vendor<'a>(accounts: impl IntoIterator<Item = (&'a str, usize)>) -> Vendor {
    let mut world = World::new(START, 7);
    for (name, endpoints) in accounts {
        world.settle(plan(name, endpoints));
    }
    let vendor = Vendor::start(world, Options::default()).await;
    vendor.expect("loopback has a free port")
}

/// Walks every account once with `--once` and parses the printed samples.
pub async fn once(configuration: &str) -> Scrape {
    let output = run(configuration, &["--once"]).await;
    assert_ne!(output.status.code(), Some(2), "{output:?}");
    Scrape::read(&String::from_utf8(output.stdout).expect("an exposition is UTF-8"))
}

/// A configuration with these accounts, the credentials of [`plan`] and the shortest poll interval.
/// `api` has further keys of the section `api`. `accounts` has names and further keys of accounts.
pub fn accounts_config<'a>(
    vendor: &Vendor,
    api: &str,
    accounts: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> String {
    let base_url = vendor.base_url();
    let mut text = format!(
        "poll: {{interval: 5s, max_age: 15s, deadline: 5s}}\n\
         api: {{base_url: \"{base_url}\", requests_per_second: 0, {api}}}\n\
         accounts:\n"
    );
    for (name, more) in accounts {
        let (auth_id, token) = (auth_id(name), token(name));
        writeln!(
            text,
            "  - {{name: '{name}', auth_id: '{auth_id}', auth_token: '{token}', {more}}}"
        )
        .expect("a string takes every write");
    }
    text
}

/// The id and the registration state of each endpoint, including endpoints that no list shows.
pub fn listed(vendor: &Vendor, auth_id: &str) -> BTreeMap<String, Option<bool>> {
    vendor.edit(|world| {
        let account = world.account(auth_id).expect("the vendor has the account");
        account
            .endpoints()
            .map(|one| (one.id().to_owned(), Some(one.registered())))
            .collect()
    })
}
