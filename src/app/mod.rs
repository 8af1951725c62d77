//! The landlord: the only place that sees every room, and builds the house from them.
//!
//! [`run`] does what the command line asks for and tells how it ended. Every task of the process is
//! started in this room or by the front door, and handed the same [`shutdown`](crate::shutdown)
//! token.

mod check;
mod demo;
mod end;
mod household;
mod memory;
mod once;
mod panics;
mod serve;
mod simulate;
mod tasks;

use std::io::Write;

use crate::{
    cli::{self, Arguments, Task},
    telemetry::logs,
};

pub use end::Failure;

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
/// A [`Failure`] with the text to print and the exit code to leave with.
pub fn run(
    arguments: &Arguments,
    environment: &[(String, String)],
    out: &mut dyn Write,
) -> Result<(), Failure> {
    match &arguments.task {
        Task::Completion(shell) => return Ok(out.write_all(&cli::completion(*shell))?),
        Task::Manual => return Ok(out.write_all(&cli::manual())?),
        _ => {}
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
        .build()?;
    let task = async {
        match &arguments.task {
            Task::Serve => serve::serve(arguments, environment).await,
            Task::Check { live } => check::check(arguments, environment, *live, out).await,
            Task::Once { output } => {
                once::once(arguments, environment, output.as_deref(), out).await
            }
            Task::Demo(demo) => demo::demo(demo, out).await,
            Task::Simulate(simulate) => simulate::simulate(simulate, out).await,
            Task::Completion(_) | Task::Manual => Ok(()),
        }
    };
    let result = runtime.block_on(task);
    // A look at a token file that hangs on a dead network share must not keep the process alive.
    runtime.shutdown_background();
    result
}

fn log(arguments: &Arguments) -> Result<(), Failure> {
    let level = match arguments.log.level {
        cli::LogLevel::Trace => logs::Level::Trace,
        cli::LogLevel::Debug => logs::Level::Debug,
        cli::LogLevel::Info => logs::Level::Info,
        cli::LogLevel::Warn => logs::Level::Warn,
        cli::LogLevel::Error => logs::Level::Error,
    };
    let format = match arguments.log.format {
        cli::LogFormat::Logfmt => logs::Format::Logfmt,
        cli::LogFormat::Json => logs::Format::Json,
    };
    logs::init(level, format).map_err(|error| Failure::at_run_time(error.to_string()))
}
