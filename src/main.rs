//! The binary: arguments in, exit code out.

use std::process::ExitCode;

use vobiz_exporter::{app, cli::Arguments};

fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(help_or_usage_error) => help_or_usage_error.exit(),
    };
    let environment = environment();
    match app::run(&arguments, &environment, &mut std::io::stdout()) {
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

/// The environment variables. Bytes that are not UTF-8 become U+FFFD, so that the configuration can
/// report a setting with such bytes.
fn environment() -> Vec<(String, String)> {
    let text = |part: std::ffi::OsString| part.to_string_lossy().into_owned();
    std::env::vars_os()
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}
