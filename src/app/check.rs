//! Checks the configuration, the access of every account to the API, and the health of a running exporter.

use std::{
    io::{self, Write},
    path::Path,
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesOrdered};
use tokio::time::timeout;

use super::{ExitError, accounts::Accounts, error::accounts_result};
use crate::{
    cli::{ServeArgs, WebArgs},
    clock::UnixMillis,
    config::{self, Account, Config, Watch},
    http::{RoutePrefix, StatusCode, health_status},
    judgement::{self, GroupFacts},
    snapshot::{AccountState, EndpointView, Snapshot},
    state,
    walk::Poller,
    web_config::WebConfig,
};

const NONE_REGISTERED: &str = "none registered: are these WebRTC endpoints? The API reportedly does not \
    show registrations over WebSocket; give such endpoints a group with `watch: ignore`";

/// The maximum number of missing members that a report names.
const SHOWN_NAMES: usize = 20;

/// Time limit of a health check, including name resolution.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

/// Loads the configuration and prints a summary. With `--config.check.no-secrets`, the check reads no
/// token files. With `--config.check.live`, the check also reads the endpoint list of every account.
///
/// # Errors
/// Exit code 2 if the configuration has errors; exit code 1 if an account's endpoint list cannot be read.
pub(super) async fn check(
    args: &ServeArgs,
    environment: &[(String, String)],
    out: &mut dyn Write,
) -> Result<(), ExitError> {
    let load = if args.config_check_no_secrets {
        config::load_without_secrets
    } else {
        config::load
    };
    let loaded = load(args.config_file.as_deref(), environment)?;
    for warning in &loaded.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    if let Some(directory) = &loaded.config.state.directory {
        let checked = state::check_directory(directory);
        checked.map_err(|error| ExitError::Configuration(error.to_string()))?;
    }
    let accounts = &loaded.config.accounts;
    let names: Vec<_> = accounts.iter().map(|one| one.name.as_str()).collect();
    let (count, names) = (names.len(), names.join(", "));
    let noun = if count == 1 { "account" } else { "accounts" };
    writeln!(out, "configuration is valid: {count} {noun} ({names})")?;
    if args.config_check_no_secrets {
        writeln!(out, "token files were not read")?;
    }
    if args.config_check_live {
        check_live(&loaded.config, out).await?;
    }
    Ok(())
}

/// Checks a web configuration file and the files that it names. Prints `FILE: ok`, then the warnings.
///
/// # Errors
/// Exit code 2 if a file cannot be read or a value is invalid.
pub(super) fn check_web_config(file: &Path, out: &mut dyn Write) -> Result<(), ExitError> {
    let (_, warnings) = WebConfig::load(file)?;
    writeln!(out, "{}: ok", file.display())?;
    for warning in warnings {
        writeln!(out, "warning: {warning}")?;
    }
    Ok(())
}

/// Reads the endpoint lists of all accounts concurrently, and reports the results in the configured order.
async fn check_live(config: &Config, out: &mut dyn Write) -> Result<(), ExitError> {
    let accounts = Accounts::build(config, Duration::ZERO)?;
    let mut pollers = accounts.pollers;
    let mut walks: FuturesOrdered<_> = pollers.iter_mut().map(Poller::walk).collect();
    let mut failed = 0;
    for handle in &accounts.handles {
        let (account, reader) = (&handle.settings, &handle.reader);
        let walked = walks.next().await.expect("every account has a walk");
        let state = reader.borrow().clone();
        let lines = match (walked, &state.snapshot) {
            (Ok(()), Some(snapshot)) => {
                let now = accounts.shared.clock.now();
                let mut lines = report(&state, snapshot);
                lines.extend(report_groups(account, snapshot, now));
                lines
            }
            (walked, _) => {
                failed += 1;
                let error = walked.err().map(|error| error.to_string());
                let error = error.unwrap_or_else(|| "the walk published no snapshot".to_owned());
                vec![format!("FAILED: {error}")]
            }
        };
        for line in lines {
            writeln!(out, "{}: {line}", account.name)?;
        }
    }
    accounts_result(failed, config.accounts.len())
}

/// The report about one account: the content of its endpoint list, and conditions that need attention.
fn report(state: &AccountState, snapshot: &Snapshot) -> Vec<String> {
    let (all, walk) = (snapshot.len(), &snapshot.walk);
    let registered = snapshot.group_counts(&[]).all.registered;
    let mut lines = vec![
        "credentials accepted".to_owned(),
        format!("endpoints: {all}, {registered} registered"),
    ];
    if walk.missing > 0 {
        let missing = walk.missing;
        lines.push(format!(
            "the API counts {missing} more endpoints than it returned"
        ));
    }
    let has_details = |one: EndpointView<'_>| one.expires_at.is_some() || one.user_agent.is_some();
    let details = match snapshot.endpoints().any(has_details) {
        true => "yes",
        false if registered == 0 => "unknown, none registered",
        false => "no, the expiry needs a request for each endpoint",
    };
    lines.push(format!("registration details in rows: {details}"));
    let rejected: u64 = walk.rejected_rows.iter().sum();
    if rejected > 0 {
        lines.push(format!("{rejected} rows could not be read"));
    }
    if let Some(offset) = state.clock_offset.filter(|offset| offset.abs() >= 5.0) {
        lines.push(format!(
            "the clocks of the API and of this host are {offset:.0} s apart"
        ));
    }
    if all > 0 && registered == 0 {
        lines.push(NONE_REGISTERED.to_owned());
    }
    lines
}

/// The report about the groups of an account at the time `now`: their endpoints, and what is missing.
fn report_groups(account: &Account, snapshot: &Snapshot, now: UnixMillis) -> Vec<String> {
    let (mut lines, mut paging) = (Vec::new(), 0);
    let groups = &account.groups;
    let counts = snapshot.group_counts(groups).groups;
    let missing = snapshot.missing_members(groups);
    for ((group, counts), missing) in groups.iter().zip(counts).zip(missing) {
        let (name, watch, is_on) = (&group.name, group.watch.label(), group.duty.is_on(now));
        let (matched, registered) = (counts.endpoints.total(), counts.endpoints.registered);
        let off = if is_on { "" } else { ", off duty" };
        lines.push(format!(
            "group {name} (watch {watch}{off}): {matched} matched, {registered} registered"
        ));
        let facts = GroupFacts {
            endpoints: matched,
            registered,
            min_registered: counts.min_registered,
        };
        if judgement::is_below(group, &facts) {
            let minimum = counts.min_registered.unwrap_or(1);
            lines.push(format!(
                "group {name}: below its minimum of {minimum} registered"
            ));
        }
        if let Some(missing) = missing.filter(|missing| !missing.is_empty()) {
            let (number, names) = (missing.len(), shortened(&missing));
            lines.push(format!(
                "group {name}: {number} listed members do not exist: {names}"
            ));
        }
        if group.watch == Watch::Page && is_on {
            paging += counts.endpoints.unregistered;
        }
    }
    if groups.iter().any(|group| group.watch == Watch::Page) {
        lines.push(format!("{paging} endpoints would page in 5 minutes"));
    }
    lines
}

/// The first names, and the number of the others.
fn shortened(names: &[&str]) -> String {
    let shown = names.len().min(SHOWN_NAMES);
    let text = names[..shown].join(", ");
    match names.len() - shown {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

/// Requests `/-/healthy` at the first address for health checks, or without one at the first listen address.
/// Container images without a shell need this command.
///
/// # Errors
/// Exit code 1 if the exporter is not reachable, does not respond in time, or is not healthy.
pub(super) async fn healthcheck(web: &WebArgs, out: &mut dyn Write) -> Result<(), ExitError> {
    let mut schemes = &[false][..];
    let mut may_have_users = false;
    let (listen, prefix) = if let Some(address) = web.probe_listen_addresses.first() {
        (address, RoutePrefix::default())
    } else {
        if let Some(file) = &web.config_file {
            may_have_users = true;
            schemes = match WebConfig::load(file) {
                Ok((config, _)) if config.current().tls().is_some() => &[true],
                Ok(_) => &[false],
                // A running exporter keeps its settings when the file becomes invalid.
                Err(_) => &[true, false],
            };
        }
        // `--web.listen-address` has a default value, so there is at least one address.
        (&web.listen_addresses[0], web.route_prefix())
    };
    let path = prefix.join("/-/healthy");
    let unhealthy = |why| ExitError::RunTime(format!("not healthy at {listen}: {why}"));
    let limit = HEALTH_TIMEOUT.as_secs();
    let first_status = async {
        let mut last = Err(io::ErrorKind::Other.into());
        for with_tls in schemes {
            last = health_status(listen, &path, *with_tls).await;
            if last.is_ok() {
                break;
            }
        }
        last
    };
    let status = timeout(HEALTH_TIMEOUT, first_status)
        .await
        .map_err(|_| unhealthy(format!("no response within {limit} s")))?
        .map_err(|error| unhealthy(error.to_string()))?;
    // Only hashes of the passwords are known here. An exporter that asks for a password is healthy.
    if status == StatusCode::OK || may_have_users && status == StatusCode::UNAUTHORIZED {
        return Ok(writeln!(out, "healthy")?);
    }
    Err(unhealthy(format!("status {status}")))
}
