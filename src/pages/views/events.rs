//! Events of the event log, in words.

use super::text::Time;
use crate::{clock::UnixMillis, state::PastEvent};

/// The number of events on a page.
pub(in crate::pages) const EVENTS: usize = 100;

/// The events of an endpoint or of an account, newest first.
pub(in crate::pages) enum Events {
    /// There is no state directory.
    NotKept,
    /// The database could not be read.
    Failed(String),
    Found(Vec<EventRow>),
}

pub(in crate::pages) struct EventRow {
    pub(in crate::pages) time: Time,
    pub(in crate::pages) text: String,
}

impl Events {
    /// The events that were read, or the text of the error, on a page of the time `now`. `None` without a database.
    pub(in crate::pages) fn new(
        found: Option<Result<Vec<PastEvent>, String>>,
        now: UnixMillis,
    ) -> Self {
        let row = |event: &PastEvent| EventRow {
            time: Time::new(event.at, now),
            text: text(event, now),
        };
        match found {
            Some(Ok(events)) => Self::Found(events.iter().map(row).collect()),
            Some(Err(error)) => Self::Failed(error),
            None => Self::NotKept,
        }
    }
}

/// What happened, in words.
fn text(event: &PastEvent, now: UnixMillis) -> String {
    let earlier = event.earlier.map(|at| Time::new(at, now).clock);
    let detail = event.detail.as_deref().unwrap_or("");
    let words = match event.kind.label() {
        "known" => "first usable registration",
        "lost" => "lost its registration",
        "back" if earlier.is_some() => "registered again",
        "back" => "registered",
        "added" => "added to the list",
        "removed" => "removed from the list",
        "application" => "another application",
        "group" => "moved to another group",
        "duty_started" => "on duty",
        "duty_ended" => "off duty",
        "outage_started" => "an outage began",
        "outage_ended" => "an outage ended",
        "blind" => "walks no longer succeed",
        "seeing" if detail.is_empty() => "a walk succeeded again",
        "seeing" => "a walk succeeded",
        "unpolled" => "no longer polled",
        "polled" => "polled again",
        "start" => "the exporter started",
        "stop" => "the exporter stopped",
        other => other,
    };
    let earlier = match (event.kind.label(), earlier) {
        ("lost", Some(at)) => format!("; last read as registered at {at}"),
        ("back", Some(at)) => format!("; it was lost at {at}"),
        ("start", Some(at)) => format!("; the run before worked until {at} at least"),
        ("outage_started" | "outage_ended", Some(at)) => format!("; first loss at {at}"),
        _ => String::new(),
    };
    let detail = match detail {
        "" => String::new(),
        detail => format!(" ({detail})"),
    };
    format!("{words}{detail}{earlier}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{EventKind, PastEventKind};

    #[test]
    fn every_kind_of_event_has_words() {
        let now = UnixMillis(1_795_851_000_000);
        for kind in EventKind::ALL {
            let event = PastEvent {
                at: now,
                kind: PastEventKind::Known(kind),
                earlier: None,
                detail: Some("group a".to_owned()),
            };
            let words = text(&event, now);
            assert!(
                words.contains(' ') && words.ends_with(" (group a)"),
                "{words}"
            );
            assert!(!words.contains('_'), "{words}");
        }
    }
}
