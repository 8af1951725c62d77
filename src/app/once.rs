//! The flag `--once`: walks every account once and writes the exposition.

use std::{
    fs::Permissions,
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    time::Duration,
};

use futures_util::future::join_all;

use super::{ExitError, accounts::Accounts, error::accounts_result, serve::load_config};
use crate::{
    cli::ServeArgs,
    clock::Clock,
    exposition::{EncodedBody, single_run},
    shutdown::CancellationToken,
    state,
    walk::Poller,
};

/// Walks every account once and writes the exposition to `--once.output`, or to `out` without this flag.
///
/// `shutdown` stops unfinished walks. For an account with an unfinished walk, the exposition has no `vobiz_up`.
/// The file of `--once.output` is replaced only if all walks have finished.
///
/// # Errors
/// Exit code 1 if the directory of `--once.output` is not usable, or if a walk failed or did not finish. After a
/// failed walk, the exposition is still written.
pub(super) async fn once(
    args: &ServeArgs,
    environment: &[(String, String)],
    shutdown: CancellationToken,
    out: &mut dyn Write,
) -> Result<(), ExitError> {
    let mut config = load_config(args, environment)?;
    for account in &mut config.accounts {
        // There is no later walk that could confirm a large change.
        account.poll.flip_share = 1.0;
    }
    let output = args.once_output.as_deref();
    if let Some(file) = output.filter(|file| !directory(file).is_dir()) {
        let message = format!("cannot write {}: no usable directory", file.display());
        return Err(ExitError::RunTime(message));
    }
    let mut accounts = Accounts::build(&config, Duration::ZERO)?;
    if let Some(directory) = config.state.directory.clone() {
        match state::read_once(directory, accounts.names(), Clock::system()).await {
            Ok(restored) => accounts.use_restored(restored, |_| None),
            Err(error) => tracing::warn!(
                error,
                "the stored state could not be read: no time of a loss is known"
            ),
        }
    }
    let walks = join_all(accounts.pollers.iter_mut().map(Poller::walk));
    shutdown.run_until_cancelled(walks).await;
    // If no process reads the output, a write below blocks. After `cancel()`, one SIGTERM ends the process.
    shutdown.cancel();
    let states = accounts.handles.iter().map(|one| &one.reader);
    let states: Vec<_> = states.map(|reader| reader.borrow().clone()).collect();
    let count = |up| states.iter().filter(|state| state.up == up).count();
    let (total, failed, unfinished) = (states.len(), count(Some(false)), count(None));
    let interrupted =
        format!("interrupted: {unfinished} of {total} accounts were not walked to the end");
    let shared = &accounts.shared;
    let exposition = single_run(&states, &shared.instruments, &shared.clock);
    match output {
        Some(file) if unfinished > 0 => {
            let not_written = format!("; {} was not written", file.display());
            return Err(ExitError::RunTime(interrupted + &not_written));
        }
        Some(file) => {
            let action = format!("cannot write {}", file.display());
            replace(file, exposition).map_err(ExitError::context(action))?;
        }
        None => {
            for piece in exposition.pieces {
                out.write_all(&piece)?;
            }
            out.flush()?;
        }
    }
    if unfinished > 0 {
        return Err(ExitError::RunTime(interrupted));
    }
    accounts_result(failed, total)
}

fn directory(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Replaces `file` atomically, so that the textfile collector never reads an incomplete file.
///
/// The temporary file is in the directory of `file`. Its name does not end in `.prom`, so the collector ignores
/// the file. The name is random, so no other user can create a link with this name in advance.
fn replace(file: &Path, exposition: EncodedBody) -> io::Result<()> {
    let mut temporary = tempfile::Builder::new()
        .prefix(".vobiz-exporter.")
        .suffix(".tmp")
        .tempfile_in(directory(file))?;
    let handle = temporary.as_file_mut();
    // The collector may run as another user. With these permissions, every user can read the file.
    handle.set_permissions(Permissions::from_mode(0o644))?;
    for piece in exposition.pieces {
        handle.write_all(&piece)?;
    }
    handle.sync_all()?;
    temporary.persist(file)?;
    Ok(())
}
