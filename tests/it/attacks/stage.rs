//! A running exporter, and what the operating system says about its process.

use std::{net::SocketAddr, time::Duration};

use procfs::process;
use vobiz_simulator::{Options, TEST_ACCOUNT, Vendor, World};

use crate::harness::{Process, Program, get, until};

/// The exporter, its vendor, and its address.
pub struct Stage {
    exporter: Process,
    _vendor: Vendor,
    address: String,
}

impl Stage {
    /// Starts an exporter for an account with `endpoints` endpoints, and waits until it shows them. The process may
    /// open 1,024 file descriptors, which is the usual limit.
    pub async fn start(endpoints: usize) -> Self {
        let vendor = Vendor::start(World::still(endpoints, 7), Options::default());
        let vendor = vendor.await.expect("loopback has a free port");
        let (base_url, auth_id, token) =
            (vendor.base_url(), TEST_ACCOUNT.auth_id, TEST_ACCOUNT.token);
        let configuration = format!(
            "poll: {{interval: 30s}}\n\
             api: {{base_url: \"{base_url}\", requests_per_second: 0}}\n\
             accounts: [{{name: main, auth_id: {auth_id}, auth_token: {token}}}]\n"
        );
        let listen = "--web.listen-address=127.0.0.1:0";
        let exporter = Program::configured(&configuration, &[listen])
            .after("ulimit -n 1024")
            .start();
        let address = exporter.listens(1).await.remove(0);
        until("the first walk", || async {
            let response = get(&address, "/-/ready").await;
            (response.status == 200).then_some(())
        })
        .await;
        Self {
            exporter,
            _vendor: vendor,
            address,
        }
    }

    /// The address as `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The address of the socket.
    pub fn socket_address(&self) -> SocketAddr {
        self.address.parse().expect("an IP address and a port")
    }

    /// The length of the exposition, in bytes without compression. Waits until it has all `endpoints`.
    pub async fn text_bytes(&self, endpoints: usize) -> usize {
        until("all endpoints", || async {
            let body = get(&self.address, "/metrics").await.body;
            let text = String::from_utf8_lossy(&body);
            let shown = text.matches("\nvobiz_endpoint_registered{").count();
            (shown == endpoints).then_some(text.len())
        })
        .await
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
