//! The stand on which stories are told: the simulated vendor in this process, the exporter as the
//! binary that users run, and what Prometheus would see of it.

mod ask;
mod exporter;
mod family;
mod program;
mod prometheus;
mod scrape;
mod tool;
mod wire;

pub use ask::{Answer, SlowReader, ask, get, is_closed};
pub use exporter::{Exporter, Finished, run};
pub use family::Family;
pub use program::{Ended, Process, Program, Written, signal};
pub use prometheus::Prometheus;
pub use scrape::Scrape;
pub use tool::{judge, promtool_accepts, python, tool};
pub use wire::Wire;

use std::{future::Future, time::Duration};

use vobiz_exporter::sim::{TEST_ACCOUNT, Vendor};

/// No story waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again until the answer is there; panics with `what` when it does not come.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for: {what}"))
}

/// A configuration with one account, `main`, on this vendor, walked as often as is allowed.
/// `more` are further lines of the file, at its top level.
pub fn configuration(vendor: &Vendor, more: &str) -> String {
    let (base_url, auth_id, token) = (vendor.base_url(), TEST_ACCOUNT.auth_id, TEST_ACCOUNT.token);
    format!(
        "poll: {{interval: 5s, max_age: 14s, deadline: 4s}}\n\
         api: {{base_url: \"{base_url}\", requests_per_second: 0}}\n\
         accounts: [{{name: main, auth_id: {auth_id}, auth_token: {token}}}]\n\
         {more}\n"
    )
}
