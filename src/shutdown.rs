//! Signals, and the token that shuts down all tasks.

use std::{convert::Infallible, io};

use tokio::signal::unix::{SignalKind, signal};

/// Every task has a clone of this token, which is cancelled at shutdown.
pub use tokio_util::sync::CancellationToken;

/// Registers the signal handlers; needs a Tokio runtime. Spawn the returned future as a task.
///
/// The first SIGTERM or SIGINT cancels `shutdown`: walks stop, and the server finishes its responses.
/// A second SIGTERM or SIGINT ends the process immediately, with the exit code that a shell reports for
/// that signal. SIGHUP never ends the process.
///
/// # Errors
/// The operating system refused to register a handler.
pub fn handle_signals(shutdown: CancellationToken) -> io::Result<impl Future<Output = Infallible>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    Ok(async move {
        loop {
            // The exit code is 128 plus the signal number, as shells report it.
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
