//! The command `state`: shows, changes or copies the stored state.

use std::{io::Write, path::PathBuf};

use super::ExitError;
use crate::{
    cli::{StateAction, StateArgs},
    config,
    state::{self, Applied, Request},
};

/// The variables that name the state directory, in the order of their priority.
const VARIABLES: [&str; 2] = ["VOBIZ_EXPORTER__STATE__DIRECTORY", "STATE_DIRECTORY"];

/// Executes the command `state`.
///
/// # Errors
/// Exit code 2 if no state directory is named; exit code 1 if the database is absent or cannot be used.
pub(super) fn stored_state(
    args: &StateArgs,
    environment: &[(String, String)],
    out: &mut dyn Write,
) -> Result<(), ExitError> {
    let directory = directory(args, environment)?;
    let failed = |error: state::Error| ExitError::RunTime(error.to_string());
    match &args.action {
        StateAction::Show { account, json } => {
            let report = state::report(&directory, account.as_deref(), *json).map_err(failed)?;
            out.write_all(report.as_bytes())?;
        }
        StateAction::Backup { file } => {
            state::backup(&directory, file).map_err(failed)?;
            writeln!(out, "written: {}", file.display())?;
        }
        StateAction::Forget { account, endpoint } => {
            let request = Request::Forget {
                account: account.clone(),
                endpoint_id: endpoint.clone(),
            };
            let applied = state::request(&directory, &request).map_err(failed)?;
            write_applied("forgotten", applied, out)?;
        }
        StateAction::Rename { old, new } => {
            let request = Request::Rename {
                account: old.clone(),
                new_name: new.clone(),
            };
            let applied = state::request(&directory, &request).map_err(failed)?;
            write_applied("renamed", applied, out)?;
        }
    }
    Ok(())
}

/// The state directory: the flag, else the configuration file, else the environment.
fn directory(args: &StateArgs, environment: &[(String, String)]) -> Result<PathBuf, ExitError> {
    let configured = match (&args.directory, &args.config_file) {
        (Some(directory), _) => Some(directory.clone()),
        (None, Some(file)) => {
            let loaded = config::load_without_secrets(Some(file), environment)?;
            loaded.config.state.directory
        }
        (None, None) => VARIABLES.iter().find_map(|variable| {
            let set = environment.iter().find(|(name, _)| name == variable);
            let first = set?.1.split(':').next()?;
            Some(PathBuf::from(first)).filter(|path| path.is_absolute())
        }),
    };
    configured.ok_or_else(|| {
        let message = "no state directory is set; give --state.directory, or --config.file with \
            state.directory";
        ExitError::Configuration(message.to_owned())
    })
}

fn write_applied(done: &str, applied: Applied, out: &mut dyn Write) -> Result<(), ExitError> {
    match applied {
        Applied::Now(number) => writeln!(out, "{done}: {number} endpoints")?,
        Applied::Later => writeln!(
            out,
            "queued: the running exporter makes the change at its next walk, or, for the rename of an \
             account that it polls, when it starts without that account"
        )?,
    }
    Ok(())
}
