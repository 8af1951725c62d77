//! `metrics`: what is shown beyond the fixed families.

use std::collections::BTreeSet;

use crate::config::{
    entry::{Entry, Section},
    mistake::Report,
    model::{Metrics, Optional},
};

/// What one layer says.
#[derive(Debug)]
pub(in crate::config) struct MetricsKeys {
    groups: Option<BTreeSet<Optional>>,
    username: Option<bool>,
}

impl MetricsKeys {
    pub(super) fn read(section: &Section<'_>, report: &mut Report) -> Self {
        Self {
            groups: section
                .entry("groups")
                .and_then(|entry| groups(&entry, report)),
            username: section
                .entry("username")
                .and_then(|entry| entry.flag(report)),
        }
    }

    /// What an account shows whose own keys are these.
    pub(in crate::config) fn finish_over(&self, global: &Self) -> Option<Metrics> {
        Some(Metrics {
            groups: self.groups.as_ref().or(global.groups.as_ref())?.clone(),
            username: self.username.or(global.username)?,
        })
    }
}

fn groups(entry: &Entry<'_>, report: &mut Report) -> Option<BTreeSet<Optional>> {
    let known = Optional::ALL.map(Optional::word);
    let before = report.mistakes.len();
    let mut groups = BTreeSet::new();
    entry.each_word(report, |place, word, report| {
        match Optional::ALL.into_iter().find(|group| group.word() == word) {
            Some(group) => _ = groups.insert(group),
            None => place.wrong_word(word, &known, report),
        }
    });
    (report.mistakes.len() == before).then_some(groups)
}
