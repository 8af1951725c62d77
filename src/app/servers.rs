//! The HTTP servers of the exporter: one for all paths, and one only for health checks.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use futures_util::future::join_all;

use super::ExitError;
use crate::{
    cli::WebArgs,
    exposition::DataSource,
    http::{Bound, Lifecycle, PageSettings, ProbeHandlers, Settings},
    shutdown::CancellationToken,
    telemetry::Instruments,
    web_config::WebConfig,
};

/// The servers with their open sockets.
pub(super) struct Servers {
    all_paths: Bound,
    /// The addresses of `--web.probe-listen-address`, if there are any.
    health_checks: Option<Bound>,
}

impl Servers {
    /// Opens the sockets of all servers. `passed` has the sockets from systemd. If it is not empty, the exporter
    /// opens no socket for `--web.listen-address`.
    ///
    /// # Errors
    /// Exit code 1 if an address cannot be bound. The message names the address and its flag.
    pub(super) async fn bind(web: &WebArgs, passed: Vec<TcpListener>) -> Result<Self, ExitError> {
        let failed = |flag| move |error| ExitError::RunTime(format!("{error}; see {flag}"));
        let settings = Settings {
            external_url: web.external_url.clone(),
            route_prefix: web.route_prefix(),
            telemetry_path: web.telemetry_path.clone(),
            max_requests: web.max_requests,
            allowed_hosts: web.allowed_hosts.clone(),
            enable_lifecycle: web.enable_lifecycle,
            ..Settings::default()
        };
        let all_paths = if passed.is_empty() {
            let bound = Bound::bind(&web.listen_addresses, settings).await;
            bound.map_err(failed("--web.listen-address"))?
        } else {
            let bound = Bound::from_sockets(passed, settings);
            bound.map_err(failed("--web.systemd-socket"))?
        };
        let mut health_checks = None;
        if !web.probe_listen_addresses.is_empty() {
            let settings = Settings::for_health_checks();
            let bound = Bound::bind(&web.probe_listen_addresses, settings).await;
            health_checks = Some(bound.map_err(failed("--web.probe-listen-address"))?);
        }
        Ok(Self {
            all_paths,
            health_checks,
        })
    }

    /// Serves `/probe` and the pages, and with `lifecycle` also `/-/reload` and `/-/config`.
    #[must_use]
    pub(super) fn with_handlers(
        mut self,
        probes: ProbeHandlers,
        pages: PageSettings,
        lifecycle: Option<Arc<dyn Lifecycle>>,
    ) -> Self {
        self.all_paths = self.all_paths.with_probe_handlers(probes).with_pages(pages);
        if let Some(lifecycle) = lifecycle {
            self.all_paths = self.all_paths.with_lifecycle(lifecycle);
        }
        self
    }

    /// Serves with TLS, passwords, headers and a rate limit, except at the addresses only for health checks.
    #[must_use]
    pub(super) fn with_web_config(mut self, web_config: WebConfig) -> Self {
        self.all_paths = self.all_paths.with_web_config(web_config);
        self
    }

    /// The local addresses of the server for all paths.
    pub(super) fn local_addrs(&self) -> &[SocketAddr] {
        self.all_paths.local_addrs()
    }

    /// Logs a line for each address. `accounts` is the number of accounts.
    pub(super) fn log_addresses(&self, web: &WebArgs, accounts: usize) {
        let path = web.route_prefix().join(&web.telemetry_path);
        for address in self.local_addrs() {
            tracing::info!(
                version = env!("CARGO_PKG_VERSION"), %address,
                path, accounts, "listening"
            );
        }
        for address in self.health_checks.iter().flat_map(Bound::local_addrs) {
            tracing::info!(%address, "listening for health checks");
        }
    }

    /// Serves until `shutdown`, and finishes the responses in progress.
    pub(super) async fn serve(
        self,
        data: Arc<dyn DataSource>,
        instruments: Instruments,
        shutdown: CancellationToken,
    ) {
        let servers = [self.all_paths].into_iter().chain(self.health_checks);
        let serve = |bound: Bound| {
            let (data, instruments) = (Arc::clone(&data), instruments.clone());
            bound.serve(data, instruments, shutdown.clone())
        };
        join_all(servers.map(serve)).await;
    }
}
