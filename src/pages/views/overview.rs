//! The start page: what needs attention, the worst first.

use askama::Template;

use super::{
    Shell,
    groups::{GroupRow, group_rows},
    query::{link, segment},
    text::{Time, counted},
    words::{AccountCondition, user_agents},
};
use crate::{
    config::Watch,
    fleet::{Fleet, Judged, judged, user_agent},
    judgement::{MissingEndpoint, Outage},
    snapshot::AccountState,
};

/// The most rows of each table of the start page. A bad day then fits one screen.
const MOST_MISSED: usize = 10;
const MOST_OUTAGES: usize = 6;
const MOST_ACCOUNTS: usize = 6;
const MOST_GROUPS: usize = 6;

/// The start page.
#[derive(Template)]
#[template(path = "overview.html")]
pub(in crate::pages) struct Overview {
    shell: Shell,
    verdict: Verdict,
    accounts: Vec<AccountRow>,
    more_accounts: usize,
    outages: Vec<OutageRow>,
    more_outages: usize,
    /// `None` if pages show no endpoints.
    missed: Option<Vec<MissedRow>>,
    more_missed: usize,
    groups: Vec<GroupRow>,
    more_groups: usize,
}

/// One sentence about everything.
struct Verdict {
    is_good: bool,
    text: String,
    endpoints: String,
}

pub(in crate::pages) struct AccountRow {
    pub(in crate::pages) name: String,
    /// The link to the walks of the account, below the root.
    pub(in crate::pages) link: String,
    pub(in crate::pages) condition: AccountCondition,
    /// Registered endpoints of all endpoints, or "" without data.
    pub(in crate::pages) endpoints: String,
}

pub(in crate::pages) struct OutageRow {
    pub(in crate::pages) account: String,
    /// "" for an outage of the whole account.
    pub(in crate::pages) group: String,
    pub(in crate::pages) link: String,
    pub(in crate::pages) lost: u64,
    pub(in crate::pages) total: u64,
    pub(in crate::pages) recovered: u64,
    pub(in crate::pages) since: Time,
    pub(in crate::pages) user_agents: String,
    pub(in crate::pages) is_major: bool,
    pub(in crate::pages) is_usual: bool,
}

struct MissedRow {
    name: String,
    link: String,
    username: String,
    group: String,
    watch: Watch,
    since: Time,
    user_agent: String,
    expiry: Option<Time>,
    account: String,
}

impl Overview {
    /// The page. `with_endpoints` is whether it may name endpoints.
    pub(in crate::pages) fn new(fleet: &Fleet, shell: Shell, with_endpoints: bool) -> Self {
        let present = fleet.presents();
        let judged = judged(&present);
        let (mut accounts, registered, endpoints) = account_rows(fleet);
        let mut outages = outage_rows(fleet, &judged);
        let mut groups = group_rows(fleet, &judged);
        let missed: usize = judged.iter().map(|one| one.shown.missed.len()).sum();
        let facts = [
            (outages.len(), "outage"),
            (missed, "missed endpoint"),
            (
                judged.iter().map(|one| one.shown.below_minimum.len()).sum(),
                "group below its minimum",
            ),
            (
                accounts.iter().filter(|one| !one.condition.is_ok).count(),
                "account that needs attention",
            ),
        ];
        let verdict = verdict(&facts, registered, endpoints);
        let more = |len: usize, most: usize| len.saturating_sub(most);
        let (more_accounts, more_outages) = (
            more(accounts.len(), MOST_ACCOUNTS),
            more(outages.len(), MOST_OUTAGES),
        );
        let more_groups = more(groups.len(), MOST_GROUPS);
        accounts.truncate(MOST_ACCOUNTS);
        outages.truncate(MOST_OUTAGES);
        groups.truncate(MOST_GROUPS);
        Self {
            shell,
            verdict,
            accounts,
            more_accounts,
            outages,
            more_outages,
            missed: with_endpoints.then(|| missed_rows(fleet, &judged)),
            more_missed: more(missed, MOST_MISSED),
            groups,
            more_groups,
        }
    }
}

fn verdict(facts: &[(usize, &str)], registered: u64, endpoints: u64) -> Verdict {
    let bad: Vec<_> = (facts.iter())
        .filter(|(number, _)| *number > 0)
        .map(|(number, noun)| match *noun {
            "group below its minimum" if *number > 1 => {
                format!("{number} groups below their minimum")
            }
            "account that needs attention" if *number > 1 => {
                format!("{number} accounts that need attention")
            }
            noun => counted(*number as u64, noun),
        })
        .collect();
    let is_good = bad.is_empty();
    Verdict {
        is_good,
        text: if is_good {
            "Every expected endpoint is registered.".to_owned()
        } else {
            bad.join(", ")
        },
        endpoints: format!(
            "{registered} of {} registered",
            counted(endpoints, "endpoint")
        ),
    }
}

/// The rows of all accounts, the worst first, and the numbers of registered and of all endpoints.
pub(in crate::pages) fn account_rows(fleet: &Fleet) -> (Vec<AccountRow>, u64, u64) {
    let (mut all_registered, mut all) = (0, 0);
    let mut rows: Vec<_> = (fleet.states.iter())
        .map(|state| {
            let snapshot = fleet.snapshot(state);
            let numbers = snapshot.map(|snapshot| {
                let all = snapshot.group_counts(&[]).all;
                (all.registered, all.total())
            });
            let (registered, endpoints) = numbers.unwrap_or_default();
            all_registered += registered;
            all += endpoints;
            AccountRow {
                name: state.account.to_string(),
                link: link("walks", &[("account", &state.account)]),
                condition: fleet.condition(state),
                endpoints: numbers.map_or(String::new(), |(registered, all)| {
                    format!("{registered} of {all}")
                }),
            }
        })
        .collect();
    rows.sort_by_key(|row| row.condition.rank);
    (rows, all_registered, all)
}

/// The rows of the open outages. Those that need attention are first, then those with the most lost endpoints.
pub(in crate::pages) fn outage_rows(fleet: &Fleet, judged: &[Judged<'_>]) -> Vec<OutageRow> {
    let mut rows: Vec<_> = (judged.iter())
        .flat_map(|one| {
            let outages = one.shown.outages.iter();
            outages.map(|outage| outage_row(fleet, one.state, outage))
        })
        .collect();
    rows.sort_by_key(|row| (row.is_usual, !row.is_major, std::cmp::Reverse(row.lost)));
    rows
}

/// The row of an open outage.
pub(in crate::pages) fn outage_row(
    fleet: &Fleet,
    state: &AccountState,
    outage: &Outage,
) -> OutageRow {
    let scope = outage.scope.as_deref();
    let group = state
        .shown
        .groups
        .iter()
        .position(|one| Some(&*one.name) == scope);
    let snapshot = state.snapshot.as_deref();
    // A group that is not configured any more has no endpoints.
    let has_total = scope.is_none() || group.is_some();
    let total = snapshot
        .filter(|_| has_total)
        .map_or(0, |one| one.total_of(group));
    let (lost, recovered) = outage.counts();
    let opened = outage.opened_at.0.to_string();
    let parameters = [
        ("account", &*state.account),
        ("group", scope.unwrap_or("")),
        ("opened", &opened),
    ];
    OutageRow {
        account: state.account.to_string(),
        group: scope.unwrap_or("").to_owned(),
        link: link("outages", &parameters),
        lost,
        total: total.max(lost),
        recovered,
        since: fleet.time(outage.started_at),
        user_agents: user_agents(state, &outage.members),
        is_major: outage.is_major,
        is_usual: outage.is_usual,
    }
}

/// The rows of missed endpoints: paged ones first, then the longest missed.
fn missed_rows(fleet: &Fleet, judged: &[Judged<'_>]) -> Vec<MissedRow> {
    let mut all: Vec<_> = (judged.iter())
        .flat_map(|one| {
            one.shown
                .missed
                .iter()
                .map(|(missed, since)| (one.state, *missed, *since))
        })
        .collect();
    let key =
        |(_, missed, since): &(&AccountState, &MissingEndpoint, _)| (missed.watch as usize, *since);
    if all.len() > MOST_MISSED {
        all.select_nth_unstable_by_key(MOST_MISSED, key);
        all.truncate(MOST_MISSED);
    }
    all.sort_by_key(key);
    let row = |(state, missed, since): (&AccountState, &MissingEndpoint, _)| {
        let snapshot = state.snapshot.as_deref();
        let endpoint = snapshot.and_then(|one| one.endpoint(&missed.id));
        let alias = endpoint.map_or("", |endpoint| endpoint.alias);
        let last = state.last_seen.get(&missed.id);
        MissedRow {
            name: if alias.is_empty() { &*missed.id } else { alias }.to_owned(),
            link: format!(
                "endpoints/{}/{}",
                segment(&state.account),
                segment(&missed.id)
            ),
            username: if state.shown.username {
                missed.username.to_string()
            } else {
                String::new()
            },
            group: missed.group.to_string(),
            watch: missed.watch,
            since: fleet.time(since),
            user_agent: user_agent(state, &missed.id).unwrap_or("").to_owned(),
            expiry: last
                .and_then(|last| last.expires_at)
                .map(|at| fleet.time(at)),
            account: state.account.to_string(),
        }
    };
    all.into_iter().map(row).collect()
}
