//! What was expected, against what was heard.

use std::io::Write;

use super::receiver::Receiver;
use crate::stand::until;

/// Compares scene by scene. What is heard after a scene's end belongs to the next, and fails there.
pub struct Ledger {
    receiver: Receiver,
    seen: usize,
    page: Vec<String>,
}

impl Ledger {
    /// An empty one.
    pub fn of(receiver: Receiver) -> Self {
        Self {
            receiver,
            seen: 0,
            page: Vec::new(),
        }
    }

    /// Waits until all of `expected` has been heard, and fails if anything else was, except what
    /// `may` come or not, as it happens.
    pub async fn scene(&mut self, name: &str, expected: &[&str], may: &[&str]) {
        let what = format!("{name}: {expected:?}");
        let heard = || self.receiver.news().split_off(self.seen);
        let waited = tokio::time::timeout(
            std::time::Duration::from_secs(58),
            until(&what, || async {
                let heard = heard();
                let all = expected
                    .iter()
                    .all(|one| heard.iter().any(|news| news == one));
                all.then_some(())
            }),
        );
        let complete = waited.await.is_ok();
        let heard = heard();
        self.seen += heard.len();
        self.page.push(format!("{name}:"));
        let mut fails = !complete;
        for one in expected {
            let found = heard.iter().filter(|news| news == one).count();
            fails |= found != 1;
            self.page
                .push(format!("  expected {one:<58} seen {found} times"));
        }
        for news in heard
            .iter()
            .filter(|news| !expected.contains(&news.as_str()))
        {
            let allowed = may.contains(&news.as_str());
            fails |= !allowed;
            let word = if allowed { "may be" } else { "UNEXPECTED" };
            self.page.push(format!("  {word} {news}"));
        }
        if expected.is_empty() {
            self.page.push("  expected nothing".to_owned());
        }
        if fails {
            self.print();
            panic!("{name}: not what was expected");
        }
    }

    /// Shows it, also where the output of tests is kept back.
    pub fn print(&self) {
        let mut out = std::io::stdout().lock();
        writeln!(out, "\nnotifications:\n{}\n", self.page.join("\n")).expect("it can be written");
    }
}
