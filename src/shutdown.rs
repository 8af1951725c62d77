//! Signals and the shutdown of the process.
//!
//! SIGTERM and SIGINT start an orderly shutdown: every holder of the [`CancellationToken`] finishes its
//! work. A second signal ends the process at once. Its exit code is then the one that a shell gives to
//! a killed process: 143 for SIGTERM, 130 for SIGINT. SIGHUP never ends the process.

use std::{convert::Infallible, io};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Every task has a clone. It is cancelled once, at the start of the shutdown.
pub use tokio_util::sync::CancellationToken;

/// The handlers of the signals. They replace the default actions from their creation on.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Installs handlers for SIGTERM, SIGINT and SIGHUP. Requires a Tokio runtime.
    ///
    /// # Errors
    ///
    /// The operating system refuses to install a handler.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Handles signals until it is dropped. The first SIGTERM or SIGINT cancels `shutdown`. The second
    /// one exits the process, and so does the first one if `shutdown` is already cancelled.
    pub async fn handle(mut self, shutdown: CancellationToken) -> Infallible {
        loop {
            let (signal, exit_code) = tokio::select! {
                _ = self.terminate.recv() => ("SIGTERM", 143),
                _ = self.interrupt.recv() => ("SIGINT", 130),
                _ = self.hang_up.recv() => {
                    let signal = "SIGHUP";
                    tracing::warn!(signal, "a restart is needed to read the configuration again");
                    continue;
                }
            };
            if shutdown.is_cancelled() {
                tracing::warn!(signal, "exiting at once");
                std::process::exit(exit_code);
            }
            tracing::info!(signal, "shutting down; a second signal exits at once");
            shutdown.cancel();
        }
    }
}
