//! Handles signals, and exports the type of the cancellation token, which stops all tasks at shutdown.

use std::{convert::Infallible, io, sync::Arc};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Notify,
};

/// The commands, pollers and server have clones of one cancellation token, and end when it is cancelled.
pub use tokio_util::sync::CancellationToken;

/// Installs the signal handlers in the current Tokio runtime. The caller spawns the returned future as a task.
///
/// The first SIGTERM or SIGINT cancels `shutdown`: walks stop, and the server finishes its responses. A second
/// SIGTERM or SIGINT ends the process immediately, with the exit code 128 plus the number of that signal. Each SIGHUP
/// notifies `hang_ups`.
///
/// # Errors
/// The operating system refused to install a handler.
pub fn handle_signals(
    shutdown: CancellationToken,
    hang_ups: Arc<Notify>,
) -> io::Result<impl Future<Output = Infallible>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    Ok(async move {
        loop {
            // These codes follow shells, which report 128 plus the signal number if a signal ends a process.
            let (signal, exit_code) = tokio::select! {
                _ = terminate.recv() => ("SIGTERM", 143),
                _ = interrupt.recv() => ("SIGINT", 130),
                _ = hang_up.recv() => {
                    tracing::info!(signal = "SIGHUP", "reload requested");
                    hang_ups.notify_one();
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
