//! The landlord: the only place that sees every room, and builds the house from them.
//!
//! [`run`] does what the command line asks for and tells how it ended. Every task of the process is
//! started in this room or by the front door, and handed the same [`shutdown`](crate::shutdown)
//! token.

mod accounts;
mod check;
mod demo;
mod end;
mod healthcheck;
mod memory;
mod once;
mod panics;
mod serve;
mod service;
mod simulate;
mod tasks;

use std::io::Write;

use crate::{
    cli::{self, Arguments, Task},
    shutdown::{CancellationToken, Signals},
    telemetry::logs,
};

pub use end::ExitError;
use end::Print;

/// Threads are started when they are needed. Every account whose token file hangs keeps one, however
/// long that takes, and name look-ups and rendering must find one all the same: so there may be more
/// of them than anybody has accounts.
const MOST_BLOCKING_THREADS: usize = 4_096;

/// Does what was asked for.
///
/// `environment` is the process's own; `out` is where documents and expositions are printed. Logs
/// go to standard error.
///
/// # Errors
/// A [`ExitError`] with the text to print and the exit code to leave with.
pub fn run(
    arguments: &Arguments,
    environment: &[(String, String)],
    out: &mut dyn Write,
) -> Result<(), ExitError> {
    let mut out = Print(out);
    let text = match &arguments.task {
        Task::Completion(shell) => Some(cli::completion(*shell)),
        Task::Manual(command) => Some(cli::manual(command.as_deref())),
        _ => None,
    };
    if let Some(text) = text {
        out.write_all(&text)?;
        return out.flush();
    }
    memory::give_large_buffers_back();
    log(arguments)?;
    panics::log_from_now_on();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // Two threads carry a walk and scrapes side by side; more would only cost memory on large
        // machines, because the work is prepared, not computed.
        .worker_threads(2)
        .max_blocking_threads(MOST_BLOCKING_THREADS)
        .enable_all()
        .build()
        .map_err(|error| ExitError::at_run_time(format!("cannot start threads: {error}")))?;
    let end = CancellationToken::new();
    let task = async {
        // Before anything else, so that no early SIGHUP ends the process; and on a thread of its
        // own, so that a second SIGTERM does even while reading a file or printing hangs.
        let signals = Signals::listen().map_err(|error| {
            ExitError::at_run_time(format!("cannot listen to signals: {error}"))
        })?;
        tokio::spawn(signals.handle(end.clone()));
        let out = &mut out;
        match &arguments.task {
            Task::Serve => serve::serve(arguments, environment, end).await,
            Task::Check(check) => {
                let check = check::check(arguments, environment, *check, out);
                let checked = end.run_until_cancelled(check).await;
                checked.unwrap_or_else(|| Err(ExitError::at_run_time("interrupted")))
            }
            Task::Once { output } => {
                once::once(arguments, environment, output.as_deref(), end, out).await
            }
            Task::Healthcheck => healthcheck::healthcheck(&arguments.web, out).await,
            Task::Demo(demo) => demo::demo(demo, end, out).await,
            Task::Simulate(simulate) => simulate::simulate(simulate, end, out).await,
            Task::Completion(_) | Task::Manual(_) => Ok(()),
        }
    };
    let result = runtime.block_on(task);
    // A look at a token file that hangs on a dead network share must not keep the process alive.
    runtime.shutdown_background();
    result.and(out.flush())
}

fn log(arguments: &Arguments) -> Result<(), ExitError> {
    let level = match arguments.log.level {
        cli::LogLevel::Trace => logs::Level::TRACE,
        cli::LogLevel::Debug => logs::Level::DEBUG,
        cli::LogLevel::Info => logs::Level::INFO,
        cli::LogLevel::Warn => logs::Level::WARN,
        cli::LogLevel::Error => logs::Level::ERROR,
    };
    let format = match arguments.log.format {
        cli::LogFormat::Logfmt => logs::Format::Logfmt,
        cli::LogFormat::Json => logs::Format::Json,
    };
    logs::init(level, format).map_err(|error| ExitError::at_run_time(error.to_string()))
}
