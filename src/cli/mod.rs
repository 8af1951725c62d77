//! The command line: flags in the naming style of Prometheus, declared for clap.
//!
//! The documentation comments of flags and commands are their help texts.

use std::{net::Ipv6Addr, ops::RangeInclusive, path::PathBuf, time::Duration};

use clap::{
    Args, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint,
    builder::{PossibleValuesParser, TypedValueParser},
};
pub use clap_complete::Shell;
use vobiz_simulator::SimulateArgs;

pub use crate::http::ListenAddress;
use crate::{
    clock::UnixMillis,
    config,
    http::{ExternalUrl, RoutePrefix, is_plain_path},
    telemetry::logs::{Format, LEVELS, Level},
};

#[cfg(test)]
mod tests;

/// The possible values of `--config.auto-reload-interval`.
const RELOAD_INTERVALS: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 3600);

/// The text that `--version` prints after the program name: version, revision and compiler.
const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (revision ",
    env!("VOBIZ_EXPORTER_REVISION"),
    ", rustc ",
    env!("VOBIZ_EXPORTER_RUSTVERSION"),
    ")"
);

/// The end of the program's `--help` and of its manual page. The commands do not have this text.
const AFTER_HELP: &str = "\
Environment:
  VOBIZ_AUTH_ID           with VOBIZ_AUTH_TOKEN_FILE or VOBIZ_AUTH_TOKEN: the account `default`,
                          when the configuration lists none
  VOBIZ_EXPORTER__KEY     sets KEY of the configuration, such as VOBIZ_EXPORTER__POLL__INTERVAL=30s

The commands have flags of their own: see `vobiz-exporter demo --help`.

Exit codes: 0 fine, 1 failed at run time, 2 wrong usage or configuration.";

/// Prometheus metrics for the SIP endpoints of Vobiz accounts.
///
/// Polls the Vobiz API on a schedule and serves the last complete snapshot of every account. Without
/// a command it serves until SIGTERM or SIGINT.
#[derive(Debug, Clone, PartialEq, Parser)]
#[command(
    name = "vobiz-exporter",
    version = VERSION,
    args_conflicts_with_subcommands = true,
    after_long_help = AFTER_HELP
)]
pub struct Cli {
    /// Flags of the exporter without a command. With a command, only the log flags can be set.
    #[command(flatten)]
    pub serve: ServeArgs,

    /// The command. `None` means to serve, or to do what a flag of [`ServeArgs`] selects.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The flags without a command.
#[derive(Debug, Clone, PartialEq, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own on the command line"
)]
pub struct ServeArgs {
    /// Configuration file: YAML, or TOML if its name ends in .toml. A single account needs no
    /// file: environment variables are enough.
    #[arg(long = "config.file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config_file: Option<PathBuf>,

    /// Reload the configuration when the content of its file changes.
    #[arg(long = "config.enable-auto-reload", requires = "config_file")]
    pub enable_auto_reload: bool,

    /// Time between two checks of the file with --config.enable-auto-reload.
    #[arg(
        long = "config.auto-reload-interval",
        value_name = "DURATION",
        default_value = "30s",
        value_parser = reload_interval
    )]
    pub auto_reload_interval: Duration,

    /// Check the configuration, print every error at once, and exit.
    #[arg(long = "config.check", conflicts_with = "once")]
    pub config_check: bool,

    /// Like --config.check, but read no token file: for a pipeline that has no secrets.
    #[arg(long = "config.check.no-secrets", conflicts_with_all = ["once", "config_check_live"])]
    pub config_check_no_secrets: bool,

    /// Like --config.check, then read the list of every account once and report the result.
    #[arg(long = "config.check.live", conflicts_with = "once")]
    pub config_check_live: bool,

    /// Where and how metrics are served.
    #[command(flatten)]
    pub web: WebArgs,

    /// Check the file of --web.config.file and the files that it names, and exit: 0 if they are
    /// valid, 2 if not.
    #[arg(
        long = "web.config.check",
        requires = "web_config_file",
        conflicts_with_all = ["once", "config_check", "config_check_no_secrets", "config_check_live"]
    )]
    pub web_config_check: bool,

    /// Log level and format, also of the commands.
    #[command(flatten)]
    pub log: LogArgs,

    /// Walk every account once, print its metrics, and exit; 1 if an account failed.
    #[arg(long = "once")]
    pub once: bool,

    /// Write the metrics of --once to this file instead, for the textfile collector of
    /// Prometheus's node exporter. The file is replaced atomically.
    #[arg(long = "once.output", value_name = "FILE", requires = "once", value_hint = ValueHint::FilePath)]
    pub once_output: Option<PathBuf>,

    /// Ask the exporter that serves at --web.probe-listen-address, else at --web.listen-address (the
    /// first, if there are several), whether it is healthy, and exit: 0 if it is, 1 if not.
    #[arg(long = "healthcheck", conflicts_with_all = ["once", "config_check", "config_check_no_secrets", "config_check_live", "web_config_check"])]
    pub healthcheck: bool,
}

/// Where and how metrics are served.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct WebArgs {
    /// Address to listen on; may be repeated. `:PORT` is every address of this host, IPv6 and IPv4.
    #[arg(
        long = "web.listen-address",
        value_name = "ADDRESS",
        default_value = ":10059"
    )]
    pub listen_addresses: Vec<ListenAddress>,

    /// Take the listening sockets from systemd, which opens them for a socket unit, instead of
    /// --web.listen-address.
    #[arg(long = "web.systemd-socket", conflicts_with = "listen_addresses")]
    pub systemd_socket: bool,

    /// Further address that answers only health and readiness checks, without TLS and authentication,
    /// such as :10061 for a kubelet; may be repeated.
    #[arg(long = "web.probe-listen-address", value_name = "ADDRESS")]
    pub probe_listen_addresses: Vec<ListenAddress>,

    /// URL at which browsers reach the exporter, such as the URL of a reverse proxy. Links on the start
    /// page begin with its path.
    #[arg(long = "web.external-url", value_name = "URL", value_hint = ValueHint::Url)]
    pub external_url: Option<ExternalUrl>,

    /// Prefix of every path, such as /vobiz. The default is the path of --web.external-url. Write / if
    /// the reverse proxy removes the prefix.
    #[arg(long = "web.route-prefix", value_name = "PATH")]
    pub route_prefix: Option<RoutePrefix>,

    /// Path of the metrics, below the prefix.
    #[arg(
        long = "web.telemetry-path",
        value_name = "PATH",
        default_value = "/metrics",
        value_parser = telemetry_path
    )]
    pub telemetry_path: String,

    /// Web configuration file: TLS, passwords, headers and a rate limit, in the format of
    /// Prometheus' exporter-toolkit. Without it, the port serves plain HTTP to every client.
    #[arg(
        id = "web_config_file",
        long = "web.config.file",
        value_name = "FILE",
        value_hint = ValueHint::FilePath
    )]
    pub config_file: Option<PathBuf>,

    /// Allow every client of the port to reload the configuration with POST /-/reload. Without it, a
    /// client on this host may, and a client with a password or certificate of --web.config.file.
    #[arg(long = "web.enable-lifecycle")]
    pub enable_lifecycle: bool,

    /// Maximum number of concurrent scrapes. A further scrape waits up to a second, then gets status 503. A client that
    /// does not read its response does not count. 0 is no limit.
    #[arg(long = "web.max-requests", value_name = "NUMBER", default_value_t = 40)]
    pub max_requests: usize,

    /// Host names that requests may be for, separated by commas: a guard against DNS rebinding. Ports do not count.
    /// Other requests get status 421, except health checks. By default, every host is allowed.
    #[arg(
        long = "web.allowed-hosts",
        value_name = "HOSTS",
        value_delimiter = ',',
        value_parser = allowed_host
    )]
    pub allowed_hosts: Vec<String>,
}

/// Parses a host name or an IP address without a port. An IPv6 address gets the brackets that requests have.
fn allowed_host(text: &str) -> Result<String, &'static str> {
    let plain = text.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    if let Ok(address) = plain.unwrap_or(text).parse::<Ipv6Addr>() {
        return Ok(format!("[{address}]"));
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if !text.is_empty() && text.chars().all(is_name) {
        Ok(text.to_owned())
    } else {
        Err("must be a host name or an IP address without a port, such as exporter.example")
    }
}

impl WebArgs {
    /// The path below which all paths are, except at the addresses for health checks.
    pub fn route_prefix(&self) -> RoutePrefix {
        let from_url = || self.external_url.as_ref().map(|url| url.path().clone());
        let prefix = self.route_prefix.clone().or_else(from_url);
        prefix.unwrap_or_default()
    }
}

/// Parses the path of the metrics. It must begin with a slash, hold no query or escape, and not be reserved.
fn telemetry_path(text: &str) -> Result<String, &'static str> {
    let reserved = ["/", "/-", "/healthz", "/readyz", "/probe"];
    if !text.starts_with('/') {
        Err("must begin with a slash, such as /metrics")
    } else if reserved.contains(&text) || text.starts_with("/-/") {
        Err("is reserved for another page; choose another, such as /metrics")
    } else if !is_plain_path(text) {
        Err("must be plain: no spaces, no query, no escapes")
    } else {
        Ok(text.to_owned())
    }
}

/// Parses the time between two checks of the configuration file.
fn reload_interval(text: &str) -> Result<Duration, &'static str> {
    let interval =
        config::parse_duration(text).filter(|interval| RELOAD_INTERVALS.contains(interval));
    interval.ok_or("must be a duration with its unit from 1s to 1d, such as 30s")
}

/// Log level and format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
pub struct LogArgs {
    /// Lowest level that is logged.
    #[arg(long = "log.level", global = true, value_name = "LEVEL", default_value = "info", value_parser = level_parser())]
    pub level: Level,

    /// Format of the log lines on standard error.
    #[arg(long = "log.format", global = true, value_name = "FORMAT", default_value = "logfmt", value_parser = format_parser())]
    pub format: Format,
}

fn level_parser() -> impl TypedValueParser<Value = Level> {
    PossibleValuesParser::new(LEVELS).try_map(|name| name.parse())
}

fn format_parser() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(["logfmt", "json"]).map(|name| match name.as_str() {
        "json" => Format::Json,
        _ => Format::Logfmt,
    })
}

/// A command instead of serving.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum Command {
    /// Run the exporter without an account, against a simulated API.
    Demo(DemoArgs),
    /// Serve the simulated API alone.
    Simulate {
        /// Address of the simulated API; port 0 lets the system choose.
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:10060")]
        listen_address: ListenAddress,
        /// Flags of the simulated API.
        #[command(flatten)]
        api: SimulateArgs,
    },
    /// Show, change or copy the stored state.
    State(StateArgs),
    /// Report the availability of endpoints and groups, also while an exporter runs.
    Report(ReportArgs),
    /// Print a completion script for a shell.
    Completion {
        /// The shell.
        shell: Shell,
    },
    /// Print a manual page, for man(1).
    Man {
        /// The command to document; the program itself if none is given.
        #[arg(value_parser = ["demo", "simulate", "state", "report", "completion", "man"])]
        command: Option<String>,
    },
}

/// Flags of `demo`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct DemoArgs {
    /// Number of endpoints of the two simulated accounts together.
    #[arg(long, value_name = "NUMBER", default_value_t = 200, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub endpoints: u32,

    /// Seed of the simulated events; random if not given.
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,

    /// Where and how the metrics are served.
    #[command(flatten)]
    pub web: WebArgs,
}

/// Flags of `state`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct StateArgs {
    /// Configuration file of the exporter, which names the state directory.
    #[arg(id = "state_config", long = "config.file", global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config_file: Option<PathBuf>,

    /// The state directory, instead of state.directory of the configuration or of the environment.
    #[arg(long = "state.directory", global = true, value_name = "DIRECTORY", value_hint = ValueHint::DirPath)]
    pub directory: Option<PathBuf>,

    /// What to do with the state.
    #[command(subcommand)]
    pub action: StateAction,
}

/// What to do with the stored state.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum StateAction {
    /// Show what is stored, also while an exporter runs.
    Show {
        /// Show only this account.
        account: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Delete what is stored about an account or about one of its endpoints, with its events.
    Forget {
        /// The account.
        account: String,
        /// The endpoint's id; the whole account if none is given.
        endpoint: Option<String>,
    },
    /// Give the state of an account to another name, before the exporter polls the new name.
    Rename {
        /// The name so far.
        old: String,
        /// The new name. The database must have no state of this name; forget that name first.
        new: String,
    },
    /// Write a copy of the database, also while an exporter runs.
    Backup {
        /// The new file.
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
}

/// Flags of `report`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ReportArgs {
    /// Configuration file of the exporter, which has the groups and names the state directory.
    #[arg(id = "report_config", long = "config.file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config_file: Option<PathBuf>,

    /// The state directory, instead of state.directory of the configuration or of the environment.
    #[arg(long = "state.directory", value_name = "DIRECTORY", value_hint = ValueHint::DirPath)]
    pub directory: Option<PathBuf>,

    /// Beginning of the period: a duration before its end, such as 7d or 24h, or a time such as
    /// 2026-11-01T00:00:00Z.
    #[arg(long, value_name = "DURATION or TIME", default_value = "7d", value_parser = since)]
    pub since: Since,

    /// End of the period, such as 2026-12-01T00:00:00Z. The default is now.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub until: Option<UnixMillis>,

    /// Report only this account.
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,

    /// Format: table and html have totals and the worst endpoints, csv has all endpoints.
    #[arg(id = "report_format", long = "format", value_name = "FORMAT", value_enum, default_value_t = ReportFormat::Table)]
    pub format: ReportFormat,
}

/// The format of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// Text for a terminal.
    Table,
    /// One row for each endpoint.
    Csv,
    /// One file for a browser.
    Html,
}

/// The beginning of a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// The time before the end.
    Before(Duration),
    /// The wall time.
    At(UnixMillis),
}

/// Parses a duration or a point in time.
fn since(text: &str) -> Result<Since, &'static str> {
    let before = config::parse_duration(text).filter(|before| !before.is_zero());
    let since = before
        .map(Since::Before)
        .or_else(|| time(text).map(Since::At).ok());
    since.ok_or("must be a duration such as 7d or 24h, or a time such as 2026-11-01T00:00:00Z")
}

/// Parses a point in time in the form of RFC 3339.
fn time(text: &str) -> Result<UnixMillis, &'static str> {
    let time: Result<jiff::Timestamp, _> = text.parse();
    let time = time.map(|time| UnixMillis(time.as_millisecond()));
    time.map_err(|_| "must be a time with its zone, such as 2026-11-01T00:00:00Z")
}

impl Cli {
    /// The flags of the HTTP servers. `None` if this command line starts no exporter.
    pub fn served(&self) -> Option<&WebArgs> {
        let serve = &self.serve;
        match &self.command {
            Some(Command::Demo(demo)) => Some(&demo.web),
            Some(_) => None,
            None if serve.once || serve.healthcheck || serve.is_check() => None,
            None => Some(&serve.web),
        }
    }
}

impl ServeArgs {
    /// True for `--config.check` and its variants.
    pub fn is_check(&self) -> bool {
        self.config_check || self.config_check_no_secrets || self.config_check_live
    }
}

/// The completion script for `shell`.
pub fn completion(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "vobiz-exporter", &mut script);
    script
}

/// The manual page of the program or of one command, in roff, for man(1).
pub fn manual(command: Option<&str>) -> Vec<u8> {
    // The command `help` prints the same text as `--help`, so it needs no manual page.
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let documented = command.map_or(Some(&program), |name| program.find_subcommand(name));
    let documented = documented.expect("the parser accepts known commands only");
    let man = clap_mangen::Man::new(documented.clone())
        .manual("Prometheus exporters")
        // The footer has little space, so it shows only the name and the version number.
        .source(concat!("vobiz-exporter ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render(&mut page)
        .expect("writing to memory cannot fail");
    page
}
