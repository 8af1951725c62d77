//! The binary: arguments in, exit code out.

use std::process::ExitCode;

use vobiz_exporter::{app, cli::Arguments};

fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(help_or_wrong_usage) => help_or_wrong_usage.exit(),
    };
    let environment = environment();
    match app::run(&arguments, &environment, &mut std::io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            #[expect(clippy::print_stderr, reason = "the process's last word")]
            if !failure.is_quiet() {
                eprintln!("{failure}");
            }
            ExitCode::from(failure.code())
        }
    }
}

/// The process's variables. What is not text in them becomes U+FFFD, by which the configuration
/// knows one of ours that cannot be read.
fn environment() -> Vec<(String, String)> {
    let text = |part: std::ffi::OsString| part.to_string_lossy().into_owned();
    std::env::vars_os()
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}
