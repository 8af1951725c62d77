//! The end of the process, as a value that is handed over.
//!
//! SIGTERM and SIGINT ask for an orderly end; a second one leaves at once.

/// Cloned into every task; cancelled once, when the process is asked to end.
pub use tokio_util::sync::CancellationToken as Token;
