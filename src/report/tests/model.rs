//! Compares reports with a model that looks at every second.

use proptest::prelude::*;

use super::*;

/// The number of seconds of a story.
const SECONDS: i64 = 700;

/// What a walk finds of the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    Row(Option<bool>),
}

/// Whether the account was known, and the list's registration of the endpoint with its group.
type Second = (bool, Option<(Option<bool>, bool)>);

/// What happens at a second.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A walk is published, if the exporter polls the account.
    Walk(Found, bool),
    Fail,
    Stop,
    Crash,
    Start,
    Unpoll,
    Poll,
}

fn step() -> impl Strategy<Value = Step> {
    let registered = prop_oneof![Just(None), Just(Some(true)), Just(Some(false))];
    let row = prop_oneof![4 => registered.prop_map(Found::Row), 1 => Just(Found::Nothing)];
    prop_oneof![
        8 => (row, any::<bool>()).prop_map(|(row, in_hall)| Step::Walk(row, in_hall)),
        2 => Just(Step::Fail),
        1 => Just(Step::Stop),
        1 => Just(Step::Crash),
        2 => Just(Step::Start),
        1 => Just(Step::Unpoll),
        1 => Just(Step::Poll),
    ]
}

/// An exporter with one account and one endpoint, the events that it writes, and what each second was.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Story {
    runs: bool,
    has_crashed: bool,
    polls: bool,
    sees: bool,
    is_blind: bool,
    last_success: Option<i64>,
    /// Whether the list has the endpoint.
    is_listed: bool,
    /// The registration of the endpoint, also of a removed one that is remembered.
    last_known: Option<bool>,
    first_seen: i64,
    since: i64,
    in_hall: bool,
    exists: bool,
    /// Whether the present run has read the group of the endpoint.
    knows_group: bool,
    /// Whether the endpoint was removed without a row and without its group. A report cannot know its group.
    has_no_group: bool,
    account_events: Vec<PastEvent>,
    events: Vec<PastEvent>,
    seconds: Vec<Second>,
}

impl Story {
    fn new() -> Self {
        Self {
            runs: false,
            has_crashed: false,
            polls: true,
            sees: false,
            is_blind: false,
            last_success: None,
            is_listed: false,
            last_known: None,
            first_seen: 0,
            since: 0,
            in_hall: false,
            exists: false,
            knows_group: false,
            has_no_group: false,
            account_events: Vec::new(),
            events: Vec::new(),
            seconds: Vec::new(),
        }
    }

    fn log(&mut self, now: i64, kind: EventKind) {
        self.account_events.push(event(now, kind));
    }

    /// The crash becomes known with the next start. Until then, nobody knows what was after the last walk.
    fn crash(&mut self) {
        if self.sees {
            let known_until = self.last_success.unwrap_or(0);
            for second in self
                .seconds
                .iter_mut()
                .skip(usize::try_from(known_until).unwrap())
            {
                second.0 = false;
            }
        }
        (self.runs, self.sees, self.has_crashed) = (false, false, true);
    }

    fn take(&mut self, now: i64, step: Step) {
        match step {
            Step::Walk(row, in_hall) if self.runs && self.polls => self.walk(now, row, in_hall),
            Step::Fail if self.runs && self.polls => {
                if !self.is_blind {
                    self.log(now, EventKind::Blind);
                }
                (self.sees, self.is_blind) = (false, true);
            }
            Step::Stop if self.runs => {
                self.log(now, EventKind::Stop);
                (self.runs, self.sees) = (false, false);
            }
            Step::Crash if self.runs => self.crash(),
            Step::Start if !self.runs => {
                let earlier = self.last_success.filter(|_| self.has_crashed);
                self.account_events.push(PastEvent {
                    earlier: earlier.map(at),
                    ..event(now, EventKind::Start)
                });
                (self.runs, self.has_crashed, self.knows_group) = (true, false, false);
            }
            Step::Unpoll if self.runs && self.polls && self.last_success.is_some() => {
                self.log(now, EventKind::Unpolled);
                (self.polls, self.sees) = (false, false);
            }
            Step::Poll if self.runs && !self.polls => {
                self.log(now, EventKind::Polled);
                self.polls = true;
            }
            _ => {}
        }
    }

    fn walk(&mut self, now: i64, row: Found, in_hall: bool) {
        let is_first = self.last_success.is_none();
        if !self.sees {
            self.log(now, EventKind::Seeing);
        }
        // A new run does not know the groups before it.
        if self.sees && self.is_listed && row != Found::Nothing && in_hall != self.in_hall {
            let detail = if in_hall {
                "desk to hall"
            } else {
                "hall to desk"
            };
            self.events.push(detailed(now, EventKind::Group, detail));
            self.in_hall = in_hall;
        }
        (self.sees, self.is_blind, self.last_success) = (true, false, Some(now));
        let text = |last_known| match last_known {
            Some(true) => "registered",
            Some(false) => "unregistered",
            None => "unknown",
        };
        let before = self.last_known;
        match (self.is_listed, row) {
            (true, Found::Nothing) => {
                let group = if self.in_hall { "hall" } else { "desk" };
                let detail = if self.knows_group {
                    format!("{}, group {group}", text(before))
                } else {
                    text(before).to_owned()
                };
                self.has_no_group |= !self.knows_group && before.is_none();
                self.events.push(detailed(now, EventKind::Removed, &detail));
            }
            (false, Found::Row(registered)) => {
                if before.is_none() {
                    (self.first_seen, self.since) = (now, now);
                }
                self.last_known = registered.or(before);
                self.exists = true;
                // The first walk of an account writes no events about endpoints.
                if !is_first {
                    let added = detailed(now, EventKind::Added, text(self.last_known));
                    self.events.push(added);
                }
                self.change(now, before);
            }
            (true, Found::Row(registered)) => {
                self.last_known = registered.or(before);
                if before.is_none() && registered.is_some() {
                    self.since = now;
                    self.events
                        .push(detailed(now, EventKind::Known, text(registered)));
                }
                self.change(now, before);
            }
            (false, Found::Nothing) => {}
        }
        self.is_listed = row != Found::Nothing;
        self.knows_group = true;
    }

    fn change(&mut self, now: i64, before: Option<bool>) {
        if before.is_some() && before != self.last_known {
            let kind = [EventKind::Lost, EventKind::Back];
            self.events
                .push(event(now, kind[usize::from(before == Some(false))]));
            self.since = now;
        }
    }

    fn row(&self) -> Option<StoredRow> {
        let is_stored = self.is_listed || self.last_known.is_some();
        (self.exists && is_stored).then(|| StoredRow {
            alias: if self.in_hall { "hall" } else { "desk" }.to_owned(),
            since: at(self.since),
            first_seen: at(self.first_seen),
            ..row(self.last_known)
        })
    }

    /// The times of the endpoint in both groups, second by second.
    fn expected(&self, from: i64, until: i64) -> [Times; 2] {
        let groups = groups();
        let mut sums = [Times::default(); 2];
        for (second, (is_known, listed)) in (0..).zip(&self.seconds) {
            let Some((registered, in_hall)) = listed else {
                continue;
            };
            let group = usize::from(*in_hall);
            if !(from..until).contains(&second) || !groups[group].duty.is_on(at(second)) {
                continue;
            }
            sums[group] += match registered {
                Some(true) if *is_known => times(1, 0, 0),
                Some(false) if *is_known => times(0, 1, 0),
                _ => times(0, 0, 1),
            };
        }
        sums
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_report_is_what_every_second_was(
        steps in prop::collection::vec((1_i64..40, step()), 1..60),
        from in 0..SECONDS,
        length in 1..SECONDS,
    ) {
        let mut story = Story::new();
        story.take(0, Step::Start);
        let (mut next, mut steps) = (0, steps.into_iter());
        let mut planned = steps.next();
        for now in 0..SECONDS {
            while let Some((pause, step)) = planned.filter(|one| next + one.0 == now) {
                story.take(now, step);
                next += pause;
                planned = steps.next();
            }
            let listed = story.is_listed.then_some((story.last_known, story.in_hall));
            story.seconds.push((story.sees, listed));
        }
        prop_assume!(!story.has_no_group);
        let writer = Writer {
            is_running: story.runs,
            newest_success: story.last_success.map(at),
            now: at(SECONDS),
        };
        let until = (from + length).min(SECONDS);
        let (groups, period) = (groups(), period(from, until));
        let known = known(&account(), &story.account_events, (writer, None), period);
        let mut adding = Adding::new("main", &groups, &known, period);
        if story.exists {
            adding.endpoint(endpoint(story.row(), story.events.clone()));
        }
        let [desk, hall] = story.expected(from, until);
        prop_assert_eq!(adding.sums[0].times, desk);
        prop_assert_eq!(adding.sums[1].times, hall);
        prop_assert_eq!(adding.sums[2].times, Times::default());
    }
}
