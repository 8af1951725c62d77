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

/// The process's variables; one that is not text cannot be one of ours.
fn environment() -> Vec<(String, String)> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}
