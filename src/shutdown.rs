//! The end of the process, as a value that is handed over.
//!
//! SIGTERM and SIGINT ask for an orderly end: everybody who holds the [`CancellationToken`] finishes what is under
//! way. A second one leaves at once, with the exit code that a shell gives to a process that the signal
//! has killed: 143 for SIGTERM, 130 for SIGINT. SIGHUP never ends the process.

use std::{convert::Infallible, io};

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// Cloned into every task; cancelled once, when the process is asked to end.
pub use tokio_util::sync::CancellationToken;

/// The signals that this process listens to, from the moment this exists.
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

    /// 128 and the signal's number, as shells count.
    fn exit_code(self) -> i32 {
        match self {
            Self::Terminate => 143,
            Self::Interrupt => 130,
            Self::HangUp => 129,
        }
    }
}

impl Signals {
    /// Takes over SIGTERM, SIGINT and SIGHUP; must be called within a Tokio runtime.
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

    /// Turns signals into the end of the process: the first SIGTERM or SIGINT cancels `shutdown`, the
    /// second leaves at once. Runs beside everything else and never ends by itself; who drops it
    /// after the first signal gives up the second one's meaning. Where `shutdown` was cancelled
    /// by others, the first signal leaves at once.
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
