//! One walk of every account, and its exposition.

use std::{
    fs::{self, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use futures_util::future::join_all;

use super::{Failure, household::Household};
use crate::{
    cli::Arguments,
    config,
    exposition::single_run,
    poll::Poller,
    shutdown::{Signals, Token},
    snapshot::Reader,
};

/// Walks every account once and writes the exposition to `output`, or to `out`.
///
/// # Errors
/// Code 1 when an account failed; the exposition is written all the same.
pub(super) async fn once(
    arguments: &Arguments,
    environment: &[(String, String)],
    output: Option<&Path>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let loaded = config::load(arguments.config_file.as_deref(), environment)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let mut household = Household::build(&loaded.config, false)?;
    let signals = Signals::listen()?;
    let shutdown = Token::new();
    let walks = join_all(household.pollers.iter_mut().map(Poller::walk));
    let results = tokio::select! {
        results = shutdown.run_until_cancelled(walks) => results,
        never = signals.obey(shutdown.clone()) => match never {},
    };
    let Some(results) = results else {
        return Err(Failure::at_run_time(
            "interrupted before every account was walked",
        ));
    };
    let states: Vec<_> = household.readers.iter().map(Reader::current).collect();
    let exposition = single_run(&states, &household.instruments);
    match output {
        None => exposition
            .into_iter()
            .try_for_each(|piece| out.write_all(&piece))?,
        Some(file) => replace(file, exposition).map_err(|error| {
            Failure::at_run_time(format!("cannot write {}: {error}", file.display()))
        })?,
    }
    let failed = results.iter().filter(|result| result.is_err()).count();
    if failed > 0 {
        let accounts = results.len();
        return Err(Failure::at_run_time(format!(
            "{failed} of {accounts} accounts failed"
        )));
    }
    Ok(())
}

/// Replaces `file` as a whole: the collector that reads it never sees half of it.
///
/// The text is written to a file beside it, whose name does not end in `.prom`, so that it is not
/// collected itself.
fn replace(file: &Path, pieces: impl Iterator<Item = impl AsRef<[u8]>>) -> io::Result<()> {
    let name = file.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}.tmp", std::process::id()));
    let beside = file.with_file_name(beside);
    let written = write(&beside, pieces).and_then(|()| fs::rename(&beside, file));
    if written.is_err() {
        // What could not be finished is not left lying about.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn write(file: &Path, pieces: impl Iterator<Item = impl AsRef<[u8]>>) -> io::Result<()> {
    let mut handle = fs::File::create(file)?;
    // Readable by the collector's user, whatever the umask is.
    handle.set_permissions(Permissions::from_mode(0o644))?;
    for piece in pieces {
        handle.write_all(piece.as_ref())?;
    }
    handle.sync_all()
}
