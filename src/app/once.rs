//! One walk of every account, and its exposition.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write},
    iter::repeat_with,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
    time::Duration,
};

use futures_util::future::join_all;

use super::{
    ExitError,
    error::accounts_result,
    serve::{Accounts, load_config},
};
use crate::{
    cli::ServeArgs,
    exposition::{SingleRun, single_run},
    shutdown::CancellationToken,
    snapshot::Reader,
    walk::Poller,
};

/// Random characters in the name of the temporary file.
const RANDOM_CHARS: usize = 12;

/// Walks every account once and writes the exposition to `--once.output`, or to `out`.
///
/// After `shutdown` it prints the results so far: an account whose walk has not finished has no
/// `vobiz_up`. A file is replaced by a finished run only.
///
/// # Errors
/// Code 1 when the walk of an account failed; the exposition is written nevertheless.
pub(super) async fn once(
    args: &ServeArgs,
    environment: &[(String, String)],
    shutdown: CancellationToken,
    out: &mut dyn Write,
) -> Result<(), ExitError> {
    let config = load_config(args, environment)?;
    let mut accounts = Accounts::build(&config, Duration::ZERO)?;
    let walks = join_all(accounts.pollers.iter_mut().map(Poller::walk));
    shutdown.run_until_cancelled(walks).await;
    // Writing may block on a reader that stops reading: from here on, one signal ends the process.
    shutdown.cancel();
    let states: Vec<_> = accounts.readers.iter().map(Reader::current).collect();
    let count = |up: bool| states.iter().filter(|state| state.up == Some(up)).count();
    let (total, failed) = (states.len(), count(false));
    let unfinished = total - count(true) - failed;
    let interrupted =
        format!("interrupted: {unfinished} of {total} accounts were not walked to the end");
    let exposition = single_run(&states, &accounts.instruments);
    match &args.once_output {
        Some(file) if unfinished > 0 => {
            let file = file.display();
            let message = format!("{interrupted}; {file} was not written");
            return Err(ExitError::RunTime(message));
        }
        Some(file) => replace(file, exposition).map_err(|error| {
            ExitError::RunTime(format!("cannot write {}: {error}", file.display()))
        })?,
        None => {
            for chunk in exposition {
                out.write_all(&chunk)?;
            }
            out.flush()?;
        }
    }
    if unfinished > 0 {
        return Err(ExitError::RunTime(interrupted));
    }
    accounts_result(failed, total)
}

/// Replaces `file` atomically: the collector never reads a part of it.
///
/// The temporary file is in the same directory. Its name does not end in `.prom`, so the collector
/// ignores it. Its name is random, so no other user can prepare a link of that name.
fn replace(file: &Path, exposition: SingleRun) -> io::Result<()> {
    let name = file.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let random: String = repeat_with(fastrand::alphanumeric)
        .take(RANDOM_CHARS)
        .collect();
    let mut temporary_name = std::ffi::OsString::from(".");
    temporary_name.push(name);
    temporary_name.push(format!(".{random}.tmp"));
    let temporary = file.with_file_name(temporary_name);
    let handle = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    let written = write(handle, exposition).and_then(|()| fs::rename(&temporary, file));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn write(mut handle: File, exposition: SingleRun) -> io::Result<()> {
    // Readable by the user of the collector, whatever the umask is.
    handle.set_permissions(Permissions::from_mode(0o644))?;
    for chunk in exposition {
        handle.write_all(&chunk)?;
    }
    handle.sync_all()
}
