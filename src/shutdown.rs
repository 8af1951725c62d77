//! Signals, and the token that shuts down all tasks.
//!
//! The first SIGTERM or SIGINT cancels the [`CancellationToken`]: every task finishes its work in
//! progress. The second one exits immediately, with the exit code that a shell reports for a process
//! killed by the signal: 143 for SIGTERM, 130 for SIGINT. SIGHUP never ends the process.

use std::{convert::Infallible, io};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Cloned into every task; cancelled at shutdown.
pub use tokio_util::sync::CancellationToken;

/// Handlers of SIGTERM, SIGINT and SIGHUP.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Registers the handlers; must be called within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// The operating system refused to register a handler.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// The first SIGTERM or SIGINT cancels `shutdown`, the second exits immediately. If `shutdown` is
    /// cancelled already, the first signal exits immediately. Never returns: spawn it as a task.
    pub async fn handle(mut self, shutdown: CancellationToken) -> Infallible {
        loop {
            // The code is 128 plus the number of the signal, as shells report it.
            let (signal, exit_code) = tokio::select! {
                _ = self.terminate.recv() => ("SIGTERM", 143),
                _ = self.interrupt.recv() => ("SIGINT", 130),
                _ = self.hang_up.recv() => {
                    tracing::warn!(
                        signal = "SIGHUP",
                        "the signal is ignored: a restart is needed to reload the configuration"
                    );
                    continue;
                }
            };
            if shutdown.is_cancelled() {
                tracing::warn!(signal, "exiting immediately");
                std::process::exit(exit_code);
            }
            tracing::info!(signal, "shutting down, a second signal exits immediately");
            shutdown.cancel();
        }
    }
}
