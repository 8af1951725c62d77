//! The commands with a simulated API: `demo`, with the exporter in the same process, and `simulate`,
//! for an exporter in another process.

use std::{
    fs,
    io::{self, Write},
    path::{self, Path},
};

use jiff::Timestamp;
use tokio::net::TcpListener;
use url::Url;
use vobiz_simulator::{
    AccountPlan, DEMO_ACCOUNTS, Latency, Login, Options, Pace, Shape, Vendor, World, identity,
};

use super::{ExitError, serve::Exporter};
use crate::{
    cli::{DemoArgs, RowShape, SimulateArgs},
    clock::Clock,
    config::{self, Config, Group, GroupMatch, Pattern, Watch},
    http,
    shutdown::CancellationToken,
};

/// The names of the demo accounts; the first is the larger one.
const DEMO_NAMES: [&str; 2] = ["main", "branch"];

/// Maximum number of simulated accounts in the printed configuration.
const PRINTED_ACCOUNTS: u32 = 3;

/// Starts the simulated API on a free port, and an exporter that polls it.
pub(super) async fn demo(
    args: &DemoArgs,
    shutdown: CancellationToken,
    out: &mut dyn Write,
) -> Result<(), ExitError> {
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    let world = World::demo_at(args.endpoints as usize, seed, now());
    let options = Options {
        pace: Pace::Running(1.0),
        ..Options::default()
    };
    let vendor = Vendor::start(world, options)
        .await
        .map_err(ExitError::context("cannot start the simulated API"))?;
    let config = demo_config(&vendor.base_url())?;
    let exporter = Exporter::bind(&config, &args.web).await?;
    let endpoint = vendor.edit(|world| world.first().at(0).map(|one| one.id().to_owned()));
    writeln!(out, "The simulated API answers at {}", vendor.base_url())?;
    writeln!(
        out,
        "with {} endpoints (seed {seed}). Open:",
        args.endpoints
    )?;
    for address in exporter.local_addrs() {
        let origin = format!("http://localhost:{}", address.port());
        let path = args.web.telemetry_path.as_str();
        writeln!(out, "  {origin}/  status of all accounts")?;
        writeln!(out, "  {origin}{path}  metrics for Prometheus")?;
        if let Some(id) = &endpoint {
            let query = format!("account={}&endpoint_id={id}&debug=true", DEMO_NAMES[0]);
            writeln!(out, "  {origin}/probe?{query}  probe of one endpoint")?;
        }
    }
    writeln!(out, "Press Ctrl-C to stop.")?;
    out.flush()?;
    exporter.run(shutdown).await;
    Ok(())
}

/// A configuration of both demo accounts. The environment configures one account, so each account is
/// loaded alone.
fn demo_config(base_url: &Url) -> Result<Config, ExitError> {
    let load = |login: Login, name: &str| {
        let variables = [
            ("VOBIZ_AUTH_ID", login.auth_id),
            ("VOBIZ_AUTH_TOKEN", login.token),
            ("VOBIZ_EXPORTER__API__BASE_URL", base_url.as_str()),
            ("VOBIZ_EXPORTER__POLL__INTERVAL", "15s"),
            ("VOBIZ_EXPORTER__PROBE__ENABLED", "true"),
        ];
        let environment = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        config::load(None, &environment).map(|mut loaded| {
            let account = &mut loaded.config.accounts[0];
            name.clone_into(&mut account.name);
            account.groups = demo_groups();
            loaded.config
        })
    };
    let mut config = load(DEMO_ACCOUNTS[0], DEMO_NAMES[0])?;
    let branch = load(DEMO_ACCOUNTS[1], DEMO_NAMES[1])?;
    config.accounts.extend(branch.accounts);
    Ok(config)
}

fn demo_groups() -> Vec<Group> {
    let pattern = |text: &str| Pattern::new(text).expect("a constant pattern is valid");
    let group = |name: &str, username: Option<&str>, alias: Option<&str>, watch| Group {
        name: name.to_owned(),
        matches: GroupMatch {
            username: username.map(pattern),
            alias: alias.map(pattern),
            ..GroupMatch::default()
        },
        watch,
    };
    let reception = Some("(Reception|Front Desk).*");
    vec![
        group("reception", None, reception, Watch::Page),
        group("webrtc", Some("web_.*"), None, Watch::Ignore),
        group("spare", None, Some("Spare.*"), Watch::Ignore),
        group("bangalore", None, Some("BLR-.*"), Watch::Notice),
        group("delhi", None, Some("DEL-.*"), Watch::Notice),
    ]
}

/// Serves the simulated API until `shutdown`, and prints a configuration for it.
pub(super) async fn simulate(
    args: &SimulateArgs,
    shutdown: CancellationToken,
    out: &mut dyn Write,
) -> Result<(), ExitError> {
    // First: a port in use is reported before a large world is built.
    let listener = listen(args).await?;
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    let options = simulator_options(args)?;
    let vendor = Vendor::over(listener, world(args, seed), options)
        .map_err(ExitError::context("cannot start the simulated API"))?;
    print_config(args, &vendor.base_url(), seed, out)?;
    shutdown.cancelled().await;
    vendor.stop().await;
    Ok(())
}

/// Prints the configuration of an exporter that polls this API.
fn print_config(args: &SimulateArgs, url: &Url, seed: u64, out: &mut dyn Write) -> io::Result<()> {
    let (accounts, endpoints) = (args.accounts, args.endpoints);
    let ca_file = args.tls_cert_file.as_ref().map(|file| {
        // The exporter resolves a relative path against the directory of its configuration.
        let file = path::absolute(file).unwrap_or_else(|_| file.clone());
        format!(", ca_file: {:?}", file.display().to_string())
    });
    let ca_file = ca_file.unwrap_or_default();
    writeln!(
        out,
        "# The simulated API answers at {url}\n\
         # with {accounts} accounts of {endpoints} endpoints (seed {seed}). An exporter's --config.file for it:\n\
         api: {{base_url: \"{url}\"{ca_file}}}\n\
         accounts:"
    )?;
    for number in 1..=accounts.min(PRINTED_ACCOUNTS) {
        let (auth_id, token) = (auth_id(number), token(number));
        writeln!(
            out,
            "  - {{name: sim-{number}, auth_id: {auth_id}, auth_token: {token}}}"
        )?;
    }
    if accounts > PRINTED_ACCOUNTS {
        writeln!(out, "  # ... to {}", auth_id(accounts))?;
    }
    out.flush()
}

fn world(args: &SimulateArgs, seed: u64) -> World {
    let shape = match args.row_shape {
        RowShape::Documented => Shape::Documented,
        RowShape::Captured => Shape::Captured,
    };
    let mut world = World::new(now(), seed);
    for number in 1..=args.accounts {
        let endpoints = args.endpoints as usize;
        let plan = AccountPlan::new(auth_id(number), token(number), endpoints).shape(shape);
        let is_live = args.speed > 0.0;
        world.settle(if is_live { plan } else { plan.still() });
    }
    world
}

/// Listens on the first usable address of a name that has several.
async fn listen(args: &SimulateArgs) -> Result<TcpListener, ExitError> {
    let address = args.listen_address.to_string();
    let listeners = http::listen(&address).await;
    let listeners = listeners.map_err(|error| ExitError::RunTime(error.to_string()))?;
    let first = listeners.into_iter().next();
    first.ok_or_else(|| ExitError::RunTime(format!("cannot listen on {address}")))
}

fn simulator_options(args: &SimulateArgs) -> Result<Options, ExitError> {
    let tls = match (&args.tls_cert_file, &args.tls_key_file) {
        (Some(certificates), Some(key)) => {
            let tls = identity(&read(certificates)?, &read(key)?);
            Some(tls.map_err(ExitError::RunTime)?)
        }
        _ => None,
    };
    Ok(Options {
        tls,
        latency: Latency::Fixed(args.latency),
        pace: Pace::Running(args.speed),
        gzip: !args.no_gzip,
        ..Options::default()
    })
}

fn read(file: &Path) -> Result<Vec<u8>, ExitError> {
    let action = format!("cannot read {}", file.display());
    fs::read(file).map_err(ExitError::context(action))
}

/// The wall time as the start of a simulated world.
fn now() -> Timestamp {
    let millis = Clock::system().now().0;
    Timestamp::from_millisecond(millis).expect("the present is within jiff's range")
}

fn auth_id(number: u32) -> String {
    format!("MA_SIM{number:05}")
}

fn token(number: u32) -> String {
    format!("sim-token-{number:05}-not-a-secret")
}
