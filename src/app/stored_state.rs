//! The command `state`: shows, changes or copies the stored state.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use super::ExitError;
use crate::{
    cli::{StateAction, StateArgs},
    config::{self, Config},
    state::{self, Applied, Request},
};

/// A configuration whose account is never used. Without a file, only the environment names the state directory, and no
/// account is needed.
const UNUSED_ACCOUNT: &str = "accounts: [{name: unused, auth_id: unused, auth_token: unused}]";

/// Executes the command `state`.
///
/// # Errors
/// Exit code 2 if no state directory is named, or if the database is of a newer version or of another program. Exit
/// code 1 if the database is absent or cannot be used, or if the change is not possible.
pub(super) fn stored_state(
    args: &StateArgs,
    environment: &[(String, String)],
    out: &mut dyn Write,
) -> Result<(), ExitError> {
    let config = configuration(args.config_file.as_deref(), environment)?;
    let directory = directory(args.directory.as_deref(), config.as_ref(), environment)?;
    match &args.action {
        StateAction::Show { account, json } => {
            let report = state::report(&directory, account.as_deref(), *json)
                .map_err(|error| failed(&error))?;
            out.write_all(report.as_bytes())?;
        }
        StateAction::Backup { file } => {
            state::backup(&directory, file).map_err(|error| failed(&error))?;
            writeln!(out, "written: {}", file.display())?;
        }
        StateAction::Forget { account, endpoint } => {
            let request = Request::Forget {
                account: account.clone(),
                endpoint_id: endpoint.clone(),
            };
            let applied = state::request(&directory, &request).map_err(|error| failed(&error))?;
            write_applied("forgotten", applied, out)?;
        }
        StateAction::Rename { old, new } => {
            let request = Request::Rename {
                account: old.clone(),
                new_name: new.clone(),
            };
            let applied = state::request(&directory, &request).map_err(|error| failed(&error))?;
            write_applied("renamed", applied, out)?;
        }
    }
    Ok(())
}

/// The configuration of the exporter, without its secrets. `None` without a file.
pub(super) fn configuration(
    file: Option<&Path>,
    environment: &[(String, String)],
) -> Result<Option<Config>, ExitError> {
    let load = |file| config::load_without_secrets(Some(file), environment);
    let loaded = file.map(load).transpose()?;
    Ok(loaded.map(|loaded| loaded.config))
}

/// The state directory: that of the flag, else of the configuration, else of the environment.
pub(super) fn directory(
    flag: Option<&Path>,
    config: Option<&Config>,
    environment: &[(String, String)],
) -> Result<PathBuf, ExitError> {
    let configured = match (flag, config) {
        (Some(directory), _) => Some(directory.to_owned()),
        (None, Some(config)) => config.state.directory.clone(),
        (None, None) => {
            let of_state = |(name, _): &&(String, String)| {
                name == "STATE_DIRECTORY" || name.starts_with("VOBIZ_EXPORTER__STATE__")
            };
            let of_state: Vec<_> = environment.iter().filter(of_state).cloned().collect();
            let loaded = config::load_yaml(UNUSED_ACCOUNT, &of_state)?;
            loaded.config.state.directory
        }
    };
    configured.ok_or_else(|| {
        let message = "no state directory is set; give --state.directory, or --config.file with \
            state.directory";
        ExitError::Configuration(message.to_owned())
    })
}

/// The error of a command, with the exit code that the exporter has for it.
pub(super) fn failed(error: &state::Error) -> ExitError {
    let kind = if error.is_final() {
        ExitError::Configuration
    } else {
        ExitError::RunTime
    };
    kind(match error.advice() {
        Some(advice) => format!("{error}: {advice}"),
        None => error.to_string(),
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
