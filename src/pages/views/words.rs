//! What several pages say about accounts and outages, in words.

use std::collections::HashMap;

use super::text::{self, Time};
use crate::{
    clock::UnixMillis,
    fleet::{Fleet, user_agent},
    judgement::Member,
    snapshot::{AccountState, WalkResult},
    telemetry::Condition,
};

impl Fleet {
    /// The time `at` on a page.
    pub(in crate::pages) fn time(&self, at: UnixMillis) -> Time {
        Time::new(at, self.now)
    }

    /// What a person should know about the walks of an account.
    pub(in crate::pages) fn condition(&self, state: &AccountState) -> AccountCondition {
        let condition = state.condition(self.instant);
        let last = state.last_success.map(|last| {
            let at = self.now.minus(last.age(self.instant));
            self.time(at)
        });
        let last_text = last.as_ref().map_or("never".to_owned(), |time| {
            format!("{} ({})", time.clock, time.distance)
        });
        let words = match condition {
            Condition::Ok if state.confirming => format!(
                "a large change waits for a second walk that agrees; the data of {last_text} is still shown"
            ),
            Condition::Ok => format!("last good walk {last_text}"),
            Condition::Starting => "first walk under way".to_owned(),
            Condition::Failing => {
                format!("{}; the data of {last_text} is still shown", failure(state))
            }
            Condition::Stale => format!(
                "{}; no good walk since {last_text}; the data is still shown",
                failure(state)
            ),
            Condition::Withdrawn => format!(
                "{}; no good walk since {last_text}; the data is no longer shown",
                failure(state)
            ),
            Condition::Never => format!("{}; no good walk yet", failure(state)),
            Condition::Refused => format!(
                "{}; check auth id and token; last good walk: {last_text}",
                failure(state)
            ),
        };
        AccountCondition {
            label: condition.label(),
            is_ok: condition == Condition::Ok && !state.confirming,
            // A large change is as bad as a failed walk.
            rank: (condition as usize).min(if state.confirming {
                Condition::Failing as usize
            } else {
                usize::MAX
            }),
            words,
            next_walk: self.next_walk(state),
        }
    }

    fn next_walk(&self, state: &AccountState) -> String {
        state.next_walk_at.map_or(String::new(), |at| {
            let left = at.saturating_duration_since(self.instant);
            if left.is_zero() {
                "under way".to_owned()
            } else {
                format!("in {}", text::duration(left))
            }
        })
    }
}

/// Why the last walk failed, or that no walk has ended.
fn failure(state: &AccountState) -> String {
    let last = state.walks.last().map(|walk| &walk.result);
    match (last, state.failure) {
        (Some(WalkResult::Failed { reason, status, .. }), _) => with_status(reason, *status),
        (_, Some(reason)) => with_status(reason, None),
        (_, None) if state.confirming => "a large change waits for confirmation".to_owned(),
        (_, None) => "no walk has ended in time".to_owned(),
    }
}

/// The reason of a failed walk in words, with the HTTP status.
pub(in crate::pages) fn with_status(reason: &str, status: Option<u16>) -> String {
    let words = text::failure(reason);
    match status {
        Some(status) => format!("{words} (status {status})"),
        None => words.to_owned(),
    }
}

/// What a person should know about the walks of an account.
pub(in crate::pages) struct AccountCondition {
    /// The `condition` label.
    pub(in crate::pages) label: &'static str,
    pub(in crate::pages) is_ok: bool,
    /// The worst condition has rank 0.
    pub(in crate::pages) rank: usize,
    pub(in crate::pages) words: String,
    /// When the next walk starts, or "".
    pub(in crate::pages) next_walk: String,
}

/// The most frequent user agents of the lost `members` of an outage, such as `Yealink T46 (20), Zoiper (1)`.
pub(in crate::pages) fn user_agents(state: &AccountState, members: &[Member]) -> String {
    const SHOWN: usize = 3;
    let mut numbers: HashMap<&str, u64> = HashMap::new();
    // Both are sorted by id, and an outage may have 100,000 members.
    let mut last = state.last_seen.iter().peekable();
    for member in members.iter().filter(|member| member.is_lost) {
        while last.next_if(|(id, _)| **id < member.id).is_some() {}
        let last = last.next_if(|(id, _)| **id == member.id);
        let last = last.and_then(|(_, last)| last.user_agent.as_deref());
        let last = last.filter(|_| state.shown.user_agent);
        if let Some(agent) = last.or_else(|| user_agent(state, &member.id)) {
            *numbers.entry(agent).or_default() += 1;
        }
    }
    let mut numbers: Vec<_> = numbers.into_iter().collect();
    numbers.sort_by(|(a, many), (b, more)| more.cmp(many).then(a.cmp(b)));
    let rest = numbers.len().saturating_sub(SHOWN);
    let shown = numbers.iter().take(SHOWN);
    let mut texts: Vec<_> = shown
        .map(|(agent, number)| format!("{agent} ({number})"))
        .collect();
    if rest > 0 {
        texts.push(format!("{rest} more"));
    }
    texts.join(", ")
}
