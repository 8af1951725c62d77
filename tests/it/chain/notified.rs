//! Compares the notifications of a receiver with the expected ones.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    time::Duration,
};

use tokio::time::Instant;

use super::{message::Message, receiver::Receiver};
use crate::harness::until_within;

/// The longest time from an event to its notifications. On an idle machine, they arrive in a third of it.
const TIMEOUT: Duration = Duration::from_secs(180);

/// Reads the messages of a receiver, and remembers the alerts in them.
pub struct Notified {
    case: &'static str,
    receiver: Receiver,
    news: News,
    /// The number of messages that `news` has taken.
    read: usize,
    /// The news that are compared so far.
    compared: usize,
}

/// The changes in messages: alerts that begin to fire or are resolved. A message repeats unchanged alerts, which are no news.
#[derive(Default)]
pub struct News {
    statuses: BTreeMap<(String, String), String>,
}

impl News {
    /// The new alerts of a message, and those with a new status, as `RECEIVER STATUS NAME`.
    pub fn take(&mut self, message: &Message) -> Vec<String> {
        let mut news = Vec::new();
        for alert in &message.alerts {
            let key = (message.receiver.clone(), alert.fingerprint.clone());
            let known = self.statuses.insert(key, alert.status.clone());
            if known.is_none_or(|known| known != alert.status) {
                news.push(format!(
                    "{} {} {}",
                    message.receiver,
                    alert.status,
                    alert.name()
                ));
            }
        }
        news
    }
}

impl Notified {
    pub fn by(receiver: Receiver, case: &'static str) -> Self {
        Self {
            case,
            receiver,
            news: News::default(),
            read: 0,
            compared: 0,
        }
    }

    /// Waits until the receiver has exactly the news `expected`, each as `RECEIVER STATUS NAME` and in any order. Fails if it
    /// has others. Returns the messages. What arrives later fails the next comparison.
    pub async fn expects(&mut self, event: &str, expected: &[&str]) -> Vec<Message> {
        let begun = Instant::now();
        let expected: BTreeSet<String> = expected.iter().map(|one| (*one).to_owned()).collect();
        let (mut seen, mut messages) = (Vec::new(), Vec::new());
        let complete = until_within(TIMEOUT, event, || {
            for message in self.receiver.messages().split_off(self.read) {
                self.read += 1;
                seen.extend(self.news.take(&message));
                messages.push(message);
            }
            let is_complete = expected.iter().all(|one| seen.contains(one));
            let is_wrong = seen.iter().any(|one| !expected.contains(one));
            std::future::ready((is_complete || is_wrong).then_some(()))
        });
        let is_in_time = tokio::time::timeout(
            TIMEOUT.checked_sub(Duration::from_secs(1)).unwrap(),
            complete,
        )
        .await
        .is_ok();
        self.compared += seen.len();
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "{}: {event}: after {} s",
            self.case,
            begun.elapsed().as_secs()
        )
        .unwrap();
        for one in &expected {
            let times = seen.iter().filter(|news| *news == one).count();
            writeln!(out, "    expected {one}, seen {times} times").unwrap();
        }
        let notified: BTreeSet<String> = seen.iter().cloned().collect();
        assert!(
            is_in_time,
            "{event}: {:?} did not arrive",
            expected.difference(&notified)
        );
        assert_eq!(notified, expected, "{event}");
        assert_eq!(seen.len(), expected.len(), "{event}: {seen:?}");
        messages
    }
}
