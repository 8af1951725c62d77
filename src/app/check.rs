//! Checking a configuration, on its own or against the vendor.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesOrdered};
use secrecy::SecretString;

use super::{ExitError, end::Print};
use crate::{
    api::{ApplicationForm, Client, Endpoint, Error, Page, RowShape, Transports},
    cli::{Arguments, Check},
    clock::Clock,
    config::{self, Account, Config},
    snapshot::{AccountState, Snapshot},
    telemetry::Instruments,
    walk::{Poller, PollerDeps, RateLimiters, Source},
};

/// Loads the configuration and tells of it; with [`Check::Live`], reads every account's list.
///
/// # Errors
/// Code 2 with every mistake of the configuration; code 1 when an account did not answer well.
pub(super) async fn check(
    arguments: &Arguments,
    environment: &[(String, String)],
    check: Check,
    out: &mut Print<'_>,
) -> Result<(), ExitError> {
    let load = match check {
        Check::WithoutSecrets => config::load_without_secrets,
        Check::Whole | Check::Live => config::load,
    };
    let loaded = load(arguments.config_file.as_deref(), environment)?;
    for warning in &loaded.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    let accounts = &loaded.config.accounts;
    let names: Vec<_> = accounts.iter().map(|one| one.name.as_str()).collect();
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
    match check {
        Check::Whole => Ok(()),
        Check::WithoutSecrets => {
            writeln!(out, "token files were not read")?;
            Ok(())
        }
        Check::Live => live(&loaded.config, out).await,
    }
}

/// Reads the lists of all accounts side by side, and tells of them in the configuration's order.
async fn live(config: &Config, out: &mut Print<'_>) -> Result<(), ExitError> {
    let mut transports = Transports::default();
    let instruments = Instruments::new();
    let clock = Clock::system();
    let mut limiters = RateLimiters::new(config.max_concurrent_requests);
    for account in &config.accounts {
        let api = &account.api;
        limiters.announce(&api.base_url, &account.auth_id, api.requests_per_second);
    }
    let mut lists = FuturesOrdered::new();
    for account in &config.accounts {
        let deps = PollerDeps {
            clock,
            instruments: instruments.account(&account.name),
            limiter: limiters.limiter(&account.api.base_url, &account.auth_id),
        };
        let client = transports.client(account, deps.instruments.clone(), clock);
        lists.push_back(async move {
            let client = client.map_err(|error| error.to_string())?;
            List::read(account, client, deps).await
        });
    }
    let (mut accounts, mut failed) = (config.accounts.iter(), 0);
    while let Some((list, account)) = lists.next().await.zip(accounts.next()) {
        match list {
            Ok(list) => describe(account, &list, out)?,
            Err(error) => {
                failed += 1;
                writeln!(out, "{}: FAILED: {error}", account.name)?;
            }
        }
    }
    if failed > 0 {
        let all = config.accounts.len();
        return Err(ExitError::at_run_time(format!(
            "{failed} of {all} accounts failed"
        )));
    }
    Ok(())
}

/// What a walk found.
struct List {
    state: Arc<AccountState>,
    snapshot: Arc<Snapshot>,
    shape: RowShape,
}

impl List {
    /// One walk, as the exporter does it.
    async fn read(account: &Account, client: Client, deps: PollerDeps) -> Result<Self, String> {
        let source = Arc::new(Shapes {
            client,
            seen: Mutex::default(),
        });
        let walked = Arc::clone(&source);
        let (mut poller, reader) = Poller::new(account.clone(), walked, deps, Duration::ZERO);
        poller.walk().await.map_err(|failure| failure.to_string())?;
        let state = reader.current();
        let snapshot = state.snapshot.clone();
        let shape = *source.seen.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Self {
            snapshot: snapshot.ok_or("the walk gave no snapshot")?,
            state,
            shape,
        })
    }
}

/// The client, and the shapes of all rows that it read: a snapshot does not tell them.
struct Shapes {
    client: Client,
    seen: Mutex<RowShape>,
}

impl Source for Shapes {
    async fn page(&self, offset: u64, limit: u32) -> Result<Page, Error> {
        let page = self.client.list_page(offset, limit).await?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = seen.and(page.shape);
        Ok(page)
    }

    async fn endpoint(&self, id: &str) -> Result<Endpoint, Error> {
        self.client.endpoint(id).await
    }

    fn set_token(&self, token: SecretString) {
        self.client.set_token(token);
    }
}

/// What the list tells about an account and the settings for it.
fn describe(account: &Account, list: &List, out: &mut Print<'_>) -> Result<(), ExitError> {
    let name = &account.name;
    let (snapshot, walk) = (&*list.snapshot, &list.snapshot.walk);
    let (all, counts) = (snapshot.len(), snapshot.counts(account.groups.len()));
    let registered = counts.all.registered;
    writeln!(out, "{name}: credentials accepted")?;
    writeln!(out, "{name}: endpoints: {all}, {registered} registered")?;
    if walk.missing > 0 {
        let missing = walk.missing;
        writeln!(
            out,
            "{name}: the list counts {missing} more than it returned"
        )?;
    }
    writeln!(out, "{name}: row shape: {}", shape(list.shape, snapshot))?;
    if let Some(form) = list.shape.application {
        writeln!(out, "{name}: application: {}", words(form))?;
    }
    let broken: u64 = walk.rejected_rows.iter().sum();
    if broken > 0 {
        writeln!(out, "{name}: {broken} rows could not be read")?;
    }
    if let Some(offset) = list.state.clock_offset.filter(|offset| offset.abs() >= 5.0) {
        writeln!(
            out,
            "{name}: the vendor's clock and ours are {offset:.0} s apart"
        )?;
    }
    for (group, counts) in account.groups.iter().zip(&counts.groups) {
        let (name_of, matched) = (&group.name, counts.total());
        writeln!(
            out,
            "{name}: group {name_of} (watch {}): {matched} matched",
            group.watch.label()
        )?;
    }
    if all > 0 && registered == 0 {
        writeln!(
            out,
            "{name}: none registered: are these WebRTC endpoints? The API is reported not to show \
             registrations over WebSocket; give such endpoints a group with `watch: ignore`"
        )?;
    }
    Ok(())
}

/// Which of the documented shapes the rows came in, in words.
fn shape(seen: RowShape, snapshot: &Snapshot) -> &'static str {
    let has_details = snapshot
        .endpoints()
        .any(|one| one.expires_at.is_some() || one.user_agent.is_some() || one.contact.is_some());
    let registered = snapshot.endpoints().any(|one| one.registered == Some(true));
    match (seen.registration_keys, seen.narrative_keys) {
        _ if snapshot.is_empty() => "no rows to tell by",
        (true, true) if has_details => "documented (registration details in rows)",
        (true, true) if registered => "documented, registration details empty",
        (true, true) => "documented, none registered",
        (true, false) if has_details => "short, with registration details in rows",
        (true, false) => "short, registration details empty",
        (false, true) => {
            "times and permissions, but no registration fields; expiry only by retrieving each \
             endpoint"
        }
        (false, false) if registered => {
            "short (no registration fields; expiry only by retrieving each endpoint)"
        }
        (false, false) => "short (no registration fields, none registered)",
    }
}

fn words(form: ApplicationForm) -> &'static str {
    match form {
        ApplicationForm::Object => "an object",
        ApplicationForm::Path => "a path that ends in its id",
        ApplicationForm::Id => "its id alone",
    }
}
