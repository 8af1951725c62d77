//! The commands with the simulated API. `demo` runs the simulated API and the exporter in one process.
//! `simulate` runs only the simulated API, for an exporter in another process.

use std::{io::Write, net::TcpListener};

use jiff::Timestamp;
use url::Url;
use vobiz_simulator::{DEMO_ACCOUNTS, Options, Pace, SimulateArgs, Vendor, World};

use super::{ExitError, serve::Exporter};
use crate::{
    cli::{DemoArgs, ListenAddress},
    clock::Clock,
    config::{self, Config},
    http,
    shutdown::CancellationToken,
};

/// Starts the simulated API on a free port, and an exporter that polls the API. `passed` has the listening sockets
/// from systemd.
pub(super) async fn demo(
    args: &DemoArgs,
    passed: Vec<TcpListener>,
    shutdown: CancellationToken,
    out: &mut dyn Write,
) -> Result<(), ExitError> {
    let (endpoints, seed) = (
        args.endpoints,
        args.seed.unwrap_or_else(|| fastrand::u64(..)),
    );
    let world = World::demo_at(endpoints as usize, seed, now());
    let options = Options {
        pace: Pace::Running(1.0),
        ..Options::default()
    };
    let vendor = Vendor::start(world, options)
        .await
        .map_err(ExitError::context("cannot start the simulated API"))?;
    let mut config = demo_config(&vendor.base_url())?;
    // The demo shows the metrics of the state database, but remembers nothing.
    let state = tempfile::Builder::new()
        .prefix("vobiz-exporter-demo.")
        .tempdir();
    if let Ok(state) = &state {
        // A scratch image has no folder for temporary files. The demo then runs without the database.
        config.state.directory = Some(state.path().to_owned());
    }
    let account = config.accounts[0].name.clone();
    let Some(exporter) = Exporter::start(config, &args.web, passed, None, &shutdown).await? else {
        return Ok(());
    };
    let first = vendor.edit(|world| world.first().at(0).map(|one| one.id().to_owned()));
    writeln!(out, "The simulated API answers at {}", vendor.base_url())?;
    writeln!(out, "with {endpoints} endpoints (seed {seed}). Open:")?;
    for address in &exporter.addresses {
        let prefix = args.web.route_prefix().join("");
        let scheme = exporter.scheme();
        let origin = format!("{scheme}://localhost:{}{prefix}", address.port());
        let path = &args.web.telemetry_path;
        writeln!(out, "  {origin}/  pages: what is missed, and why")?;
        writeln!(out, "  {origin}{path}  metrics for Prometheus")?;
        if let Some(id) = &first {
            let query = format!("account={account}&endpoint_id={id}&debug=true");
            writeln!(out, "  {origin}/probe?{query}  probe of one endpoint")?;
        }
    }
    writeln!(out, "Press Ctrl-C to stop.")?;
    out.flush()?;
    exporter.run(shutdown).await;
    Ok(())
}

/// The configuration of the demo, with the address and the credentials of the simulated API.
fn demo_config(base_url: &Url) -> Result<Config, ExitError> {
    let mut variables = vec![("API__BASE_URL".to_owned(), base_url.to_string())];
    for (index, login) in DEMO_ACCOUNTS.iter().enumerate() {
        let account = format!("ACCOUNTS__{index}");
        variables.push((format!("{account}__AUTH_ID"), login.auth_id.to_owned()));
        variables.push((format!("{account}__AUTH_TOKEN"), login.token.to_owned()));
    }
    for (name, _) in &mut variables {
        name.insert_str(0, "VOBIZ_EXPORTER__");
    }
    Ok(config::load_yaml(include_str!("demo.yaml"), &variables)?.config)
}

/// Serves the simulated API until `shutdown`, and prints an exporter configuration for this API.
pub(super) async fn simulate(
    address: &ListenAddress,
    args: &SimulateArgs,
    shutdown: CancellationToken,
    out: &mut dyn Write,
) -> Result<(), ExitError> {
    // The command opens its sockets first, to report a port in use before it builds the simulated accounts.
    let listeners = http::listen(address).await;
    let listeners = listeners.map_err(|error| ExitError::RunTime(error.to_string()))?;
    // A host name may have several addresses. The simulated API uses only the first address.
    let listener = listeners.into_iter().next();
    let listener = listener.expect("at least one socket is open");
    let simulated = vobiz_simulator::simulate(args, listener, now());
    let (vendor, configuration) = simulated.map_err(ExitError::RunTime)?;
    out.write_all(configuration.as_bytes())?;
    out.flush()?;
    shutdown.cancelled().await;
    vendor.stop().await;
    Ok(())
}

/// The current wall time, which is the start time of the simulation.
fn now() -> Timestamp {
    let millis = Clock::system().now().0;
    Timestamp::from_millisecond(millis).expect("the present is within jiff's range")
}
