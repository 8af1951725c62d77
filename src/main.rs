//! The binary: parses the command line, runs the command, and returns the exit code.

use std::process::ExitCode;

use clap::Parser;
use vobiz_exporter::{app, cli::Cli};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match app::run(&cli, &environment(), &mut std::io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the error message of the process")]
            if !error.is_quiet() {
                eprintln!("{error}");
            }
            ExitCode::from(error.code())
        }
    }
}

/// The environment variables. Invalid UTF-8 becomes U+FFFD. If a `VOBIZ_` variable contains U+FFFD, the module
/// `config` reports an error.
fn environment() -> Vec<(String, String)> {
    let text = |part: std::ffi::OsString| part.to_string_lossy().into_owned();
    std::env::vars_os()
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}
