//! The handle of the simulated vendor: start and stop, faults, edits of its world, its requests.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use url::Url;

use super::fault::{Fault, FaultId};
use super::request_log::{Counts, RequestRecord};
use super::server;
use super::vendor_state::{Options, State};
use super::world::World;

/// A simulated vendor: a running HTTP server for the simulated API. A drop of the vendor closes the
/// port and ends the tasks. [`Vendor::stop`] also waits until the tasks have ended.
#[derive(Debug)]
pub struct Vendor {
    state: Arc<State>,
    address: SocketAddr,
    tls: bool,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Vendor {
    /// Starts a simulated vendor that serves this world.
    ///
    /// # Errors
    ///
    /// The address cannot be bound.
    pub async fn start(world: World, options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        Self::over(listener, world, options)
    }

    /// Starts a simulated vendor on this listener. Ignores `options.listen`. Needs a Tokio runtime.
    ///
    /// # Errors
    ///
    /// The address of the listener cannot be read.
    pub fn over(listener: TcpListener, world: World, options: Options) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let tls = options.tls.is_some();
        let state = Arc::new(State::new(world, options));
        let (stop, server) = server::start(listener, Arc::clone(&state));
        Ok(Self {
            state,
            address,
            tls,
            stop,
            server,
        })
    }

    /// The address on which the vendor listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base of all URLs, such as `http://127.0.0.1:40123/api/v1`. For a wildcard address, the
    /// host is `127.0.0.1`. With TLS, the host is always `localhost`.
    pub fn base_url(&self) -> Url {
        let port = self.address.port();
        let host = match self.address.ip() {
            _ if self.tls => "localhost".to_owned(),
            ip if ip.is_unspecified() => "127.0.0.1".to_owned(),
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let scheme = if self.tls { "https" } else { "http" };
        let url = format!("{scheme}://{host}:{port}/api/v1");
        url.parse().expect("an address and a port make a URL")
    }

    /// Calls `change` with the world at the current simulated time. Requests cannot use the world
    /// until `change` returns.
    pub fn edit<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        self.state.with_world(change)
    }

    /// Plans a fault for requests that arrive after this call.
    pub fn plan(&self, fault: Fault) -> FaultId {
        self.state.plan().add(fault)
    }

    /// Removes a fault. Returns false if the vendor or a caller has already removed it.
    pub fn cancel(&self, id: FaultId) -> bool {
        self.state.plan().cancel(id)
    }

    /// Removes all planned faults.
    pub fn heal(&self) {
        self.state.plan().clear();
    }

    /// Changes the options of the running vendor.
    pub fn set(&self, change: impl FnOnce(&mut Options)) {
        change(&mut self.state.options());
    }

    /// The latest [`Options::log_capacity`] requests, the oldest of these first.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.state.log().records()
    }

    /// The counts of requests, responses and connections since the start of the simulated vendor.
    pub fn counts(&self) -> Counts {
        self.state.log().counts
    }

    /// Waits until the counts satisfy this condition.
    pub async fn until(&self, condition: impl Fn(&Counts) -> bool) -> Counts {
        let mut changes = self.state.changes();
        loop {
            let counts = self.counts();
            // This vendor keeps the sender, so the channel stays open and `changed` does not fail.
            if condition(&counts) || changes.changed().await.is_err() {
                return counts;
            }
        }
    }

    /// Closes the port and every connection, and returns the world. If a test stops the vendor to
    /// simulate an outage of the API, a new vendor with this world and address ends the outage.
    pub async fn stop(self) -> World {
        // `send` fails only if the server has already ended.
        let _ = self.stop.send(());
        let _ = self.server.await;
        self.state.take_world()
    }
}
