//! Why the front door could not be opened.

use std::io;

use super::Address;

/// An address that cannot be listened on; the message names it and the reason.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// There was nothing to listen on.
    #[error("no address to listen on")]
    NoAddress,
    /// The host's name could not be resolved.
    #[error("cannot listen on {address}: the host name does not resolve: {source}")]
    Resolve {
        /// As it was asked for.
        address: Address,
        /// The resolver's reason.
        source: io::Error,
    },
    /// The operating system refused: in use, not permitted, not one of ours.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// As it was asked for.
        address: Address,
        /// The operating system's reason.
        source: io::Error,
    },
}
