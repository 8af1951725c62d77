//! The command `report`: reports the availability of endpoints and groups.

use std::io::Write;

use super::{
    ExitError,
    stored_state::{configuration, directory, failed},
};
use crate::{
    cli::{ReportArgs, ReportFormat, Since},
    clock::{Clock, UnixMillis},
    report::{self, Configured, Period, Query},
};

/// Executes the command `report`.
///
/// # Errors
/// Exit code 2 if the period is empty, if no state directory is named, or if the database is of a newer version or of another
/// program. Exit code 1 if the database is absent or cannot be read, or does not have the account.
pub(super) fn report(
    args: &ReportArgs,
    environment: &[(String, String)],
    out: &mut dyn Write,
) -> Result<(), ExitError> {
    let now = Clock::system().now();
    let period = period(args, now)?;
    let config = configuration(args.config_file.as_deref(), environment)?;
    let directory = directory(args.directory.as_deref(), config.as_ref(), environment)?;
    let accounts = config.into_iter().flat_map(|config| config.accounts);
    let configured = accounts.map(|account| {
        let configured = Configured {
            groups: account.groups,
            interval: Some(account.poll.interval),
            hides_names: !account.metrics.username,
        };
        (account.name, configured)
    });
    let query = Query {
        period,
        account: args.account.clone(),
        only_configured: false,
        now,
    };
    let report = report::read(&directory, &configured.collect(), &query);
    let report = report.map_err(|error| failed(&error))?;
    let text = match args.format {
        ReportFormat::Table => report::text(&report),
        ReportFormat::Csv => report::csv(&report),
        ReportFormat::Html => report::html(&report),
    };
    Ok(out.write_all(text.as_bytes())?)
}

/// The wanted period, which ends `now` at the latest.
fn period(args: &ReportArgs, now: UnixMillis) -> Result<Period, ExitError> {
    let until = args.until.map_or(now, |until| until.min(now));
    let from = match args.since {
        Since::Before(time) => until.minus(time),
        Since::At(time) => time,
    };
    if from < until {
        return Ok(Period { from, until });
    }
    let (from, until) = (from.to_rfc3339(), until.to_rfc3339());
    let message = format!("--since ({from}) is not before the end of the period ({until})");
    Err(ExitError::Configuration(message))
}
