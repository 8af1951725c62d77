//! The history of a simulated vendor, and the rules that every scrape must follow over all restarts.
//!
//! - A loss time never moves. Only a walk that can have read the endpoint as registered allows another time.
//! - No loss is forgotten. An endpoint that a scrape has shown as registered or lost is later shown with a
//!   loss time, whenever it is shown as unregistered.
//! - No loss is invented. Before a loss time, the vendor has served the endpoint as registered, and after it
//!   as unregistered.
//! - What a committed walk has read survives, although no scrape has shown it.

use std::collections::BTreeMap;

use vobiz_exporter::clock::Clock;
use vobiz_simulator::World;

use crate::harness::{Scrape, label};

const LOST: &str = "vobiz_endpoint_registration_lost_timestamp_seconds";

/// The vendor's responses and the scrapes of all processes, in the order in which they happened.
#[derive(Debug, Default)]
pub struct History {
    endpoints: BTreeMap<String, Past>,
    /// The number of started processes.
    process: u32,
    /// The scrapes with status 200.
    pub scrapes: u32,
    /// The cases in which a process showed the same loss time as an earlier process.
    pub survived: u32,
    /// The rules that a scrape has broken.
    pub violations: Vec<String>,
}

/// The past of one endpoint. All times are milliseconds since the Unix epoch.
#[derive(Debug, Default)]
struct Past {
    /// When the vendor has sent a list with this endpoint as registered, as unregistered, and as neither.
    registered: Vec<i64>,
    unregistered: Vec<i64>,
    unknown: Vec<i64>,
    /// Whether a scrape has shown the endpoint as registered or lost.
    is_remembered: bool,
    /// The last scraped loss time, and the process that showed it.
    lost: Option<(i64, u32)>,
    /// The end of a committed walk that has read the endpoint as unregistered.
    committed: Option<i64>,
}

/// The wall time in milliseconds.
pub fn now() -> i64 {
    Clock::system().now().0
}

impl History {
    /// Records that the vendor serves this world now. The exporter may not have received every row.
    pub fn served(&mut self, world: &World) {
        let now = now();
        for endpoint in world.first().endpoints() {
            let past = self.endpoints.entry(endpoint.id().to_owned()).or_default();
            let times = match (&endpoint.raw, endpoint.registered()) {
                (Some(_), _) => &mut past.unknown,
                (None, true) => &mut past.registered,
                (None, false) => &mut past.unregistered,
            };
            times.push(now);
        }
    }

    /// Records the start of a process.
    pub fn starts(&mut self) {
        self.process += 1;
    }

    /// Records that the first walk of a process, which started after `started`, is committed. Returns the number
    /// of losses that this walk has found and no scrape has shown.
    pub fn committed(&mut self, started: i64) -> u32 {
        let (now, mut found) = (now(), 0);
        for past in self.endpoints.values_mut() {
            let in_walk = |times: &[i64]| times.last().is_some_and(|at| *at >= started);
            let is_lost = in_walk(&past.unregistered)
                && !in_walk(&past.registered)
                && !in_walk(&past.unknown);
            if !is_lost || !past.is_remembered {
                continue;
            }
            found += u32::from(
                past.lost
                    .is_none_or(|(lost, _)| any(&past.registered, lost, now)),
            );
            let still = past
                .committed
                .filter(|earlier| !any(&past.registered, *earlier, now));
            past.committed = still.or(Some(now));
        }
        found
    }

    /// Checks a scrape.
    pub fn scraped(&mut self, scrape: &Scrape) {
        self.scrapes += 1;
        let now = now();
        let losses: BTreeMap<_, _> = (scrape.family(LOST))
            .map(|(labels, time)| (label(labels, "endpoint_id"), to_millis(time)))
            .collect();
        for (id, registered) in scrape.endpoints("main") {
            let past = self.endpoints.entry(id.clone()).or_default();
            let lost = losses.get(id.as_str()).copied();
            let broken = past.broken_rules(registered, lost, now);
            let process = self.process;
            self.violations.extend(broken.into_iter().map(|rule| {
                format!("process {process}, endpoint {id}: {rule}; its past: {past:?}")
            }));
            past.is_remembered |= registered == Some(true) || lost.is_some();
            if let Some(lost) = lost {
                let before = past.lost.replace((lost, process));
                self.survived +=
                    u32::from(before.is_some_and(|(time, other)| time == lost && other != process));
            }
        }
    }
}

impl Past {
    /// The rules that a scrape at the time `now` breaks, which shows this registration and loss time.
    fn broken_rules(&self, registered: Option<bool>, lost: Option<i64>, now: i64) -> Vec<String> {
        let mut broken = Vec::new();
        let mut check = |is_kept: bool, rule: &dyn Fn() -> String| {
            if !is_kept {
                broken.push(rule());
            }
        };
        let remembered = registered == Some(false) && self.is_remembered;
        check(lost.is_some() || !remembered, &|| {
            "the loss is forgotten".to_owned()
        });
        let since = self.lost.map_or(0, |(before, _)| before);
        let served = match registered {
            Some(true) => &self.registered,
            Some(false) => &self.unregistered,
            None => &self.unknown,
        };
        check(any(served, since, now), &|| {
            format!("{registered:?} is shown, but was not served")
        });
        let Some(lost) = lost else { return broken };
        check(
            any(&self.registered, 0, lost) && any(&self.unregistered, lost, now),
            &|| format!("the loss at {lost} is invented"),
        );
        if let Some((before, process)) = self.lost {
            let is_new = lost > before && any(&self.registered, before, lost);
            check(lost == before || is_new, &|| {
                format!("the loss time moved from {before} (process {process}) to {lost}")
            });
        }
        if let Some(committed) = self.committed {
            let is_new = any(&self.registered, committed, lost);
            check(lost <= committed || is_new, &|| {
                format!("the loss was committed at {committed}, but is shown at {lost}")
            });
        }
        broken
    }
}

/// Whether one of the times, which are in ascending order, is in this range. The limits belong to it.
fn any(times: &[i64], from: i64, to: i64) -> bool {
    let first = times.partition_point(|at| *at < from);
    times.get(first).is_some_and(|at| *at <= to)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the sample is a whole number of milliseconds"
)]
fn to_millis(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}
