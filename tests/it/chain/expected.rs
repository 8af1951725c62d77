//! Compares the received notifications with the expected notifications.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    time::Duration,
};

use super::{message::Message, news::Memory, receiver::Receiver};
use crate::harness::until_within;

/// The maximum time to wait for the notifications of one scene.
const TIMEOUT: Duration = Duration::from_secs(58);

/// Compares the received and the expected notifications of each scene. A scene is one event of the
/// test. A notification that arrives after the end of its scene makes the next scene fail.
pub struct Expected {
    receiver: Receiver,
    read: usize,
    memory: Memory,
    page: Vec<String>,
}

/// The notifications that a receiver must have for one account at the end of a scene.
struct Line<'a> {
    /// The receiver and the account, for example `pager main`.
    about: &'a str,
    /// The expected changes, as `firing ALERT` or `resolved ALERT`. Each must be notified exactly once.
    news: Vec<&'a str>,
    /// All alerts that the newest message must show as firing, including unchanged alerts.
    firing: BTreeSet<&'a str>,
}

/// The notifications that the receiver got in a scene.
#[derive(Default)]
struct Received {
    /// The changes of alerts, each with its receiver and account ([`Message::about`]).
    news: Vec<(String, String)>,
    messages: BTreeMap<String, usize>,
    /// The firing alerts in the newest message of each Alertmanager group. The key is
    /// [`Message::about`] and the group key.
    last: BTreeMap<(String, String), Vec<String>>,
    faults: Vec<String>,
}

impl Expected {
    /// Creates a comparison that starts with the first message of this receiver.
    pub fn of(receiver: Receiver) -> Self {
        Self {
            receiver,
            read: 0,
            memory: Memory::default(),
            page: Vec::new(),
        }
    }

    /// Waits until the receiver has all `expected` notifications. Fails if the receiver got an
    /// unexpected notification. Each element of `expected` has the changes of one account:
    /// `RECEIVER ACCOUNT: firing ALERT, resolved ALERT, still ALERT`. The word `still` marks an
    /// alert that fired before the scene and still fires.
    pub async fn scene(&mut self, name: &str, expected: &[&str]) {
        let expected: Vec<_> = expected.iter().map(|line| Line::read(line)).collect();
        let met = until_within(Duration::MAX, name, || async {
            let received = self.received().0;
            expected
                .iter()
                .all(|one| one.is_met(&received))
                .then_some(())
        });
        // A time-out makes the test fail, but only after the test has stored the text of the scene.
        let complete = tokio::time::timeout(TIMEOUT, met).await.is_ok();
        let (received, memory, read) = self.received();
        (self.memory, self.read) = (memory, read);
        self.page.push(format!("{name}:"));
        let mut fails = !complete;
        for one in &expected {
            fails |= !one.write(&received, &mut self.page);
        }
        if expected.is_empty() {
            self.page.push("  expected nothing".to_owned());
        }
        let unexpected = received.news.iter().filter(|(about, news)| {
            let of = |one: &&Line<'_>| one.about == about && one.news.contains(&news.as_str());
            !expected.iter().any(|one| of(&one))
        });
        for (about, news) in unexpected {
            fails = true;
            self.page.push(format!("  UNEXPECTED {about}: {news}"));
        }
        for fault in received.faults {
            fails = true;
            self.page.push(format!("  WRONG {fault}"));
        }
        if fails {
            self.print();
            panic!("{name}: not what was expected");
        }
    }

    /// Returns the notifications since the previous scene, and the [`Memory`] after the newest
    /// notification. Also returns the number of messages that the receiver got in all scenes.
    fn received(&self) -> (Received, Memory, usize) {
        let (mut received, mut memory) = (Received::default(), self.memory.clone());
        let messages = self.receiver.messages();
        for message in &messages[self.read..] {
            received.faults.extend(message.fault());
            received.faults.extend(memory.elsewhere(message));
            received.take(message, memory.take(message));
        }
        (received, memory, messages.len())
    }

    /// Prints the texts of all scenes to standard output, even if `cargo test` captures output.
    pub fn print(&self) {
        let mut out = std::io::stdout().lock();
        writeln!(out, "\nnotifications:\n{}\n", self.page.join("\n")).expect("it can be written");
    }
}

impl Received {
    fn take(&mut self, message: &Message, news: Vec<String>) {
        let about = message.about();
        let news = news.into_iter().map(|news| (about.clone(), news));
        self.news.extend(news);
        *self.messages.entry(about.clone()).or_default() += 1;
        let group = (about, message.group_key.clone());
        self.last.insert(group, message.firing().collect());
    }

    fn times(&self, about: &str, news: &str) -> usize {
        let same = |one: &&(String, String)| one.0 == about && one.1 == news;
        self.news.iter().filter(same).count()
    }

    fn firing(&self, about: &str) -> BTreeSet<&str> {
        let groups = self.last.iter().filter(|((of, _), _)| of == about);
        groups
            .flat_map(|(_, firing)| firing.iter().map(String::as_str))
            .collect()
    }
}

impl<'a> Line<'a> {
    fn read(line: &'a str) -> Self {
        let (about, list) = line.split_once(": ").expect("RECEIVER ACCOUNT: NEWS");
        let (mut news, mut firing) = (Vec::new(), BTreeSet::new());
        for one in list.split(", ") {
            match one.split_once(' ').expect("a word and an alert") {
                ("firing", alert) => firing.insert(alert),
                ("still", alert) => {
                    firing.insert(alert);
                    continue;
                }
                ("resolved", alert) => firing.remove(alert),
                (other, _) => panic!("{other} in {line}"),
            };
            news.push(one);
        }
        Self {
            about,
            news,
            firing,
        }
    }

    fn is_met(&self, received: &Received) -> bool {
        let once = |news: &&str| received.times(self.about, news) == 1;
        self.news.iter().all(once) && received.firing(self.about) == self.firing
    }

    fn write(&self, received: &Received, page: &mut Vec<String>) -> bool {
        for news in &self.news {
            let (about, seen) = (self.about, received.times(self.about, news));
            page.push(format!(
                "  {about:<12} expected {news:<50} seen {seen} times"
            ));
        }
        let (messages, firing) = (
            received.messages.get(self.about),
            received.firing(self.about),
        );
        let (messages, expected) = (messages.copied().unwrap_or_default(), self.firing.len());
        page.push(format!(
            "  {:<12} expected {expected} firing in the last message, seen {} in the last of {messages}",
            self.about,
            firing.len()
        ));
        if firing != self.firing {
            page.push(format!("  WRONG {firing:?} and not {:?}", self.firing));
        }
        self.is_met(received)
    }
}
