//! The simulated vendor as its users hold it.

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

/// How long each answer takes, counted from the arrival of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Latency {
    /// No longer than the work does.
    #[default]
    None,
    /// Always so long: at most a millisecond less, and on an idle machine as little more.
    Fixed(Duration),
    /// Drawn evenly from a range.
    Between(Duration, Duration),
}

/// How the world's time passes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Pace {
    /// Only when [`World::advance`] is called.
    #[default]
    Manual,
    /// With the real one, so many times as fast; from the world's time at the vendor's start.
    Running(f64),
}

/// How the vendor is set up. All but `listen` and `tls` may be changed later by [`Vendor::set`].
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Speak TLS.
    pub tls: Option<Arc<ServerConfig>>,
    /// How long answers take.
    pub latency: Latency,
    /// How time passes; fixed at the start.
    pub pace: Pace,
    /// Compress for clients that accept gzip.
    pub gzip: bool,
    /// Serve many requests on one connection.
    pub keep_alive: bool,
    /// Send a `Date` header.
    pub date: bool,
    /// How far that header is ahead of the world's time.
    pub clock_skew: SignedDuration,
    /// How many requests the log keeps; fixed at the start.
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

/// A running vendor. When it is dropped, its port closes and its tasks end soon after;
/// [`Vendor::stop`] waits for that.
#[derive(Debug)]
pub struct Vendor {
    state: Arc<State>,
    address: SocketAddr,
    tls: bool,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Vendor {
    /// Starts answering for a world.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound.
    pub async fn start(world: World, options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        Self::over(listener, world, options)
    }

    /// The same on a socket that listens already; `options.listen` is not used. Must be called
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

    /// The base of all paths, such as `http://127.0.0.1:40123/api/v1`. A vendor that listens
    /// everywhere is reached by loopback; one that speaks TLS by the name `localhost`.
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

    /// Looks at the world, or changes it, at its present time, between two requests.
    pub fn edit<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        self.state.with_world(change)
    }

    /// Plans a fault.
    pub fn plan(&self, fault: Fault) -> FaultId {
        self.state.plan().add(fault)
    }

    /// Takes a fault back. False if it had run its course.
    pub fn cancel(&self, id: FaultId) -> bool {
        self.state.plan().cancel(id)
    }

    /// Takes all faults back.
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

    /// Numbers since the start.
    pub fn counts(&self) -> Counts {
        self.state.log().counts
    }

    /// Waits until the numbers satisfy a condition.
    pub async fn until(&self, condition: impl Fn(&Counts) -> bool) -> Counts {
        let mut changes = self.state.changes();
        loop {
            let counts = self.counts();
            // The channel cannot close: this vendor's state holds its other end.
            if condition(&counts) || changes.changed().await.is_err() {
                return counts;
            }
        }
    }

    /// Closes the port and every connection, and hands the world back: a vendor started with it on
    /// the same address is the same vendor after an outage.
    pub async fn stop(self) -> World {
        // An error would mean that the server has ended already.
        let _ = self.stop.send(());
        let _ = self.server.await;
        self.state.take_world()
    }
}
