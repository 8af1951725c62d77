//! A running exporter, and what the operating system says about its process.

use std::{net::SocketAddr, time::Duration};

use futures_util::FutureExt;
use procfs::process;
use vobiz_simulator::{Options, TEST_ACCOUNT, Vendor, World};

use super::access::Access;
use crate::harness::{Process, Program, until};

/// The exporter, its vendor, and its address.
pub struct Stage {
    exporter: Process,
    _vendor: Vendor,
    address: SocketAddr,
    access: Access,
}

impl Stage {
    /// Starts an exporter for an account with `endpoints` endpoints, and waits until it shows them. The process may
    /// open 1,024 file descriptors, which is the usual limit.
    pub async fn start(endpoints: usize, access: Access) -> Self {
        let vendor = Vendor::start(World::still(endpoints, 7), Options::default());
        let vendor = vendor.await.expect("loopback has a free port");
        let (base_url, auth_id, token) =
            (vendor.base_url(), TEST_ACCOUNT.auth_id, TEST_ACCOUNT.token);
        let configuration = format!(
            "poll: {{interval: 30s}}\n\
             api: {{base_url: \"{base_url}\", requests_per_second: 0}}\n\
             accounts: [{{name: main, auth_id: {auth_id}, auth_token: {token}}}]\n"
        );
        let mut arguments = vec!["--web.listen-address=127.0.0.1:0".to_owned()];
        if let Access::Encrypted(credentials) = &access {
            let file = credentials.web_config();
            arguments.push(format!("--web.config.file={}", file.display()));
        }
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let exporter = Program::configured(&configuration, &arguments)
            .after("ulimit -n 1024")
            .start();
        let address = exporter.listens(1).await.remove(0);
        let address = address.parse().expect("an IP address and a port");
        until("the first walk", || {
            access.get(address, "/-/ready").map(Result::ok)
        })
        .await;
        Self {
            exporter,
            _vendor: vendor,
            address,
            access,
        }
    }

    /// The address of the exporter.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How good clients reach the exporter.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// The length of the exposition, in bytes without compression. Waits until it has all `endpoints`.
    pub async fn text_bytes(&self, endpoints: usize) -> usize {
        until("all endpoints", || async {
            let body = self.access.get(self.address, "/metrics").await.ok()?;
            let text = String::from_utf8_lossy(&body);
            let shown = text.matches("\nvobiz_endpoint_registered{").count();
            (shown == endpoints).then_some(text.len())
        })
        .await
    }

    /// Waits until the exporter has counted a connection that ended with this outcome.
    pub async fn has_ended(&self, outcome: &str) {
        let name = format!("vobiz_exporter_http_connections_total{{outcome=\"{outcome}\"}} ");
        until(outcome, || async {
            let body = self.access.get(self.address, "/metrics").await.ok()?;
            let text = String::from_utf8_lossy(&body);
            let line = text.lines().find_map(|line| line.strip_prefix(&name))?;
            line.parse()
                .is_ok_and(|number: f64| number > 0.0)
                .then_some(())
        })
        .await;
    }

    /// Sends SIGTERM to the exporter.
    pub async fn terminate(&self) {
        self.exporter.signal("TERM").await;
    }

    /// The resident memory of the process (`VmRSS`), in KiB.
    pub fn memory(&self) -> u64 {
        let status = self.process().status().expect("the process runs");
        status.vmrss.expect("the process has memory")
    }

    /// The number of open file descriptors of the process.
    pub fn descriptors(&self) -> usize {
        self.process().fd_count().expect("the process runs")
    }

    fn process(&self) -> process::Process {
        let pid = i32::try_from(self.exporter.pid()).expect("a process id is small");
        process::Process::new(pid).expect("the process runs")
    }

    /// The lowest number of open file descriptors within one second.
    pub async fn fewest_descriptors(&self) -> usize {
        let mut fewest = self.descriptors();
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            fewest = fewest.min(self.descriptors());
        }
        fewest
    }

    /// Waits up to a minute until the process has at most `most` file descriptors. Returns the last number.
    pub async fn descriptors_after(&self, most: usize) -> usize {
        for _ in 0..600 {
            if self.descriptors() <= most {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.descriptors()
    }
}
