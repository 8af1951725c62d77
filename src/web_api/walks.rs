//! The last walks of each account.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Context, Refusal, Time,
    accounts_and_groups::sorted,
    events::number,
    list::{List, Page, first, wrong_cursor},
    parameters::{Text, text},
};
use crate::{
    fleet::Fleet,
    snapshot::{PublishedWalk, WalkRecord, WalkResult},
};

/// Stands between the account and the start of the walk in a cursor. No account name has this character.
const SEPARATOR: char = '\t';

/// The walks that an account keeps at most, and about the length of a walk as CSV, in bytes.
const MOST: u64 = 70;
const CSV_BYTES: u64 = 512;

/// The list of walks.
pub(super) struct Walks;

/// Which walks are wanted.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Query {
    /// Name of the account.
    account: Option<Text>,
}

/// A finished walk. The numbers of endpoints are those of a published walk, if nothing else is said.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(rename = "Walk")]
pub(super) struct Walk {
    /// The account.
    account: String,
    /// Its start.
    started_at: Time,
    /// Its duration in seconds.
    duration_seconds: f64,
    /// How it ended. An unconfirmed walk changed so much that a second walk must agree.
    #[schemars(extend("enum" = RESULTS))]
    result: &'static str,
    /// Number of received pages of the list.
    pages: u64,
    /// Number of repeated requests.
    retries: u64,
    /// Why it failed, as the label `reason`.
    reason: Option<&'static str>,
    /// HTTP status of the response that ended it.
    status: Option<u16>,
    /// Text of the error.
    detail: Option<String>,
    /// Number of endpoints.
    endpoints: Option<u64>,
    /// Those that are registered.
    registered: Option<u64>,
    /// Endpoints of the list that the walk did not find.
    missing: Option<u64>,
    /// Endpoints that are kept with older values.
    retained: Option<u64>,
    /// Rows that could not be read.
    rejected_rows: Option<u64>,
    /// New endpoints.
    added: Option<u64>,
    /// Removed endpoints; of an unconfirmed walk, those that it did not find.
    removed: Option<u64>,
    /// Endpoints that lost their registration.
    lost: Option<u64>,
    /// Endpoints that registered.
    gained: Option<u64>,
    /// Endpoints with another application.
    application_changed: Option<u64>,
    /// Endpoints before an unconfirmed walk.
    endpoints_before: Option<u64>,
    /// Endpoints whose registration an unconfirmed walk changed.
    registration_changed: Option<u64>,
}

const RESULTS: [&str; 3] = ["published", "unconfirmed", "failed"];

impl Walk {
    fn new(account: &str, walk: &WalkRecord) -> Self {
        let [is_published, is_unconfirmed, has_failed] = RESULTS;
        let common = |result| Self {
            account: account.to_owned(),
            started_at: Time(walk.started_at),
            duration_seconds: walk.duration.as_secs_f64(),
            result,
            pages: walk.pages,
            retries: walk.retries,
            ..Self::default()
        };
        match &walk.result {
            WalkResult::Published(walk) => published(walk, common(is_published)),
            WalkResult::Unconfirmed {
                endpoints_before,
                removed,
                registration_changed,
            } => Self {
                endpoints_before: Some(*endpoints_before),
                removed: Some(*removed),
                registration_changed: Some(*registration_changed),
                ..common(is_unconfirmed)
            },
            WalkResult::Failed {
                reason,
                status,
                detail,
            } => Self {
                reason: Some(reason),
                status: *status,
                detail: Some(detail.to_string()),
                ..common(has_failed)
            },
        }
    }

    fn cursor(&self) -> String {
        format!("{}{SEPARATOR}{}", self.account, self.started_at.0.0)
    }
}

fn published(walk: &PublishedWalk, common: Walk) -> Walk {
    Walk {
        endpoints: Some(walk.endpoints),
        registered: Some(walk.registered),
        missing: Some(walk.missing),
        retained: Some(walk.retained),
        rejected_rows: Some(walk.rejected_rows),
        added: Some(walk.added),
        removed: Some(walk.removed),
        lost: Some(walk.lost),
        gained: Some(walk.gained),
        application_changed: Some(walk.application),
        ..common
    }
}

impl List for Walks {
    type Query = Query;
    type Item = Walk;

    const PATH: &'static str = "/walks";
    const CURSOR: &'static str = r"^[^\t]+\t[0-9]{1,18}$";
    const SUMMARY: &'static str = "The last 50 walks of each account and 20 failed ones before them, \
        in the order of account names, newest first";

    async fn page(
        context: &Context,
        query: &Query,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Walk>, Refusal> {
        let (wanted, cursor) = (text(query.account.as_ref()), cursor.map(str::to_owned));
        let page = move |fleet: &Fleet| {
            let states = sorted(fleet, &wanted)?;
            let (account, before) = after(cursor.as_deref()).ok_or_else(wrong_cursor)?;
            let walks = states.iter().flat_map(|state| {
                let walks = state
                    .walks
                    .recent()
                    .rev()
                    .chain(state.walks.failures().rev());
                walks.map(|walk| Walk::new(&state.account, walk))
            });
            let rest = walks.filter(|walk| {
                *walk.account > *account
                    || *walk.account == *account && walk.started_at.0.0 < before
            });
            Ok(first(rest, limit, Walk::cursor))
        };
        context.run(page).await?
    }

    fn csv_bytes(fleet: &Fleet) -> u64 {
        fleet.states.len() as u64 * MOST * CSV_BYTES
    }
}

/// The account of the cursor, and the start of its last walk. `None` for a wrong cursor.
fn after(cursor: Option<&str>) -> Option<(&str, i64)> {
    let Some(cursor) = cursor else {
        return Some(("", i64::MAX));
    };
    let (account, start) = cursor.split_once(SEPARATOR)?;
    Some((account, number(start)?))
}
