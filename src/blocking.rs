//! Reads of files on threads for blocking work. A read from a network share may never end.

use std::{fmt, time::Duration};

use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::timeout,
};

/// Reads one after another. A thread cannot be stopped, so no read starts while an earlier one hangs.
#[derive(Debug)]
pub struct Reads<T> {
    /// The running or timed-out read.
    running: Option<JoinHandle<T>>,
}

/// Why a read has no result. The text continues a sentence such as "cannot be read: ".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadError {
    /// This read, or an earlier one, takes too long.
    NoAnswer,
    /// The read panicked.
    Aborted,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoAnswer => "the system does not answer",
            Self::Aborted => "the read was aborted",
        })
    }
}

impl<T> Default for Reads<T> {
    fn default() -> Self {
        Self { running: None }
    }
}

impl<T: Send + 'static> Reads<T> {
    /// Whether a read runs or hangs.
    pub fn is_running(&self) -> bool {
        self.running.as_ref().is_some_and(|one| !one.is_finished())
    }

    /// Runs `read`, and waits for its result for the time `limit`. A result that arrives later is dropped, because it may
    /// be old.
    ///
    /// # Errors
    /// The read takes longer, an earlier read still hangs, or the read panicked.
    pub async fn run(
        &mut self,
        limit: Duration,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ReadError> {
        if self.is_running() {
            return Err(ReadError::NoAnswer);
        }
        // The task is stored before the wait, because the task continues if the wait is cancelled.
        let task = self.running.insert(spawn_blocking(read));
        let result = timeout(limit, task).await;
        let result = result.map_err(|_| ReadError::NoAnswer)?;
        self.running = None;
        result.map_err(|_| ReadError::Aborted)
    }
}
