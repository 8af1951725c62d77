//! Signals, and the token that shuts down all tasks.
//!
//! The first SIGTERM or SIGINT cancels the [`CancellationToken`]: every task finishes its work in
//! progress. The second one exits immediately, with the exit code that a shell reports for a process
//! killed by the signal: 143 for SIGTERM, 130 for SIGINT. SIGHUP never ends the process.

use std::{convert::Infallible, io};

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// Cloned into every task; cancelled at shutdown.
pub use tokio_util::sync::CancellationToken;

/// Handlers of SIGTERM, SIGINT and SIGHUP.
#[derive(Debug)]
pub struct Signals {
    terminate: Stream,
    interrupt: Stream,
    hang_up: Stream,
}

#[derive(Debug, Clone, Copy)]
enum Signal {
    Terminate,
    Interrupt,
    HangUp,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
            Self::HangUp => "SIGHUP",
        }
    }

    /// 128 plus the number of the signal, as shells report it.
    fn exit_code(self) -> i32 {
        match self {
            Self::Terminate => 143,
            Self::Interrupt => 130,
            Self::HangUp => 129,
        }
    }
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
            let signal = self.next().await;
            let name = signal.name();
            match signal {
                Signal::HangUp => tracing::warn!(
                    signal = name,
                    "the signal is ignored: a restart is needed to reload the configuration"
                ),
                Signal::Terminate | Signal::Interrupt if shutdown.is_cancelled() => {
                    tracing::warn!(signal = name, "exiting immediately");
                    std::process::exit(signal.exit_code());
                }
                Signal::Terminate | Signal::Interrupt => {
                    tracing::info!(
                        signal = name,
                        "shutting down, a second signal exits immediately"
                    );
                    shutdown.cancel();
                }
            }
        }
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.hang_up.recv() => Signal::HangUp,
        }
    }
}
