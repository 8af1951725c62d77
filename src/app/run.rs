//! Sets up the allocator, logging, the runtime and signals, and runs the selected command.

use std::{io::Write, net::TcpListener, panic::PanicHookInfo, sync::Arc};

use tokio::sync::Notify;

use super::{
    ExitError,
    check::{check, check_web_config, healthcheck},
    demo::{demo, simulate},
    once::once,
    report::report,
    serve::serve,
    stored_state::stored_state,
};
use crate::{
    cli::{self, Cli, Command},
    http,
    shutdown::{CancellationToken, handle_signals},
    telemetry::logs,
};

/// Maximum number of threads for blocking work. If the file system of the token files hangs, each account
/// blocks one thread. Name resolution and rendering need further threads, so the limit is far above the
/// usual number of accounts. The runtime starts a thread only when the thread is needed.
const MAX_BLOCKING_THREADS: usize = 4_096;

/// Executes the command line.
///
/// `environment` holds the environment variables of the process. `out` receives the output of the command,
/// such as an exposition. Logs go to standard error.
///
/// # Errors
/// An [`ExitError`] with the message to print and the exit code.
pub fn run(
    cli: &Cli,
    environment: &[(String, String)],
    out: &mut dyn Write,
) -> Result<(), ExitError> {
    return_large_buffers();
    let log = cli.serve.log;
    logs::init(log.level, log.format).map_err(|error| ExitError::RunTime(error.to_string()))?;
    std::panic::set_hook(Box::new(log_panic));
    let mut passed = Vec::new();
    if cli.served().is_some_and(|web| web.systemd_socket) {
        let sockets = http::passed_sockets();
        passed = sockets.map_err(ExitError::context("--web.systemd-socket"))?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // Two threads can run a walk and a scrape concurrently. A scrape copies prepared bytes, so more
        // threads would only cost memory.
        .worker_threads(2)
        .max_blocking_threads(MAX_BLOCKING_THREADS)
        .enable_all()
        .build()
        .map_err(ExitError::context("cannot start threads"))?;
    let result = runtime.block_on(execute(cli, environment, passed, out));
    // A normal shutdown of the runtime would wait for a blocked read of a token file and delay the exit.
    runtime.shutdown_background();
    result.and(out.flush().map_err(ExitError::from))
}

async fn execute(
    cli: &Cli,
    environment: &[(String, String)],
    passed: Vec<TcpListener>,
    out: &mut dyn Write,
) -> Result<(), ExitError> {
    let shutdown = CancellationToken::new();
    // Signal handlers are installed first, so that an early SIGHUP does not end the process. A separate task
    // handles signals, so that a second SIGTERM ends the process even while this task blocks.
    let hang_ups = Arc::new(Notify::new());
    let signals = handle_signals(shutdown.clone(), Arc::clone(&hang_ups));
    tokio::spawn(signals.map_err(ExitError::context("cannot handle signals"))?);
    let args = &cli.serve;
    match &cli.command {
        Some(Command::Demo(args)) => demo(args, passed, shutdown, out).await,
        Some(Command::Simulate {
            listen_address,
            api,
            ..
        }) => simulate(listen_address, api, shutdown, out).await,
        Some(Command::State(args)) => stored_state(args, environment, out),
        Some(Command::Report(args)) => report(args, environment, out),
        Some(Command::Completion { shell }) => Ok(out.write_all(&cli::completion(*shell))?),
        Some(Command::Man { command }) => Ok(out.write_all(&cli::manual(command.as_deref()))?),
        None if args.healthcheck => healthcheck(&args.web, out).await,
        None if args.web_config_check => {
            let file = args.web.config_file.as_deref();
            check_web_config(file.expect("the parser requires the file"), out)
        }
        None if args.once => once(args, environment, shutdown, out).await,
        None if args.is_check() => {
            let check = check(args, environment, out);
            let checked = shutdown.run_until_cancelled(check).await;
            checked.unwrap_or_else(|| Err(ExitError::RunTime("interrupted".to_owned())))
        }
        None => serve(args, environment, passed, hang_ups, shutdown).await,
    }
}

/// Sets the size limit of glibc's allocator to 256 KiB. Freed buffers above it return to the operating system.
///
/// A published walk replaces a snapshot and its chunks, which are a few large buffers. By default, glibc raises
/// the size limit when the program frees a larger buffer. Buffers below the new limit then fragment the heap.
/// With 100,000 endpoints, the process then needs 50 % more memory. Other C libraries have no such setting.
fn return_large_buffers() {
    #[cfg(target_env = "gnu")]
    {
        #[expect(
            unsafe_code,
            reason = "a C function of two integers; no maintained crate wraps it"
        )]
        // SAFETY: the call accesses no memory of this program, and no other thread runs yet.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, 256 * 1024);
        }
    }
}

/// The panic hook. It logs a panic as one line, with its location and message.
fn log_panic(panic: &PanicHookInfo<'_>) {
    tracing::error!(%panic, "internal error: please report this line as a bug");
}

#[cfg(test)]
mod tests {
    use std::{panic, thread};

    use super::*;
    use crate::telemetry::logs::{Captured, Format, Level};

    #[test]
    fn a_panic_is_one_log_line_with_its_location_and_message() {
        // The panic hook is global. The test's hook passes panics of other threads to the previous hook.
        let (this_thread, previous) = (thread::current().id(), panic::take_hook());
        panic::set_hook(Box::new(move |panic| {
            if thread::current().id() == this_thread {
                log_panic(panic);
            } else {
                previous(panic);
            }
        }));
        let log = Captured::default();
        let dispatch = log.dispatch(Level::INFO, Format::Logfmt);
        let number = 7;
        tracing::dispatcher::with_default(&dispatch, || {
            for broken in [|_| panic!("plain"), |number| panic!("line\n{number}")] {
                panic::catch_unwind(|| broken(number)).unwrap_err();
            }
        });
        let text = log.text();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        for (line, message) in lines.iter().zip(["\\nplain\"", "\\n7\""]) {
            assert!(line.contains("level=error"), "{line}");
            assert!(line.contains("src/app/run.rs:"), "{line}");
            assert!(line.contains(message), "{line}");
        }
    }
}
