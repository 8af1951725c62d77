//! The flags themselves, declared for clap; their comments are the help that people read.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use jiff::fmt::friendly::SpanParser;

use super::{ListenAddress, TelemetryPath};

/// Prometheus metrics for the SIP endpoints of Vobiz accounts.
///
/// Polls the Vobiz API on a schedule and serves the last whole snapshot of every account. Without a
/// command it serves until it is told to stop.
#[derive(Debug, Parser)]
#[command(
    name = "vobiz-exporter",
    version = super::pages::version(),
    args_conflicts_with_subcommands = true,
    after_long_help = super::pages::AFTER_HELP
)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own on the command line"
)]
pub(super) struct Line {
    /// Configuration file: YAML, or TOML if its name ends in .toml. One account needs none:
    /// the environment gives it.
    #[arg(long = "config.file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) config_file: Option<PathBuf>,

    /// Check the configuration, print every mistake at once, and leave.
    #[arg(long = "config.check", conflicts_with = "once")]
    pub(super) config_check: bool,

    /// Like --config.check, but read no token file: for a pipeline that has no secrets.
    #[arg(long = "config.check.no-secrets", conflicts_with_all = ["once", "config_check_live"])]
    pub(super) config_check_no_secrets: bool,

    /// Like --config.check, then read the list of every account once and tell what came.
    #[arg(long = "config.check.live", conflicts_with = "once")]
    pub(super) config_check_live: bool,

    #[command(flatten)]
    pub(super) web: Web,

    #[command(flatten)]
    pub(super) log: Log,

    /// Walk every account once, print its metrics, and leave; 1 if an account failed.
    #[arg(long = "once")]
    pub(super) once: bool,

    /// Write the metrics of --once to this file instead, for the textfile collector of
    /// Prometheus's node exporter; it is replaced as a whole.
    #[arg(long = "once.output", value_name = "FILE", requires = "once", value_hint = ValueHint::FilePath)]
    pub(super) once_output: Option<PathBuf>,

    /// Ask the exporter that serves at --web.listen-address (the first, if there are several) whether
    /// it is healthy, and leave: 0 if it is, 1 if not.
    #[arg(long = "healthcheck", conflicts_with_all = ["once", "config_check", "config_check_no_secrets", "config_check_live"])]
    pub(super) healthcheck: bool,

    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

/// Where and how metrics are served.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Web {
    /// Address to serve on; may be repeated. `:PORT` is every address of this host, IPv6 and IPv4.
    #[arg(
        long = "web.listen-address",
        value_name = "ADDRESS",
        default_value = ":10059"
    )]
    pub listen_addresses: Vec<ListenAddress>,

    /// Path of the metrics.
    #[arg(
        long = "web.telemetry-path",
        value_name = "PATH",
        default_value = "/metrics"
    )]
    pub telemetry_path: TelemetryPath,

    /// Scrapes answered at the same time; more are answered 503. 0 is no limit.
    #[arg(long = "web.max-requests", value_name = "NUMBER", default_value_t = 40)]
    pub max_requests: usize,
}

/// What is logged, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
pub struct Log {
    /// Log what is at least this important.
    #[arg(long = "log.level", value_name = "LEVEL", default_value = "info")]
    pub level: LogLevel,

    /// Form of the log lines, which go to standard error.
    #[arg(long = "log.format", value_name = "FORMAT", default_value = "logfmt")]
    pub format: LogFormat,
}

/// How important a log line must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Everything.
    Trace,
    /// Details for finding faults.
    Debug,
    /// What happens.
    Info,
    /// What somebody should look at.
    Warn,
    /// What failed.
    Error,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// `key=value` pairs.
    Logfmt,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show everything without an account: a simulated API with the exporter in front of it.
    Demo(Demo),
    /// Serve the simulated API alone.
    Simulate(Simulate),
    /// Print a completion script for a shell.
    Completion {
        /// The shell.
        shell: Shell,
    },
    /// Print a manual page, for man(1).
    Man {
        /// The command that it is about; without one, the program.
        #[arg(value_parser = ["demo", "simulate", "completion", "man"])]
        command: Option<String>,
    },
}

/// A simulated vendor and the exporter in front of it.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Demo {
    /// Endpoints of the two simulated accounts together.
    #[arg(long, value_name = "NUMBER", default_value_t = 200, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub endpoints: u32,

    /// Seed of what happens to them; a new one each time if not given.
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,

    /// Where and how the metrics are served.
    #[command(flatten)]
    pub web: Web,

    /// What is logged.
    #[command(flatten)]
    pub log: Log,
}

/// The simulated vendor alone.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct Simulate {
    /// Address of the simulated API; port 0 lets the system choose.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:10060")]
    pub listen_address: ListenAddress,

    /// Endpoints of every account.
    #[arg(long, value_name = "NUMBER", default_value_t = 200, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub endpoints: u32,

    /// Accounts.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub accounts: u32,

    /// Seed of what happens to them; a new one each time if not given.
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,

    /// How long every answer takes, with its unit, such as 20ms.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    pub latency: Duration,

    /// Which of the vendor's two shapes rows have.
    #[arg(long, value_name = "SHAPE", default_value = "documented")]
    pub row_shape: RowShape,

    /// Never compress, whatever the client accepts.
    #[arg(long)]
    pub no_gzip: bool,

    /// Speak TLS with the certificates of this PEM file, its own first.
    #[arg(long = "tls.cert-file", value_name = "FILE", requires = "tls_key_file", value_hint = ValueHint::FilePath)]
    pub tls_cert_file: Option<PathBuf>,

    /// PEM file of the key that belongs to the certificate.
    #[arg(long = "tls.key-file", value_name = "FILE", requires = "tls_cert_file", value_hint = ValueHint::FilePath)]
    pub tls_key_file: Option<PathBuf>,

    /// How many times as fast as ours its time passes; 0 stops it.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = speed)]
    pub speed: f64,

    /// What is logged.
    #[command(flatten)]
    pub log: Log,
}

/// The shape of simulated rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RowShape {
    /// The narrative documents: all fields, the application as an object.
    Documented,
    /// The captured samples: eight fields, the application as a path.
    Captured,
}

fn duration(text: &str) -> Result<Duration, String> {
    static PARSER: SpanParser = SpanParser::new();
    let duration = PARSER.parse_unsigned_duration(text).ok();
    duration
        .filter(|duration| *duration <= Duration::from_secs(3600))
        .ok_or_else(|| "must be a duration up to 1h with its unit, such as 20ms".to_owned())
}

fn speed(text: &str) -> Result<f64, String> {
    let speed = text
        .parse()
        .ok()
        .filter(|speed| (0.0..=100_000.0).contains(speed));
    speed.ok_or_else(|| "must be a number from 0 to 100000".to_owned())
}
