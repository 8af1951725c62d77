//! Panics are faults of this program. They are told like everything else: in one line of the log.

use std::{any::Any, panic::PanicHookInfo};

/// Logs every panic of the process from now on, instead of writing lines of another form.
pub(super) fn log_from_now_on() {
    std::panic::set_hook(Box::new(tell));
}

fn tell(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string);
    tracing::error!(
        location,
        panic = words(panic.payload()),
        "a fault of this program: please report it"
    );
}

fn words(payload: &dyn Any) -> &str {
    let plain = payload.downcast_ref::<&str>().copied();
    let formatted = || payload.downcast_ref::<String>().map(String::as_str);
    plain.or_else(formatted).unwrap_or("without words")
}

#[cfg(test)]
mod tests {
    use std::{panic, thread};

    use super::*;
    use crate::telemetry::logs::{Captured, Format, Level};

    #[test]
    fn a_panic_is_one_line_of_the_log_with_its_place_and_its_words() {
        // The hook is the whole process's: other tests keep theirs.
        let (us, others) = (thread::current().id(), panic::take_hook());
        panic::set_hook(Box::new(move |panic| {
            if thread::current().id() == us {
                tell(panic);
            } else {
                others(panic);
            }
        }));
        let log = Captured::default();
        let dispatch = log.dispatch(Level::INFO, Format::Logfmt);
        let number = 7;
        tracing::dispatcher::with_default(&dispatch, || {
            for broken in [|_| panic!("plain"), |number| panic!("line\n{number}")] {
                panic::catch_unwind(|| broken(number)).unwrap_err();
            }
        });
        let said = log.text();
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(lines.len(), 2, "{said}");
        for (line, words) in lines.iter().zip(["panic=plain", "7"]) {
            assert!(line.contains("level=error"), "{line}");
            assert!(line.contains("src/app/panics.rs:"), "{line}");
            assert!(line.contains(words), "{line}");
        }
    }
}
