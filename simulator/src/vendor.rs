//! The simulated vendor: options, and the handle of a running one.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::rustls::ServerConfig;
use url::Url;

use super::fault::Fault;
use super::log::{Counts, RequestRecord};
use super::plan::FaultId;
use super::server;
use super::state::State;
use super::world::World;

/// Time from the arrival of a request to the start of its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Latency {
    /// No additional time.
    #[default]
    None,
    /// A fixed time, to within a millisecond on an idle machine.
    Fixed(Duration),
    /// Uniformly distributed in a range.
    Between(Duration, Duration),
}

/// The speed of the world's time.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Pace {
    /// Only when [`World::advance`] is called.
    #[default]
    Manual,
    /// With real time, multiplied by this factor, from the world's time at the vendor's start.
    Running(f64),
}

/// The options of a vendor. [`Vendor::set`] changes all but the ones that are fixed at the start.
#[derive(Debug, Clone)]
pub struct Options {
    /// Listen address; port 0 lets the system choose. Fixed at the start.
    pub listen: SocketAddr,
    /// TLS settings. Fixed at the start.
    pub tls: Option<Arc<ServerConfig>>,
    /// The latency of responses.
    pub latency: Latency,
    /// The speed of time. Fixed at the start.
    pub pace: Pace,
    /// Compress for clients that accept gzip.
    pub gzip: bool,
    /// Serve many requests on one connection.
    pub keep_alive: bool,
    /// Send a `Date` header.
    pub date: bool,
    /// Difference between that header and the world's time.
    pub clock_skew: SignedDuration,
    /// Maximum number of requests in the log. Fixed at the start.
    pub log_capacity: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: None,
            latency: Latency::None,
            pace: Pace::Manual,
            gzip: true,
            keep_alive: true,
            date: true,
            clock_skew: SignedDuration::ZERO,
            log_capacity: 10_000,
        }
    }
}

/// A running vendor. Dropping it closes its port and ends its tasks; [`Vendor::stop`] waits for the
/// end.
#[derive(Debug)]
pub struct Vendor {
    state: Arc<State>,
    address: SocketAddr,
    tls: bool,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Vendor {
    /// Starts to serve a world.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound.
    pub async fn start(world: World, options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        Self::over(listener, world, options)
    }

    /// The same on an existing listener; `options.listen` is not used. Must be called
    /// within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// When the socket has no address.
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

    /// The bound address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base of all paths, such as `http://127.0.0.1:40123/api/v1`. The host is a
    /// loopback address for a wildcard address, and the name `localhost` with TLS.
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

    /// Reads or changes the world at its current time, between two requests.
    pub fn edit<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        self.state.with_world(change)
    }

    /// Plans a fault.
    pub fn plan(&self, fault: Fault) -> FaultId {
        self.state.plan().add(fault)
    }

    /// Removes a fault. False if it had reached its limit.
    pub fn cancel(&self, id: FaultId) -> bool {
        self.state.plan().cancel(id)
    }

    /// Removes all faults.
    pub fn heal(&self) {
        self.state.plan().clear();
    }

    /// Changes the options.
    pub fn set(&self, change: impl FnOnce(&mut Options)) {
        change(&mut self.state.options());
    }

    /// The last requests, oldest first.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.state.log().records()
    }

    /// Counts since the start.
    pub fn counts(&self) -> Counts {
        self.state.log().counts
    }

    /// Waits until the counts satisfy a condition.
    pub async fn until(&self, condition: impl Fn(&Counts) -> bool) -> Counts {
        let mut changes = self.state.changes();
        loop {
            let counts = self.counts();
            // The channel cannot close: the state of this vendor holds the sender.
            if condition(&counts) || changes.changed().await.is_err() {
                return counts;
            }
        }
    }

    /// Closes the port and every connection, and returns the world: a vendor started with it on the
    /// same address simulates the end of an outage.
    pub async fn stop(self) -> World {
        // An error means that the server has ended already.
        let _ = self.stop.send(());
        let _ = self.server.await;
        self.state.take_world()
    }
}
