//! The listening side: open the doors, let connections in, close.

use std::{future::poll_fn, io, net::SocketAddr, sync::Arc, task::Poll, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, sleep_until},
};

use super::{
    Address, BindError, Settings, bell::Bell, connections::Connections, front::Front, pages::Pages,
};
use crate::{shutdown::CancellationToken, telemetry::Instruments};

/// How long nothing is accepted after the system could not give us a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// How often someone idle is looked for while a newcomer waits.
const ROOM_PAUSE: Duration = Duration::from_millis(100);

/// How often a lasting shortage is told of.
const TELL_PAUSE: Duration = Duration::from_secs(60);

/// A front door that is bound but not yet open: clients can connect, and wait.
#[derive(Debug)]
pub struct Bound {
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    settings: Settings,
    bell: Option<Arc<dyn Bell>>,
}

impl Bound {
    /// Listens on every one of `addresses`, or on none.
    ///
    /// # Errors
    ///
    /// The first address that cannot be listened on, with the reason.
    pub async fn bind(addresses: &[Address], settings: Settings) -> Result<Self, BindError> {
        let mut bound = Self {
            listeners: Vec::new(),
            addresses: Vec::new(),
            settings,
            bell: None,
        };
        for address in addresses {
            for listener in address.listen().await? {
                let local = listener.local_addr();
                bound
                    .addresses
                    .push(local.map_err(|source| BindError::Listen {
                        address: address.clone(),
                        source,
                    })?);
                bound.listeners.push(listener);
            }
        }
        if bound.listeners.is_empty() {
            return Err(BindError::NoAddress);
        }
        Ok(bound)
    }

    /// The addresses that are listened on, with the ports that the system chose for port 0, in the
    /// order of the addresses asked for.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// From now on, probes are answered by `bell`; without one, `/probe` is not found.
    #[must_use]
    pub fn with_bell(mut self, bell: Arc<dyn Bell>) -> Self {
        self.bell = Some(bell);
        self
    }

    /// Answers until `shutdown`; then takes no more connections, ends the idle ones, finishes the
    /// answers under way (at most [`Limits::drain_time`](super::Limits::drain_time)) and returns.
    pub async fn serve<P: Pages>(
        self,
        pages: Arc<P>,
        instruments: Instruments,
        shutdown: CancellationToken,
    ) {
        let front = Front::new(&self.settings, pages, self.bell, instruments);
        let front = Arc::new(front);
        let mut connections = Connections::new(self.settings.limits, shutdown.clone());
        let mut doors = Doors::new(self.listeners);
        // A connection that has come while all are taken. Nobody has to go before it is there.
        let mut newcomer = None;
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                () = connections.ended(), if !connections.is_empty() => doors.try_again(),
                () = sleep(ROOM_PAUSE), if newcomer.is_some() => {}
                accepted = doors.accept(), if newcomer.is_none() => match accepted {
                    Ok(stream) => newcomer = Some(stream),
                    Err(Shortage) => connections.make_room(),
                }
            }
            match newcomer.take_if(|_| !connections.is_full()) {
                Some(stream) => connections.add(stream, &front),
                None if newcomer.is_some() => connections.make_room(),
                None => {}
            }
        }
        drop(doors);
        connections.drain().await;
    }
}

/// The system could not give us a connection that waits; usually file descriptors have run out.
struct Shortage;

/// All listeners, asked in turn.
#[derive(Debug)]
struct Doors {
    listeners: Vec<TcpListener>,
    /// Whose turn it is, so that a crowd at one door does not keep the others shut.
    turn: usize,
    /// After a shortage: when to try again.
    not_before: Option<Instant>,
    /// When a shortage was last told of.
    told_at: Option<Instant>,
}

impl Doors {
    fn new(listeners: Vec<TcpListener>) -> Self {
        Self {
            listeners,
            turn: 0,
            not_before: None,
            told_at: None,
        }
    }

    /// Something has been given back: what was short a moment ago may be there now.
    fn try_again(&mut self) {
        self.not_before = None;
    }

    /// The next connection. Nothing is lost when this is dropped while it waits.
    async fn accept(&mut self) -> Result<TcpStream, Shortage> {
        if let Some(moment) = self.not_before {
            sleep_until(moment).await;
            self.not_before = None;
        }
        loop {
            match self.accept_any().await {
                Ok(stream) => return Ok(stream),
                Err(error) if is_of_the_client(&error) => {}
                Err(error) => {
                    self.tell(&error);
                    self.not_before = Some(Instant::now() + ACCEPT_PAUSE);
                    return Err(Shortage);
                }
            }
        }
    }

    /// A shortage meets every connection that waits, so it is told of once in a while only.
    fn tell(&mut self, error: &io::Error) {
        if self.told_at.is_none_or(|at| at.elapsed() >= TELL_PAUSE) {
            tracing::warn!(%error, "connections cannot be accepted; trying again");
            self.told_at = Some(Instant::now());
        }
    }

    async fn accept_any(&mut self) -> io::Result<TcpStream> {
        poll_fn(|cx| {
            let doors = self.listeners.len();
            for step in 0..doors {
                let door = (self.turn + step) % doors;
                if let Poll::Ready(accepted) = self.listeners[door].poll_accept(cx) {
                    self.turn = door + 1;
                    return Poll::Ready(accepted.map(|(stream, _)| stream));
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// Was it the waiting connection that failed, rather than us? Then the next one may be well.
fn is_of_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}
