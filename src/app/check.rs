//! Checking a configuration, on its own or against the vendor.

use std::time::Duration;

use super::{Failure, end::Print};
use crate::{
    api::{ApplicationForm, Endpoint, Page, RowShape, Transports},
    cli::Arguments,
    clock::Clock,
    config::{self, Account},
    poll::group_of,
    snapshot::{Draft, Hold, Snapshot, WalkFacts},
    telemetry::Instruments,
};

/// Loads the configuration and tells of it; with `live`, asks every account for one page.
///
/// # Errors
/// Code 2 with every mistake of the configuration; code 1 when an account did not answer well.
pub(super) async fn check(
    arguments: &Arguments,
    environment: &[(String, String)],
    live: bool,
    out: &mut Print<'_>,
) -> Result<(), Failure> {
    let loaded = config::load(arguments.config_file.as_deref(), environment)?;
    for warning in &loaded.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    let names: Vec<_> = loaded
        .config
        .accounts
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    let noun = if names.len() == 1 {
        "account"
    } else {
        "accounts"
    };
    writeln!(
        out,
        "configuration is valid: {} {noun} ({})",
        names.len(),
        names.join(", ")
    )?;
    if !live {
        return Ok(());
    }
    let mut transports = Transports::new();
    let instruments = Instruments::new();
    let clock = Clock::system();
    let mut failed = 0;
    for account in &loaded.config.accounts {
        let own = instruments.account(&account.name);
        let asked = match transports.client(account, own, clock) {
            Ok(client) => client
                .list_page(0, account.api.page_size)
                .await
                .map_err(|e| e.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match asked {
            Ok(page) => describe(account, &page, clock, out)?,
            Err(error) => {
                failed += 1;
                writeln!(out, "{}: FAILED: {error}", account.name)?;
            }
        }
    }
    if failed > 0 {
        return Err(Failure::at_run_time(format!(
            "{failed} of {} accounts failed",
            names.len()
        )));
    }
    Ok(())
}

/// What one page tells about an account and the settings for it.
fn describe(
    account: &Account,
    page: &Page,
    clock: Clock,
    out: &mut Print<'_>,
) -> Result<(), Failure> {
    let name = &account.name;
    let rows = page.rows.len();
    let total = page
        .total
        .map_or_else(|| "an unknown number".to_owned(), |n| n.to_string());
    let readable: Vec<_> = page
        .rows
        .iter()
        .filter_map(|row| row.content.as_ref().ok())
        .collect();
    let broken = rows - readable.len();
    let offset = page.clock_offset;
    let picture = paint(account, page, clock);
    let tallies = picture.tally(account.groups.len());
    let registered = tallies.all.registered;
    writeln!(out, "{name}: credentials accepted")?;
    writeln!(
        out,
        "{name}: endpoints: {total}; {rows} on the first page, {registered} registered"
    )?;
    let shape = shape(page.shape, &readable);
    writeln!(out, "{name}: row shape: {shape}")?;
    if let Some(form) = page.shape.application {
        writeln!(out, "{name}: application: {}", words(form))?;
    }
    if broken > 0 {
        writeln!(out, "{name}: {broken} rows of this page could not be read")?;
    }
    if let Some(offset) = offset.filter(|offset| offset.abs() >= 5.0) {
        writeln!(
            out,
            "{name}: the vendor's clock and ours are {offset:.0} s apart"
        )?;
    }
    for (group, counts) in account.groups.iter().zip(&tallies.groups) {
        let (name_of, matched) = (&group.name, counts.total());
        writeln!(
            out,
            "{name}: group {name_of} (watch {}): {matched} matched",
            group.watch.label()
        )?;
    }
    if rows > 0 && registered == 0 {
        writeln!(
            out,
            "{name}: none registered: are these WebRTC endpoints? The API is reported not to show \
             registrations over WebSocket; give such endpoints a group with `watch: ignore`"
        )?;
    }
    Ok(())
}

fn paint(account: &Account, page: &Page, clock: Clock) -> Snapshot {
    let mut draft = Draft::new(false);
    for (position, row) in (0..).zip(&page.rows) {
        draft.take(row, position);
    }
    let now = clock.now();
    let facts = WalkFacts::new(now, now, Duration::ZERO);
    let groups = &account.groups;
    draft
        .seal()
        .paint(None, facts, Hold::Nothing, &|one| group_of(groups, one))
        .0
}

/// Which of the documented shapes the rows came in, in words.
fn shape(seen: RowShape, rows: &[&Endpoint]) -> &'static str {
    let has_details = rows
        .iter()
        .any(|one| one.expires_at.is_some() || one.user_agent.is_some() || one.contact.is_some());
    let registered = rows.iter().any(|one| one.registered == Some(true));
    match (seen.registration_keys, seen.narrative_keys) {
        _ if rows.is_empty() => "no rows to tell by",
        (true, true) if has_details => "documented (registration details in rows)",
        (true, true) if registered => "documented, registration details empty on this page",
        (true, true) => "documented, none registered on this page",
        (true, false) if has_details => "short, with registration details in rows",
        (true, false) => "short, registration details empty on this page",
        (false, true) => {
            "times and permissions, but no registration fields; expiry only by retrieving each \
             endpoint"
        }
        (false, false) if registered => {
            "short (no registration fields; expiry only by retrieving each endpoint)"
        }
        (false, false) => "short (no registration fields, none registered on this page)",
    }
}

fn words(form: ApplicationForm) -> &'static str {
    match form {
        ApplicationForm::Object => "an object",
        ApplicationForm::Path => "a path that ends in its id",
        ApplicationForm::Id => "its id alone",
    }
}
