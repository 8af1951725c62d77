//! The command `simulate`: its flags, and the start of the simulated API.

use std::{fmt::Write as _, fs, path::PathBuf, time::Duration};

use clap::{Args, ValueHint};
use jiff::{Timestamp, fmt::friendly::SpanParser};
use tokio::net::TcpListener;

use crate::{AccountPlan, Latency, Options, Pace, Shape, Vendor, World, identity};

/// Maximum number of accounts in the printed configuration.
const PRINTED_ACCOUNTS: u32 = 3;

/// Flags of `simulate`, without the address to listen on.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct SimulateArgs {
    /// Number of endpoints of every account.
    #[arg(long, value_name = "NUMBER", default_value_t = 200, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub endpoints: u32,

    /// Number of accounts.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub accounts: u32,

    /// Seed of the simulated events; random if not given.
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,

    /// Latency of every response, with its unit, such as 20ms.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    pub latency: Duration,

    /// JSON form of the list rows; the vendor's documents describe several.
    #[arg(long, value_name = "SHAPE", default_value = "documented")]
    pub row_shape: Shape,

    /// Never compress responses.
    #[arg(long)]
    pub no_gzip: bool,

    /// Serve TLS with the certificate chain of this PEM file, the server certificate first.
    #[arg(long = "tls.cert-file", value_name = "FILE", requires = "tls_key_file", value_hint = ValueHint::FilePath)]
    pub tls_cert_file: Option<PathBuf>,

    /// PEM file of the private key of the certificate.
    #[arg(long = "tls.key-file", value_name = "FILE", requires = "tls_cert_file", value_hint = ValueHint::FilePath)]
    pub tls_key_file: Option<PathBuf>,

    /// Speed of the simulated time as a multiple of real time; 0 stops it.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = speed)]
    pub speed: f64,
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = SpanParser::new().parse_unsigned_duration(text).ok();
    duration
        .filter(|duration| *duration <= Duration::from_secs(3600))
        .ok_or_else(|| "must be a duration up to 1h with its unit, such as 20ms".to_owned())
}

fn speed(text: &str) -> Result<f64, String> {
    let speed = text.parse().ok();
    speed
        .filter(|speed| (0.0..=100_000.0).contains(speed))
        .ok_or_else(|| "must be a number from 0 to 100000".to_owned())
}

/// Starts the simulated API with the options from the flags. The simulated time starts at `start`.
/// Returns the handle of the API, and a configuration for an exporter that polls this API.
///
/// # Errors
/// A certificate or key file cannot be read or is invalid, or the listener has no address.
pub fn simulate(
    args: &SimulateArgs,
    listener: TcpListener,
    start: Timestamp,
) -> Result<(Vendor, String), String> {
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    let options = options(args)?;
    let vendor = Vendor::over(listener, world(args, start, seed), options)
        .map_err(|error| format!("cannot start the simulated API: {error}"))?;
    let configuration = configuration(args, &vendor, seed);
    Ok((vendor, configuration))
}

fn options(args: &SimulateArgs) -> Result<Options, String> {
    let read = |file: &PathBuf| {
        fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))
    };
    let tls = match (&args.tls_cert_file, &args.tls_key_file) {
        (Some(certificates), Some(key)) => Some(identity(&read(certificates)?, &read(key)?)?),
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

fn world(args: &SimulateArgs, start: Timestamp, seed: u64) -> World {
    let mut world = World::new(start, seed);
    for number in 1..=args.accounts {
        let endpoints = args.endpoints as usize;
        let plan = AccountPlan::new(auth_id(number), token(number), endpoints);
        let plan = plan.shape(args.row_shape);
        let is_live = args.speed > 0.0;
        world.settle(if is_live { plan } else { plan.still() });
    }
    world
}

/// A configuration for an exporter that polls the simulated API.
fn configuration(args: &SimulateArgs, vendor: &Vendor, seed: u64) -> String {
    let (url, accounts, endpoints) = (vendor.base_url(), args.accounts, args.endpoints);
    let ca_file = args.tls_cert_file.as_ref().map(|file| {
        // Relative paths start at the folder of the configuration file, so this path is absolute.
        let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
        format!(", ca_file: {:?}", file.display().to_string())
    });
    let ca_file = ca_file.unwrap_or_default();
    let mut text = format!(
        "# The simulated API answers at {url}\n\
         # with {accounts} accounts of {endpoints} endpoints (seed {seed}). An exporter's --config.file for it:\n\
         api: {{base_url: \"{url}\"{ca_file}}}\n\
         accounts:\n"
    );
    for number in 1..=accounts.min(PRINTED_ACCOUNTS) {
        let (auth_id, token) = (auth_id(number), token(number));
        let account = format!("{{name: sim-{number}, auth_id: {auth_id}, auth_token: {token}}}");
        writeln!(text, "  - {account}").expect("a string takes every write");
    }
    if accounts > PRINTED_ACCOUNTS {
        writeln!(text, "  # ... to {}", auth_id(accounts)).expect("a string takes every write");
    }
    text
}

fn auth_id(number: u32) -> String {
    format!("MA_SIM{number:05}")
}

fn token(number: u32) -> String {
    format!("sim-token-{number:05}-not-a-secret")
}
