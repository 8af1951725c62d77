//! The service manager's ear: what systemd is told about this process, and how it knows that the
//! process is alive.
//!
//! Lines of `KEY=value` in a datagram to the socket that `NOTIFY_SOCKET` names, as
//! `sd_notify(3)` describes it. Without that variable, nobody listens and nothing is said.

use std::{
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram as StdDatagram},
    },
    time::Duration,
};

use tokio::{
    net::UnixDatagram,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};

use crate::{shutdown::CancellationToken, snapshot::Reader};

/// How often the state is looked at for something new to tell.
const LOOK: Duration = Duration::from_secs(1);
/// Most words are worth no longer wait for a manager that does not empty its socket,
const A_MOMENT: Duration = Duration::from_millis(200);
/// but one that never hears that a service is ready ends it.
const PATIENCE: Duration = Duration::from_secs(60);
/// Without a watchdog, the time between two signs of life that nobody waits for.
const NEVER: Duration = Duration::from_secs(86_400);

/// Who is told how this process does.
#[derive(Debug)]
pub(super) struct Service {
    socket: Option<SocketAddr>,
    /// The manager gives up on a process that is silent for so long.
    watchdog: Option<Duration>,
}

impl Service {
    /// The manager that has started the process `pid` with this environment.
    pub(super) fn of(environment: &[(String, String)], pid: u32) -> Self {
        let value = |key: &str| {
            let mut set = environment.iter().filter(|(name, _)| name == key);
            set.next().map(|(_, value)| value.as_str())
        };
        // Variables are inherited: a watchdog over our parent is not ours to feed.
        let is_ours = value("WATCHDOG_PID").is_none_or(|of| of.parse() == Ok(pid));
        let microseconds = value("WATCHDOG_USEC").and_then(|text| text.parse().ok());
        let watchdog = microseconds.filter(|time| is_ours && *time > 0);
        Self {
            socket: value("NOTIFY_SOCKET").and_then(address),
            watchdog: watchdog.map(Duration::from_micros),
        }
    }

    /// From a house that is open to one that is closed: READY at once, then every change of what
    /// there is to tell, STOPPING with the end of `open`. Gives signs of life until `closed`.
    pub(super) async fn accompany(
        self,
        accounts: Vec<Reader>,
        open: CancellationToken,
        closed: CancellationToken,
    ) {
        if self.socket.is_none() {
            return;
        }
        let mut told = progress(&accounts);
        let ready = format!("READY=1\nSTATUS={told}");
        tokio::select! {
            () = self.tell_within(PATIENCE, &ready) => {}
            () = closed.cancelled() => {}
        }
        let mut look = every(LOOK);
        // Half of the time, so that one sign may come late.
        let mut alive = every(self.watchdog.map_or(NEVER, |time| time / 2));
        let mut is_open = true;
        loop {
            tokio::select! {
                // In this order: a house that closes as soon as it is asked to still says so.
                biased;
                () = open.cancelled(), if is_open => {
                    is_open = false;
                    self.tell("STOPPING=1\nSTATUS=finishing answers under way").await;
                }
                () = closed.cancelled() => return,
                _ = alive.tick() => self.tell("WATCHDOG=1").await,
                _ = look.tick(), if is_open => {
                    let now = progress(&accounts);
                    if now != told {
                        self.tell(&format!("STATUS={now}")).await;
                        told = now;
                    }
                }
            }
        }
    }

    /// Says it, if the manager listens.
    pub(super) async fn tell(&self, words: &str) {
        self.tell_within(A_MOMENT, words).await;
    }

    /// Says it, or logs why not: a manager that does not hear us is no reason to stop working.
    async fn tell_within(&self, patience: Duration, words: &str) {
        let Some(socket) = &self.socket else { return };
        let said = timeout(patience, say(socket, words)).await;
        if let Err(error) = said.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            tracing::warn!(%error, "the service manager cannot be told");
        }
    }
}

/// A path, or after an `@` a name in the abstract namespace.
fn address(socket: &str) -> Option<SocketAddr> {
    let address = match socket.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None if socket.starts_with('/') => SocketAddr::from_pathname(socket),
        None => return None,
    };
    address.ok()
}

/// A socket for each message: one that was kept would go on talking to a manager that is gone.
async fn say(socket: &SocketAddr, words: &str) -> io::Result<()> {
    let voice = StdDatagram::unbound()?;
    voice.connect_addr(socket)?;
    voice.set_nonblocking(true)?;
    let sent = UnixDatagram::from_std(voice)?
        .send(words.as_bytes())
        .await?;
    debug_assert_eq!(sent, words.len(), "a datagram is whole");
    Ok(())
}

fn every(time: Duration) -> tokio::time::Interval {
    // A process that was asleep says once that it is alive, not once for each time it missed.
    let mut ticks = interval_at(Instant::now() + time, time);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// How far the walks are, in words for `systemctl status`.
fn progress(accounts: &[Reader]) -> String {
    let outcomes = accounts.iter().map(|account| account.current().up);
    words(&outcomes.collect::<Vec<_>>())
}

/// In words how many first walks are awaited, or how many last walks were good.
fn words(outcomes: &[Option<bool>]) -> String {
    let all = outcomes.len();
    let count = |wanted| outcomes.iter().filter(|one| **one == wanted).count();
    let (good, failed) = (count(Some(true)), count(Some(false)));
    let noun = if all == 1 { "account" } else { "accounts" };
    if good + failed < all {
        let done = good + failed;
        format!("first walks: {done} of {all} {noun} finished, {failed} of them failed")
    } else if failed == 0 {
        format!("{all} {noun}, all up")
    } else {
        format!("{all} {noun}: {good} up, {failed} failed their last walk")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(variables: &[(&str, &str)]) -> Service {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Service::of(&variables.iter().map(owned).collect::<Vec<_>>(), 7)
    }

    #[test]
    fn a_manager_is_a_path_or_an_abstract_name_and_nothing_else() {
        let by_path = service(&[("NOTIFY_SOCKET", "/run/notify")]).socket.unwrap();
        assert_eq!(by_path.as_pathname().unwrap().to_str(), Some("/run/notify"));
        let by_name = service(&[("NOTIFY_SOCKET", "@org/notify")]).socket.unwrap();
        assert_eq!(by_name.as_abstract_name(), Some(&b"org/notify"[..]));
        let too_long = format!("/{}", "x".repeat(200));
        for nobody in ["", "run/notify", "vsock:2:1234", &too_long] {
            assert!(
                service(&[("NOTIFY_SOCKET", nobody)]).socket.is_none(),
                "{nobody}"
            );
        }
        assert!(service(&[]).socket.is_none());
    }

    #[test]
    fn a_watchdog_is_fed_only_when_it_watches_this_process() {
        let usec = ("WATCHDOG_USEC", "30000000");
        let half_a_minute = Some(Duration::from_secs(30));
        assert_eq!(service(&[usec]).watchdog, half_a_minute);
        assert_eq!(
            service(&[usec, ("WATCHDOG_PID", "7")]).watchdog,
            half_a_minute
        );
        for other in ["8", "", "seven"] {
            assert_eq!(
                service(&[usec, ("WATCHDOG_PID", other)]).watchdog,
                None,
                "{other}"
            );
        }
        for off in ["0", "", "-1", "30s"] {
            assert_eq!(service(&[("WATCHDOG_USEC", off)]).watchdog, None, "{off}");
        }
    }

    #[test]
    fn the_status_tells_first_walks_and_then_their_outcome() {
        let (good, bad) = (Some(true), Some(false));
        assert_eq!(
            words(&[None]),
            "first walks: 0 of 1 account finished, 0 of them failed"
        );
        assert_eq!(
            words(&[good, bad, None]),
            "first walks: 2 of 3 accounts finished, 1 of them failed"
        );
        assert_eq!(words(&[good]), "1 account, all up");
        assert_eq!(
            words(&[good, bad]),
            "2 accounts: 1 up, 1 failed their last walk"
        );
    }
}
