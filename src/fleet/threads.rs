//! The threads that render pages and answers. They have a low priority, so that pages delay no scrape, even if many are
//! asked for.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    task::spawn_blocking,
    time::timeout,
};

/// The number of jobs that run at the same time.
const NUMBER: usize = 2;
/// The nice value of the threads. The other threads have 0 and get about three times as much processor time.
const NICE: i32 = 5;
/// The nice value of a thread for one long job.
const NICE_APART: i32 = 10;
/// The longest time that a job waits for others.
const WAIT: Duration = Duration::from_secs(5);

type Job = Box<dyn FnOnce() + Send>;

/// Threads that run one job after another until this value is dropped.
#[derive(Debug)]
pub struct Threads {
    jobs: mpsc::Sender<Job>,
    /// One permit for each of the threads.
    permits: Arc<Semaphore>,
}

/// Why a job has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoResult {
    /// Other jobs took five seconds.
    Busy,
    /// The job panicked, or there is no thread.
    Failed,
}

impl Threads {
    /// Starts the threads.
    pub fn start() -> Arc<Self> {
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
                    job();
                }
            };
            let started = thread::Builder::new().name("pages".to_owned()).spawn(run);
            if let Err(error) = started {
                tracing::error!(%error, "a thread for pages cannot be started");
            }
        }
        let permits = Arc::new(Semaphore::new(NUMBER));
        Arc::new(Self { jobs, permits })
    }

    /// Waits up to five seconds for a free thread.
    ///
    /// # Errors
    /// Other jobs took this time.
    pub async fn free(&self) -> Result<FreeThread<'_>, NoResult> {
        let permit = timeout(WAIT, Arc::clone(&self.permits).acquire_owned()).await;
        let permit = permit.ok().and_then(Result::ok).ok_or(NoResult::Busy)?;
        Ok(FreeThread {
            jobs: &self.jobs,
            permit,
        })
    }
}

/// A thread that waits for a job.
#[derive(Debug)]
pub struct FreeThread<'t> {
    jobs: &'t mpsc::Sender<Job>,
    permit: OwnedSemaphorePermit,
}

impl FreeThread<'_> {
    /// Runs a job. It must not read a clock of Tokio, which a test can pause only for its own thread.
    ///
    /// # Errors
    /// The job panics, or there is no thread.
    pub async fn run<T: Send + 'static>(
        self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NoResult> {
        let permit = self.permit;
        let (done, result) = mpsc::sync_channel(1);
        let job = move || {
            // A job whose client has gone keeps its permit to its end.
            let result = catch_unwind(AssertUnwindSafe(job));
            drop(permit);
            // The panic hook has logged a panic. Nobody waits for the result after the end of the connection.
            let _ = result.map(|result| done.send(result));
        };
        let sent = self.jobs.send(Box::new(job));
        sent.map_err(|_| NoResult::Failed)?;
        // While a blocking task waits, Tokio does not advance a paused clock.
        let result = spawn_blocking(move || result.recv().ok()).await;
        result.ok().flatten().ok_or(NoResult::Failed)
    }
}

/// Runs one long job on a thread of its own, with a priority below that of the other threads. The receiver fails if the job
/// panics, or if there is no thread.
pub fn run_apart<T: Send + 'static>(
    job: impl FnOnce() -> T + Send + 'static,
) -> oneshot::Receiver<T> {
    let (done, result) = oneshot::channel();
    let run = move || {
        let _ = rustix::process::setpriority_process(None, NICE_APART);
        // Nobody waits for the result after the end of the connection.
        let _ = done.send(job());
    };
    let started = thread::Builder::new().name("report".to_owned()).spawn(run);
    if let Err(error) = started {
        tracing::error!(%error, "a thread for a report cannot be started");
    }
    result
}
