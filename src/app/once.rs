//! One walk of every account, and its exposition.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write},
    iter::repeat_with,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use futures_util::future::join_all;

use super::{ExitError, accounts::Accounts, end::Print};
use crate::{
    cli::Arguments,
    config,
    exposition::{EncodedBody, single_run},
    shutdown::CancellationToken,
    snapshot::Reader,
    walk::Poller,
};

/// Random letters in the name of a file that is not finished.
const LETTERS: usize = 12;

/// Walks every account once and writes the exposition to `output`, or to `out`.
///
/// Interrupted by `shutdown`, it prints what was found until then: an account whose walk has not
/// ended has no `vobiz_up`. A file is only ever replaced by a whole run.
///
/// # Errors
/// Code 1 when an account failed; the exposition is written all the same.
pub(super) async fn once(
    arguments: &Arguments,
    environment: &[(String, String)],
    output: Option<&Path>,
    shutdown: CancellationToken,
    out: &mut Print<'_>,
) -> Result<(), ExitError> {
    let loaded = config::load(arguments.config_file.as_deref(), environment)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let mut accounts = Accounts::build(&loaded.config, false)?;
    let walks = join_all(accounts.pollers.iter_mut().map(Poller::walk));
    shutdown.run_until_cancelled(walks).await;
    // A reader who stops reading must not hold the process: from here on, one signal is enough.
    shutdown.cancel();
    let states: Vec<_> = accounts.readers.iter().map(Reader::current).collect();
    let walked = |well: bool| states.iter().filter(|state| state.up == Some(well)).count();
    let (total, failed) = (states.len(), walked(false));
    let unfinished = total - walked(true) - failed;
    match output {
        Some(file) if unfinished > 0 => {
            return Err(ExitError::at_run_time(format!(
                "interrupted: {unfinished} of {total} accounts were not walked to the end; {} \
                 was not written",
                file.display()
            )));
        }
        Some(file) => {
            replace(file, single_run(&states, &accounts.instruments)).map_err(|error| {
                ExitError::at_run_time(format!("cannot write {}: {error}", file.display()))
            })?;
        }
        None => {
            for piece in single_run(&states, &accounts.instruments) {
                out.write_all(&piece)?;
            }
            out.flush()?;
        }
    }
    if unfinished > 0 {
        return Err(ExitError::at_run_time(format!(
            "interrupted: {unfinished} of {total} accounts were not walked to the end"
        )));
    }
    if failed > 0 {
        return Err(ExitError::at_run_time(format!(
            "{failed} of {total} accounts failed"
        )));
    }
    Ok(())
}

/// Replaces `file` as a whole: the collector that reads it never sees half of it.
///
/// The text is written to a file beside it, whose name does not end in `.prom`, so that it is not
/// collected itself, and cannot be foreseen by somebody who would plant a link there.
fn replace(file: &Path, exposition: EncodedBody) -> io::Result<()> {
    let name = file.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let letters: String = repeat_with(fastrand::alphanumeric).take(LETTERS).collect();
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(format!(".{letters}.tmp"));
    let beside = file.with_file_name(beside);
    let handle = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)?;
    let written = write(handle, exposition).and_then(|()| fs::rename(&beside, file));
    if written.is_err() {
        // What could not be finished is not left lying about.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn write(mut handle: File, exposition: EncodedBody) -> io::Result<()> {
    // Readable by the collector's user, whatever the umask is.
    handle.set_permissions(Permissions::from_mode(0o644))?;
    for piece in exposition {
        handle.write_all(&piece)?;
    }
    handle.sync_all()
}
