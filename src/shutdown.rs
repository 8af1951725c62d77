//! Signals, and the token that shuts down all tasks.

use std::{convert::Infallible, io};

use tokio::signal::unix::{SignalKind, signal};

/// Cloned into every task; cancelled at shutdown.
pub use tokio_util::sync::CancellationToken;

/// Registers the handlers; must be called within a Tokio runtime. Spawn the returned future as a task.
///
/// The first SIGTERM or SIGINT cancels `shutdown`: every task finishes its work in progress. A signal
/// after that exits immediately, with the code that a shell reports for a process killed by it. SIGHUP
/// never ends the process.
///
/// # Errors
/// The operating system refused to register a handler.
pub fn handle_signals(shutdown: CancellationToken) -> io::Result<impl Future<Output = Infallible>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    Ok(async move {
        loop {
            // The code is 128 plus the number of the signal, as shells report it.
            let (signal, exit_code) = tokio::select! {
                _ = terminate.recv() => ("SIGTERM", 143),
                _ = interrupt.recv() => ("SIGINT", 130),
                _ = hang_up.recv() => {
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
    })
}
