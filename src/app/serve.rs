//! Serving: pollers, exposition and front door until a signal.

use std::sync::Arc;

use super::{ExitError, accounts::Accounts, service::Service, tasks::Tasks};
use crate::{
    cli::{Arguments, Web},
    config::{self, Config},
    exposition::Exposition,
    http::{Bound, Settings},
    shutdown::CancellationToken,
    snapshot::Reader,
};

/// Loads the configuration and serves until `shutdown`; the service manager hears of it, if there
/// is one.
pub(super) async fn serve(
    arguments: &Arguments,
    environment: &[(String, String)],
    shutdown: CancellationToken,
) -> Result<(), ExitError> {
    let service = Service::of(environment, std::process::id());
    service.tell("STATUS=reading the configuration").await;
    let loaded = config::load(arguments.config_file.as_deref(), environment)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    tracing::debug!(configuration = %loaded.config.redacted(), "loaded");
    let (closed, until) = (CancellationToken::new(), shutdown.clone());
    let mut companion = None;
    let announce = |_: &Bound, accounts: &[Reader]| {
        // A task of its own on the runtime: when the runtime no longer runs tasks, the manager's
        // watchdog notices.
        let accompany = service.accompany(accounts.to_vec(), until, closed.clone());
        companion = Some(tokio::spawn(accompany));
        Ok(())
    };
    let served = open(&loaded.config, &arguments.web, shutdown, announce).await;
    closed.cancel();
    if let Some(companion) = companion {
        // It waits for nothing but the manager's ear, and now only for a moment.
        let _ = companion.await;
    }
    served
}

/// Opens the house: everything is bound before anything is asked, and `announce` hears where, and
/// gets the reading ends of all accounts.
pub(super) async fn open(
    config: &Config,
    web: &Web,
    shutdown: CancellationToken,
    announce: impl FnOnce(&Bound, &[Reader]) -> Result<(), ExitError>,
) -> Result<(), ExitError> {
    let mut bound = bind(web).await?;
    let accounts = Accounts::build(config, true)?;
    if let Some(prober) = accounts.prober {
        bound = bound.with_probe_handler(Arc::new(prober));
        tracing::info!(
            requests_per_second = config.probe.requests_per_second,
            "probes are on: whoever reaches this port may spend requests of every account"
        );
    }
    for address in bound.local_addrs() {
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"), %address,
            path = web.telemetry_path.as_str(), accounts = config.accounts.len(), "listening"
        );
    }
    announce(&bound, &accounts.readers)?;

    let instruments = accounts.instruments;
    let exposition = Exposition::new(accounts.readers, instruments.clone());
    let mut tasks = Tasks::default();
    for (account, poller) in config.accounts.iter().zip(accounts.pollers) {
        tasks.poll(&account.name, poller.run(shutdown.clone()));
    }
    let rendering = exposition.clone();
    let until = shutdown.clone();
    tasks.keep(move || {
        let (rendering, until) = (rendering.clone(), until.clone());
        async move {
            until.run_until_cancelled(rendering.run()).await;
        }
    });
    tokio::select! {
        () = bound.serve(Arc::new(exposition), instruments, shutdown) => {}
        never = tasks.watch() => match never {},
    }
    tasks.end().await;
    tracing::info!("left in good order");
    Ok(())
}

async fn bind(web: &Web) -> Result<Bound, ExitError> {
    let addresses: Vec<_> = web
        .listen_addresses
        .iter()
        .map(ToString::to_string)
        .collect();
    let settings = Settings {
        telemetry_path: web.telemetry_path.as_str().to_owned(),
        max_requests: web.max_requests,
        ..Settings::default()
    };
    let bound = Bound::bind(&addresses, settings).await;
    bound.map_err(|error| ExitError::at_run_time(format!("{error}; see --web.listen-address")))
}
