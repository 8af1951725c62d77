//! Open and past outages.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Context, Refusal, Time,
    events::{number, unreadable},
    list::{List, Page, first, wrong_cursor},
    parameters::{Text, text},
};
use crate::{
    clock::UnixMillis,
    fleet::Fleet,
    judgement, snapshot,
    state::{OutageQuery, PastOutage, ScopeFilter},
};

/// The start of a cursor among past outages, before the number of the last one.
const PAST: &str = "past ";
/// A number above that of each past outage.
const NEWEST: i64 = 999_999_999_999_999_999;

/// The list of outages.
pub(super) struct Outages;

/// Which outages are wanted.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Query {
    /// Name of the account, also of one that is no longer configured.
    account: Option<Text>,
    /// Name of the group when the outage began. The text `(none)` stands for outages of whole accounts.
    group: Option<Text>,
    /// Only open outages, or only past ones.
    state: Option<WantedState>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum WantedState {
    Open,
    Past,
}

/// An outage.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(rename = "Outage")]
pub(super) struct Outage {
    /// The account.
    account: String,
    /// The group that lost its endpoints, by its name at the beginning; `null` for the whole account.
    group: Option<String>,
    /// Whether the outage is open.
    open: bool,
    /// The first loss.
    started_at: Time,
    /// Start of the walk that found the outage.
    opened_at: Time,
    /// The end of a past outage.
    ended_at: Option<Time>,
    /// Whether endpoints were lost that are expected, or at least half of the account.
    major: bool,
    /// Whether the same group or account had an outage at the same time a day or a week before.
    usual: bool,
    /// Number of endpoints that the outage has lost in all.
    endpoints: u64,
    /// Those that are lost, or were at the end.
    lost: u64,
}

impl Outage {
    fn open(state: &snapshot::AccountState, outage: &judgement::Outage) -> Self {
        Self {
            account: state.account.to_string(),
            group: outage.scope.as_deref().map(str::to_owned),
            open: true,
            started_at: Time(outage.started_at),
            opened_at: Time(outage.opened_at),
            ended_at: None,
            major: outage.is_major,
            usual: outage.is_usual,
            endpoints: outage.members.len() as u64,
            lost: outage.counts().0,
        }
    }

    /// The place of an open outage in the list. It is also its cursor.
    fn key(&self) -> String {
        let group = self.group.as_deref().unwrap_or("");
        let UnixMillis(opened) = self.opened_at.0;
        format!("{}\t{group}\t{opened:020}", self.account)
    }
}

impl From<PastOutage> for Outage {
    fn from(past: PastOutage) -> Self {
        Self {
            account: past.account,
            group: past.scope,
            open: false,
            started_at: Time(past.started_at),
            opened_at: Time(past.opened_at),
            ended_at: Some(Time(past.ended_at)),
            major: past.is_major,
            usual: past.is_usual,
            endpoints: past.endpoints,
            lost: past.lost_at_end,
        }
    }
}

impl Query {
    fn scope(&self) -> ScopeFilter {
        match self.group.as_ref().map(|group| &*group.0) {
            None => ScopeFilter::Any,
            Some(crate::fleet::NONE) => ScopeFilter::Account,
            Some(group) => ScopeFilter::Group(group.to_owned()),
        }
    }
}

impl List for Outages {
    type Query = Query;
    type Item = Outage;

    const PATH: &'static str = "/outages";
    const CURSOR: &'static str = r"^(past [0-9]{1,18}|[^\t]+\t[^\t]*\t[0-9]{20})$";
    const SUMMARY: &'static str = "The open outages, then the past ones, the last one first; \
        without a state directory, no past ones";

    async fn page(
        context: &Context,
        query: &Query,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Outage>, Refusal> {
        let before = cursor.and_then(|cursor| cursor.strip_prefix(PAST));
        let of_open = cursor.filter(|_| before.is_none());
        if of_open.is_some_and(|cursor| cursor.split('\t').count() != 3) {
            return Err(wrong_cursor());
        }
        let before = before.map(|id| number(id).ok_or_else(wrong_cursor));
        let before = before.transpose()?;
        let mut found = Page::default();
        if before.is_none() && query.state != Some(WantedState::Past) {
            let (query, cursor) = (query.clone(), cursor.map(str::to_owned));
            let open = context.run(move |fleet| open(fleet, &query, cursor.as_deref(), limit));
            found = open.await?;
        }
        let is_open_only = query.state == Some(WantedState::Open);
        let Some(past) = context.past.as_ref().filter(|_| !is_open_only) else {
            return Ok(found);
        };
        if found.next.is_some() {
            return Ok(found);
        }
        let free = limit - found.items.len();
        let wanted = OutageQuery {
            account: query.account.as_ref().map(|account| account.0.clone()),
            scope: query.scope(),
            limit: free + 1,
            before,
            ..OutageQuery::default()
        };
        let past = past
            .outages(wanted)
            .await
            .map_err(|error| unreadable(&error))?;
        let has_more = past.len() > free;
        let last = past.iter().take(free).next_back().map(|last| last.id);
        found
            .items
            .extend(past.into_iter().take(free).map(Outage::from));
        if has_more {
            // Without a past outage on this page, the next page begins with the newest one.
            let last = last.unwrap_or(NEWEST);
            found.next = Some(format!("{PAST}{last}"));
        }
        Ok(found)
    }

    fn csv_bytes(_: &Fleet) -> u64 {
        // The largest number of past outages.
        10_000 * 200
    }
}

/// The open outages after the cursor.
fn open(fleet: &Fleet, query: &Query, cursor: Option<&str>, limit: usize) -> Page<Outage> {
    let account = text(query.account.as_ref());
    let scope = query.scope();
    let mut outages = Vec::new();
    for state in &fleet.states {
        if !account.is_empty() && *state.account != *account {
            continue;
        }
        let present = fleet.present(state);
        let shown = state.judgements.shown(&present);
        outages.extend(
            shown
                .outages
                .into_iter()
                .map(|one| Outage::open(state, one)),
        );
    }
    outages.retain(|one| match &scope {
        ScopeFilter::Any => true,
        ScopeFilter::Account => one.group.is_none(),
        ScopeFilter::Group(group) => one.group.as_ref() == Some(group),
    });
    outages.sort_by_cached_key(Outage::key);
    let rest = outages.into_iter();
    let rest = rest.filter(|one| cursor.is_none_or(|cursor| *one.key() > *cursor));
    first(rest, limit, Outage::key)
}
