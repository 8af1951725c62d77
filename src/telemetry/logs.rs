//! Log lines: one event, one line, whatever its fields hold.
//!
//! Lines go to standard error, as logfmt or JSON, with time, level, message and fields; at `debug` and
//! `trace` also with the module they come from. Other crates' events are let through from `warn` on and
//! never below: at their lower levels HTTP crates write headers, and ours hold a token.

use std::{
    fmt,
    io::{self, IsTerminal},
    sync::{Arc, Mutex, PoisonError},
};

use tracing::{Dispatch, Event, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    filter::Targets,
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{JsonFields, Writer},
    },
    layer::{Layer, SubscriberExt},
    registry::{LookupSpan, Registry},
};

/// How important an event must be to be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// What failed.
    Error,
    /// What somebody should look at.
    Warn,
    /// What happens.
    Info,
    /// Details for finding faults.
    Debug,
    /// Everything.
    Trace,
}

/// The form of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `key=value` pairs; values are quoted where they must be.
    Logfmt,
    /// One JSON object a line.
    Json,
}

/// The process logs already; a second way of logging cannot be set.
#[derive(Debug, thiserror::Error)]
#[error("logging is already set up")]
pub struct AlreadyLogging;

/// Logs to standard error from now on, in colours if that is a terminal.
pub fn init(level: Level, format: Format) -> Result<(), AlreadyLogging> {
    let colours = io::stderr().is_terminal();
    tracing::dispatcher::set_global_default(to(io::stderr, level, format, colours))
        .map_err(|_| AlreadyLogging)
}

/// Logs to whatever `writer` gives, each line in one write, for whoever sets this as the default.
///
/// Colours are for logfmt only. A line that cannot be written is lost; nothing else happens.
pub fn to<F, W>(writer: F, level: Level, format: Format, colours: bool) -> Dispatch
where
    F: Fn() -> W + Send + Sync + 'static,
    W: io::Write + 'static,
{
    let most = level.filter();
    let filter = Targets::new()
        .with_default(most.min(LevelFilter::WARN))
        .with_target(env!("CARGO_CRATE_NAME"), most);
    let with_target = most > LevelFilter::INFO;
    // By default a failing writer is reported by `eprintln!`, which panics when standard error is gone.
    match format {
        Format::Logfmt => {
            let layer = tracing_logfmt::builder()
                .with_target(with_target)
                .with_span_name(false)
                .with_span_path(false)
                .with_ansi_color(colours)
                .layer::<Registry>()
                .map_event_format(OneLine)
                .with_writer(writer)
                .log_internal_errors(false);
            Dispatch::new(Registry::default().with(layer.with_filter(filter)))
        }
        Format::Json => {
            let events = tracing_subscriber::fmt::format()
                .json()
                .flatten_event(true)
                .with_target(with_target)
                .with_current_span(true)
                .with_span_list(false);
            let layer = tracing_subscriber::fmt::layer()
                .fmt_fields(JsonFields::new())
                .event_format(OneLine(events))
                .with_writer(writer)
                .log_internal_errors(false);
            Dispatch::new(Registry::default().with(layer.with_filter(filter)))
        }
    }
}

/// Log lines kept in memory, for tests that ask what was said; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    /// Where to log to, so that the lines end here.
    pub fn dispatch(&self, level: Level, format: Format) -> Dispatch {
        let lines = self.clone();
        to(move || lines.clone(), level, format, false)
    }

    /// Everything that was logged so far.
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

impl Level {
    fn filter(self) -> LevelFilter {
        match self {
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }
}

/// A form whose lines hold no character that a terminal or a log reader takes for a command, a line's
/// end or a change of direction. The forms themselves escape quotes and ASCII controls only.
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
        for letter in line.trim_end_matches('\n').chars() {
            // Escape itself is let through: it begins our own colours, and both forms have already
            // escaped it in values.
            if letter != '\x1b' && (letter.is_control() || turns_or_ends_a_line(letter)) {
                write!(writer, "\\u{:04x}", u32::from(letter))?;
            } else {
                writer.write_char(letter)?;
            }
        }
        writer.write_char('\n')
    }
}

/// Line and paragraph separators, and the marks that turn the direction of text.
fn turns_or_ends_a_line(letter: char) -> bool {
    matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `say` logs.
    fn logged(level: Level, format: Format, say: impl FnOnce()) -> String {
        let lines = Captured::default();
        tracing::dispatcher::with_default(&lines.dispatch(level, format), say);
        lines.text()
    }

    /// A line without its time.
    fn without_time(line: &str) -> &str {
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.starts_with("ts=2") && time.ends_with('Z'), "{line}");
        rest
    }

    #[test]
    fn a_logfmt_line_holds_time_level_message_and_fields() {
        let said = logged(Level::Info, Format::Logfmt, || {
            tracing::info!(account = "main", pages = 3, "walk finished");
        });
        assert_eq!(
            without_time(&said),
            "level=info message=\"walk finished\" account=main pages=3\n"
        );
    }

    #[test]
    fn a_json_line_is_one_object() {
        let said = logged(Level::Info, Format::Json, || {
            tracing::warn!(account = "main", pages = 3, "walk\nfailed");
        });
        let line: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["message"], "walk\nfailed");
        assert_eq!(
            (&line["account"], &line["pages"]),
            (&"main".into(), &3.into())
        );
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn no_field_can_forge_a_line_or_speak_to_the_terminal() {
        let hostile = "a\" level=error\nts=1 level=error message=forged\r\u{1b}[31m\u{85}\u{9b}2J\u{2028}\u{202e}x\u{7f}";
        for format in [Format::Logfmt, Format::Json] {
            let said = logged(Level::Info, format, || {
                tracing::info!(alias = hostile, "{hostile}");
                tracing::info!(alias = %hostile, debug = ?hostile, lone = "\u{9b}2J", "second");
                tracing::info_span!("walk", alias = hostile).in_scope(|| tracing::info!("third"));
            });
            assert_eq!(said.lines().count(), 3, "{said}");
            let commands = |c: char| (c.is_control() && c != '\n') || turns_or_ends_a_line(c);
            assert!(!said.contains(commands), "{}", said.escape_debug());
            for line in said.lines() {
                match format {
                    Format::Logfmt => assert!(line.starts_with("ts=20"), "{line}"),
                    Format::Json => {
                        serde_json::from_str::<serde_json::Value>(line).unwrap();
                    }
                }
            }
            let outside_quotes: String = said.replace("\\\"", "").split('"').step_by(2).collect();
            assert!(!outside_quotes.contains("level=error"), "{said}");
        }
    }

    #[test]
    fn other_crates_are_heard_from_warn_on_and_never_below() {
        for level in [Level::Info, Level::Debug, Level::Trace] {
            let said = logged(level, Format::Logfmt, || {
                tracing::trace!(target: "hyper::proto", "x-auth-token: SECRET");
                tracing::debug!(target: "reqwest::connect", "x-auth-token: SECRET");
                tracing::info!(target: "rustls", "SECRET");
                tracing::warn!(target: "h2::server", "is heard");
                tracing::error!("ours");
            });
            assert!(!said.contains("SECRET"), "{said}");
            assert_eq!(said.lines().count(), 2, "{said}");
        }
        let said = logged(
            Level::Error,
            Format::Logfmt,
            || tracing::warn!(target: "h2", "quiet"),
        );
        assert_eq!(said, "");
    }

    #[test]
    fn debug_lines_tell_their_module_and_info_hides_them() {
        let say = || tracing::debug!("detail");
        assert!(
            logged(Level::Debug, Format::Logfmt, say).contains("target=vobiz_exporter::telemetry")
        );
        assert_eq!(logged(Level::Info, Format::Logfmt, say), "");
    }

    #[test]
    fn colours_are_there_only_when_asked_for() {
        let lines = Captured::default();
        let writer = lines.clone();
        let dispatch = to(move || writer.clone(), Level::Info, Format::Logfmt, true);
        tracing::dispatcher::with_default(&dispatch, || tracing::info!("bright"));
        let coloured = lines.text();
        assert!(coloured.contains("\u{1b}["), "{coloured}");
    }

    #[test]
    fn a_writer_that_fails_disturbs_nobody() {
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
            let dispatch = to(|| Broken, Level::Info, format, false);
            tracing::dispatcher::with_default(&dispatch, || tracing::info!("lost"));
        }
    }
}
