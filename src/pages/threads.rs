//! The threads that render pages. They have a low priority, so that pages delay no scrape, even if many are asked for.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
};

use tokio::task::spawn_blocking;

/// The number of pages that are rendered at the same time.
pub(super) const NUMBER: usize = 2;
/// The nice value of the threads. The other threads have 0 and get about three times as much processor time.
const NICE: i32 = 5;

type Job = Box<dyn FnOnce() + Send>;

/// Threads that run one job after another until this value is dropped.
pub(super) struct Threads {
    jobs: mpsc::Sender<Job>,
}

impl Threads {
    /// Starts the threads.
    pub(super) fn start() -> Self {
        let (jobs, waiting) = mpsc::channel::<Job>();
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..NUMBER {
            let waiting = Arc::clone(&waiting);
            let run = move || {
                // On Linux, this is the priority of the calling thread only. A sandbox may forbid the change.
                let _ = rustix::process::setpriority_process(None, NICE);
                loop {
                    let job = waiting
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .recv();
                    let Ok(job) = job else { return };
                    // The panic hook has logged a panic. The other jobs go on.
                    let _ = catch_unwind(AssertUnwindSafe(job));
                }
            };
            let started = thread::Builder::new().name("pages".to_owned()).spawn(run);
            if let Err(error) = started {
                tracing::error!(%error, "a thread for pages cannot be started");
            }
        }
        Self { jobs }
    }

    /// Runs a job on one of the threads. `None` if it panics, or if there is no thread.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (done, result) = mpsc::sync_channel(1);
        let job = move || {
            // Nobody waits for the result after the end of the connection.
            let _ = done.send(job());
        };
        self.jobs.send(Box::new(job)).ok()?;
        // While a blocking task waits, Tokio does not advance a paused clock.
        spawn_blocking(move || result.recv().ok()).await.ok()?
    }
}
