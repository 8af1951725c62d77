//! An attack: its clients, its target, and its bounds in number and time.

use std::{
    future::pending,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use futures_util::future::{BoxFuture, join_all};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::SockRef;
use tokio::{
    net::{TcpSocket, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::access::Access;

/// Maximum number of connections that one attack opens.
const MAX_OPENED: usize = 99_000;

/// Receive buffer of an attacker, in bytes. With a small buffer, unread responses stay in the server.
const RECEIVE_BUFFER: u32 = 4096;

/// Maximum segment size of an attacker, in bytes, as on Ethernet. On loopback, segments have 64 KiB by default. The
/// kernel derives the size of the server's send buffer from the segment size, so a send buffer would hold 2.6 MB.
const SEGMENT: u32 = 1460;

/// Time limit for opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// An attack. Each of its clients opens a connection and misuses it. If the connection ends, the client opens a new
/// connection after a pause.
#[derive(Clone, Copy)]
pub struct Attack {
    /// The words for the report.
    pub name: &'static str,
    /// Number of clients at the same time.
    pub clients: usize,
    /// Pause of a client between two connections.
    pub pause: Duration,
    /// Uses one connection until the connection ends.
    pub client: fn(Arc<Target>) -> BoxFuture<'static, io::Result<()>>,
}

/// The attacked server, and the number of connections so far.
pub struct Target {
    address: SocketAddr,
    access: Access,
    /// Number of started connections, including failed ones.
    started: AtomicUsize,
    opened: AtomicUsize,
}

/// A running attack. Its clients run on a thread of their own, so that they delay no good client.
pub struct Running {
    target: Arc<Target>,
    stop: CancellationToken,
    thread: thread::JoinHandle<()>,
}

impl Attack {
    /// Starts the attack. It runs until [`Running::stop`].
    pub fn start(self, address: SocketAddr, access: Access) -> Running {
        allow_descriptors();
        let target = Arc::new(Target {
            address,
            access,
            started: AtomicUsize::new(0),
            opened: AtomicUsize::new(0),
        });
        let stop = CancellationToken::new();
        let (attacked, stopped) = (Arc::clone(&target), stop.clone());
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.expect("a runtime").block_on(async {
                let clients = (0..self.clients).map(|_| self.repeat(Arc::clone(&attacked)));
                tokio::select! {
                    _ = join_all(clients) => {}
                    () = stopped.cancelled() => {}
                }
            });
        });
        Running {
            target,
            stop,
            thread,
        }
    }

    async fn repeat(self, target: Arc<Target>) {
        loop {
            // A cut connection is the success of the server, not an error of the attack.
            let _ = (self.client)(Arc::clone(&target)).await;
            sleep(self.pause).await;
        }
    }
}

impl Target {
    /// How good clients reach the server.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// A number that differs between connections.
    pub fn number(&self) -> usize {
        self.started.load(Ordering::Relaxed)
    }

    /// Opens a connection with small buffers. After `MAX_OPENED` connections, the function never returns.
    pub async fn connect(&self) -> io::Result<TcpStream> {
        if self.started.fetch_add(1, Ordering::Relaxed) >= MAX_OPENED {
            return pending().await;
        }
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        SockRef::from(&socket).set_tcp_mss(SEGMENT)?;
        let stream = timeout(CONNECT_TIMEOUT, socket.connect(self.address)).await??;
        stream.set_nodelay(true)?;
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(stream)
    }
}

impl Running {
    /// Ends the attack, closes its connections, and returns the number of connections that it opened.
    pub fn stop(self) -> usize {
        self.stop.cancel();
        self.thread.join().expect("the attack does not panic");
        self.target.opened.load(Ordering::Relaxed)
    }
}

/// Makes the type of [`Attack::client`] from a future.
pub fn boxed(
    client: impl Future<Output = io::Result<()>> + Send + 'static,
) -> BoxFuture<'static, io::Result<()>> {
    Box::pin(client)
}

/// Raises the limit of file descriptors of this process, because the default of 1,024 is too low for 2,000 clients.
fn allow_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).expect("a process may raise its limit to the maximum");
}
