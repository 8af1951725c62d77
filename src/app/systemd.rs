//! Notifications to systemd: readiness, status and watchdog, as `sd_notify(3)` describes them.
//!
//! A notification is a datagram of `KEY=value` lines to the socket in `NOTIFY_SOCKET`. Without that
//! variable, the exporter sends no notifications.

use std::{
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram as StdDatagram},
    },
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::UnixDatagram,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};

use crate::{exposition::Exposition, shutdown::CancellationToken};

/// Time between two checks for a change of the status text.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);
/// Time limit of a notification. A notification blocks while systemd does not read from its socket.
pub(super) const SEND_TIMEOUT: Duration = Duration::from_millis(200);
/// Time limit of the notification `READY=1`. It is long, because systemd ends a service without `READY=1`.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// The notification socket and the watchdog of this process.
#[derive(Debug, Clone)]
pub(super) struct Systemd {
    socket: Option<SocketAddr>,
    /// Systemd ends a process that sends no `WATCHDOG=1` for this long.
    watchdog: Option<Duration>,
    /// Whether the last reload of the configuration was refused. The status shows it.
    is_refused: Arc<AtomicBool>,
    /// Whether the last notification failed. Only the first of successive failures is logged.
    has_failed: Arc<AtomicBool>,
}

impl Systemd {
    /// Reads `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`. `pid` is the id of this process.
    pub(super) fn from_environment(environment: &[(String, String)], pid: u32) -> Self {
        let value = |key: &str| {
            let mut set = environment.iter().filter(|(name, _)| name == key);
            set.next().map(|(_, value)| value.as_str())
        };
        // A parent process may pass on its variables. `WATCHDOG_PID` names the process that has the watchdog.
        let is_ours = value("WATCHDOG_PID").is_none_or(|of| of.parse() == Ok(pid));
        let microseconds = value("WATCHDOG_USEC").and_then(|text| text.parse().ok());
        let watchdog = microseconds.filter(|time| is_ours && *time > 0);
        Self {
            socket: value("NOTIFY_SOCKET").and_then(socket_address),
            watchdog: watchdog.map(Duration::from_micros),
            is_refused: Arc::default(),
            has_failed: Arc::default(),
        }
    }

    /// Sends `READY=1`, then watchdog notifications without end. Sends changes of the status only until
    /// `shutdown`. Without a socket, the method returns at once.
    pub(super) async fn notify_loop(
        self,
        exposition: Arc<Exposition>,
        shutdown: CancellationToken,
    ) {
        if self.socket.is_none() {
            return;
        }
        let current = || {
            let accounts = exposition.accounts().into_iter();
            let outcomes = accounts.map(|account| {
                let is_up = account.failure.is_none() && !account.is_withdrawn;
                account.has_walked.then_some(is_up)
            });
            let mut status = status(&outcomes.collect::<Vec<_>>());
            if self.is_refused.load(Ordering::Relaxed) {
                status += "; the last reload of the configuration was refused";
            }
            status
        };
        let mut sent = current();
        let ready = format!("READY=1\nSTATUS={sent}");
        self.notify(READY_TIMEOUT, &ready).await;
        // The exporter sends at least two notifications per watchdog period, so that one of them may be late.
        let watchdog = self.watchdog.map(|time| time / 2);
        let period = watchdog.map_or(STATUS_INTERVAL, |time| time.min(STATUS_INTERVAL));
        let mut ticks = interval_at(Instant::now() + period, period);
        // After a suspension of the host, the loop does not send the missed notifications.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if watchdog.is_some() {
                self.notify(SEND_TIMEOUT, "WATCHDOG=1").await;
            }
            let now = current();
            if now != sent && !shutdown.is_cancelled() {
                self.notify(SEND_TIMEOUT, &format!("STATUS={now}")).await;
                sent = now;
            }
        }
    }

    /// Sends that the exporter reloads its configuration.
    pub(super) async fn notify_reloading(&self) {
        self.notify(SEND_TIMEOUT, "RELOADING=1").await;
    }

    /// Sends that the exporter is ready again after a reload. The status shows within a second whether it was refused.
    pub(super) async fn notify_reloaded(&self, is_refused: bool) {
        self.is_refused.store(is_refused, Ordering::Relaxed);
        self.notify(SEND_TIMEOUT, "READY=1").await;
    }

    /// Waits for `shutdown`, then sends `STOPPING=1`.
    pub(super) async fn notify_stopping(&self, shutdown: &CancellationToken) {
        shutdown.cancelled().await;
        let stopping = "STOPPING=1\nSTATUS=finishing answers under way";
        self.notify(SEND_TIMEOUT, stopping).await;
    }

    /// Sends a notification if there is a socket. A failure is only logged, because systemd is not required.
    pub(super) async fn notify(&self, limit: Duration, text: &str) {
        let Some(socket) = &self.socket else { return };
        let sent = timeout(limit, send(socket, text)).await;
        let sent = sent.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let has_failed = self.has_failed.swap(sent.is_err(), Ordering::Relaxed);
        if let (Err(error), false) = (sent, has_failed) {
            tracing::warn!(%error, "cannot notify the service manager at NOTIFY_SOCKET");
        }
    }
}

/// The address of a socket: a path, or an `@` and a name in the abstract namespace.
fn socket_address(socket: &str) -> Option<SocketAddr> {
    let address = match socket.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None if socket.starts_with('/') => SocketAddr::from_pathname(socket),
        None => return None,
    };
    address.ok()
}

/// Opens a socket for every message, so that a restart of systemd needs no reconnection.
async fn send(address: &SocketAddr, text: &str) -> io::Result<()> {
    let socket = StdDatagram::unbound()?;
    socket.connect_addr(address)?;
    socket.set_nonblocking(true)?;
    let socket = UnixDatagram::from_std(socket)?;
    socket.send(text.as_bytes()).await.map(drop)
}

/// The text for `systemctl status`. An account's outcome is `None` until the account's first walk has ended.
fn status(outcomes: &[Option<bool>]) -> String {
    let all = outcomes.len();
    let count = |wanted| outcomes.iter().filter(|one| **one == wanted).count();
    let (up, failed) = (count(Some(true)), count(Some(false)));
    let noun = if all == 1 { "account" } else { "accounts" };
    if up + failed < all {
        let done = up + failed;
        format!("first walks: {done} of {all} {noun} finished, {failed} of them failed")
    } else if failed == 0 {
        format!("{all} {noun}, all up")
    } else {
        format!("{all} {noun}: {up} up, {failed} down")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn systemd(variables: &[(&str, &str)]) -> Systemd {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Systemd::from_environment(&variables.iter().map(owned).collect::<Vec<_>>(), 7)
    }

    #[test]
    fn the_socket_is_a_path_or_an_abstract_name_and_nothing_else() {
        let by_path = systemd(&[("NOTIFY_SOCKET", "/run/notify")]).socket.unwrap();
        assert_eq!(by_path.as_pathname().unwrap().to_str(), Some("/run/notify"));
        let by_name = systemd(&[("NOTIFY_SOCKET", "@org/notify")]).socket.unwrap();
        assert_eq!(by_name.as_abstract_name(), Some(&b"org/notify"[..]));
        let too_long = format!("/{}", "x".repeat(200));
        for invalid in ["", "run/notify", "vsock:2:1234", &too_long] {
            assert!(
                systemd(&[("NOTIFY_SOCKET", invalid)]).socket.is_none(),
                "{invalid}"
            );
        }
        assert!(systemd(&[]).socket.is_none());
    }

    #[test]
    fn a_watchdog_counts_only_if_it_watches_this_process() {
        let usec = ("WATCHDOG_USEC", "30000000");
        let half_a_minute = Some(Duration::from_secs(30));
        assert_eq!(systemd(&[usec]).watchdog, half_a_minute);
        assert_eq!(
            systemd(&[usec, ("WATCHDOG_PID", "7")]).watchdog,
            half_a_minute
        );
        for other in ["8", "", "seven"] {
            assert_eq!(
                systemd(&[usec, ("WATCHDOG_PID", other)]).watchdog,
                None,
                "{other}"
            );
        }
        for off in ["0", "", "-1", "30s"] {
            assert_eq!(systemd(&[("WATCHDOG_USEC", off)]).watchdog, None, "{off}");
        }
    }

    #[test]
    fn the_status_names_first_walks_and_then_their_outcome() {
        let (up, failed) = (Some(true), Some(false));
        assert_eq!(
            status(&[None]),
            "first walks: 0 of 1 account finished, 0 of them failed"
        );
        assert_eq!(
            status(&[up, failed, None]),
            "first walks: 2 of 3 accounts finished, 1 of them failed"
        );
        assert_eq!(status(&[up]), "1 account, all up");
        assert_eq!(status(&[up, failed]), "2 accounts: 1 up, 1 down");
    }
}
