//! Log lines on standard error: one line per event, as logfmt or JSON.
//!
//! A line has time, level, message and fields. With the log level `debug` or `trace`, the line also has the
//! module. The logger writes the events of other crates only at the levels `warn` and `error`. At the levels
//! below `warn`, HTTP crates log request headers, which contain the token of an account.

use std::{
    fmt,
    io::{self, IsTerminal},
};

pub use tracing::Level;
use tracing::{
    Dispatch, Event, Subscriber, dispatcher::SetGlobalDefaultError, level_filters::LevelFilter,
};
use tracing_subscriber::{
    filter::Targets,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    layer::{Layer, SubscriberExt},
    registry::{LookupSpan, Registry},
};

/// The names of the log levels.
pub const LEVELS: [&str; 5] = ["trace", "debug", "info", "warn", "error"];

/// The format of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `key=value` pairs; values are quoted if necessary.
    Logfmt,
    /// One JSON object per line.
    Json,
}

/// Starts to log events of at least this level to standard error. Logfmt has colours if standard error is
/// a terminal. Fails if the process already has a logger.
pub fn init(level: Level, format: Format) -> Result<(), SetGlobalDefaultError> {
    let colours = io::stderr().is_terminal();
    let dispatch = dispatch(io::stderr, level, format, colours);
    tracing::dispatcher::set_global_default(dispatch)
}

/// A logger that calls `write_all` once per line. `writer` returns the destination. Only logfmt has colours.
fn dispatch<F, W>(writer: F, level: Level, format: Format, colours: bool) -> Dispatch
where
    F: Fn() -> W + Send + Sync + 'static,
    W: io::Write + 'static,
{
    let level = LevelFilter::from_level(level);
    let filter = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target(env!("CARGO_CRATE_NAME"), level);
    let with_target = level > LevelFilter::INFO;
    // By default, a layer reports a write error with `eprintln!`, which panics if standard error is
    // closed. With `log_internal_errors(false)`, the layer drops the line and the program continues.
    let layer = match format {
        Format::Logfmt => tracing_logfmt::builder()
            .with_target(with_target)
            .with_span_name(false)
            .with_span_path(false)
            .with_ansi_color(colours)
            .layer()
            .map_event_format(OneLine)
            .with_writer(writer)
            .log_internal_errors(false)
            .boxed(),
        Format::Json => tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_target(with_target)
            .with_span_list(false)
            .map_event_format(OneLine)
            .with_writer(writer)
            .log_internal_errors(false)
            .boxed(),
    };
    Dispatch::new(Registry::default().with(layer.with_filter(filter)))
}

/// A format that escapes control characters, line separators and direction marks. So no field can
/// forge a line or control a terminal. The wrapped format `F` escapes only quotes and ASCII controls.
struct OneLine<F>(F);

impl<S, N, F> FormatEvent<S, N> for OneLine<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.0
            .format_event(context, Writer::new(&mut line), event)?;
        for c in line.trim_end_matches('\n').chars() {
            // ESC is allowed, because ESC starts a colour code. Both formats escape ESC in field values.
            if c != '\x1b' && (c.is_control() || is_separator_or_direction_mark(c)) {
                write!(writer, "\\u{:04x}", u32::from(c))?;
            } else {
                writer.write_char(c)?;
            }
        }
        writer.write_char('\n')
    }
}

/// Whether `c` separates lines or paragraphs, or changes the direction of text.
fn is_separator_or_direction_mark(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
pub use captured::Captured;

#[cfg(test)]
mod captured {
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    /// Log lines in memory, which all clones share.
    #[derive(Debug, Clone, Default)]
    pub struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Captured {
        /// A logger that appends its lines to this buffer.
        pub fn dispatch(&self, level: Level, format: Format) -> Dispatch {
            let lines = self.clone();
            dispatch(move || lines.clone(), level, format, false)
        }

        /// All lines that have been logged.
        pub fn text(&self) -> String {
            let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            String::from_utf8_lossy(&bytes).into_owned()
        }
    }

    impl io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines that `log` writes.
    fn logged(level: Level, format: Format, log: impl FnOnce()) -> String {
        let lines = Captured::default();
        tracing::dispatcher::with_default(&lines.dispatch(level, format), log);
        lines.text()
    }

    fn without_time(line: &str) -> &str {
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.starts_with("ts=2") && time.ends_with('Z'), "{line}");
        rest
    }

    #[test]
    fn a_logfmt_line_holds_time_level_message_and_fields() {
        let lines = logged(Level::INFO, Format::Logfmt, || {
            tracing::info!(account = "main", pages = 3, "walk finished");
        });
        assert_eq!(
            without_time(&lines),
            "level=info message=\"walk finished\" account=main pages=3\n"
        );
    }

    #[test]
    fn a_json_line_is_one_object() {
        let lines = logged(Level::INFO, Format::Json, || {
            tracing::warn!(account = "main", pages = 3, "walk\nfailed");
        });
        let line: serde_json::Value = serde_json::from_str(&lines).unwrap();
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["message"], "walk\nfailed");
        assert_eq!(
            (&line["account"], &line["pages"]),
            (&"main".into(), &3.into())
        );
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn no_field_can_forge_a_line_or_control_the_terminal() {
        let hostile = "a\" level=error\nts=1 level=error message=forged\r\u{1b}[31m\u{85}\u{9b}2J\u{2028}\u{202e}x\u{7f}";
        for format in [Format::Logfmt, Format::Json] {
            let lines = logged(Level::INFO, format, || {
                tracing::info!(alias = hostile, "{hostile}");
                tracing::info!(alias = %hostile, debug = ?hostile, lone = "\u{9b}2J", "second");
                tracing::info_span!("walk", alias = hostile).in_scope(|| tracing::info!("third"));
            });
            assert_eq!(lines.lines().count(), 3, "{lines}");
            let forbidden =
                |c: char| (c.is_control() && c != '\n') || is_separator_or_direction_mark(c);
            assert!(!lines.contains(forbidden), "{}", lines.escape_debug());
            for line in lines.lines() {
                match format {
                    Format::Logfmt => assert!(line.starts_with("ts=20"), "{line}"),
                    Format::Json => {
                        serde_json::from_str::<serde_json::Value>(line).unwrap();
                    }
                }
            }
            let outside_quotes: String = lines.replace("\\\"", "").split('"').step_by(2).collect();
            assert!(!outside_quotes.contains("level=error"), "{lines}");
        }
    }

    #[test]
    fn other_crates_are_logged_from_warn_on() {
        for level in [Level::INFO, Level::DEBUG, Level::TRACE] {
            let lines = logged(level, Format::Logfmt, || {
                tracing::trace!(target: "hyper::proto", "x-auth-token: SECRET");
                tracing::debug!(target: "reqwest::connect", "x-auth-token: SECRET");
                tracing::info!(target: "rustls", "SECRET");
                tracing::warn!(target: "h2::server", "is logged");
                tracing::error!("ours");
            });
            assert!(!lines.contains("SECRET"), "{lines}");
            assert_eq!(lines.lines().count(), 2, "{lines}");
        }
        let lines = logged(
            Level::ERROR,
            Format::Logfmt,
            || tracing::warn!(target: "h2", "quiet"),
        );
        assert_eq!(lines, "");
    }

    #[test]
    fn debug_lines_contain_their_module() {
        let log = || tracing::debug!("detail");
        assert!(
            logged(Level::DEBUG, Format::Logfmt, log).contains("target=vobiz_exporter::telemetry")
        );
        assert_eq!(logged(Level::INFO, Format::Logfmt, log), "");
    }

    #[test]
    fn colours_are_optional() {
        let lines = Captured::default();
        let writer = lines.clone();
        let dispatch = super::dispatch(move || writer.clone(), Level::INFO, Format::Logfmt, true);
        tracing::dispatcher::with_default(&dispatch, || tracing::info!("bright"));
        let coloured = lines.text();
        assert!(coloured.contains("\u{1b}["), "{coloured}");
    }

    #[test]
    fn a_failing_writer_is_ignored() {
        struct Broken;
        impl io::Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::Error::from(io::ErrorKind::BrokenPipe))
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(io::Error::from(io::ErrorKind::BrokenPipe))
            }
        }
        for format in [Format::Logfmt, Format::Json] {
            let dispatch = super::dispatch(|| Broken, Level::INFO, format, false);
            tracing::dispatcher::with_default(&dispatch, || tracing::info!("lost"));
        }
    }
}
