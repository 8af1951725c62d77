//! The gallery: one immutable picture per account, one writer, readers never wait.

mod state;

pub use state::{AccountState, Publisher, Reader, Shown, channel};
