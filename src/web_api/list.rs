//! Pages through a list, and streams it as CSV.

use std::{future::Future, sync::Arc};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    Answer, BUSY, Context, Csv, Refusal,
    parameters::{MAX_LIMIT, Paging},
};
use crate::fleet::Fleet;

/// A list of items in a fixed order.
pub(super) trait List: Send + 'static {
    /// The parameters besides those of [`Paging`].
    type Query: DeserializeOwned + JsonSchema + Clone + Send + Sync + 'static;
    /// An item. Its fields are the columns of CSV, so none has fields of its own.
    type Item: Serialize + JsonSchema + Default + Send + 'static;

    /// The path below the folder.
    const PATH: &'static str;
    /// The form of a cursor, as a regular expression.
    const CURSOR: &'static str;
    /// What the list has, in one line.
    const SUMMARY: &'static str;

    /// The items after the `cursor`, at most `limit`.
    fn page(
        context: &Context,
        query: &Self::Query,
        cursor: Option<&str>,
        limit: usize,
    ) -> impl Future<Output = Result<Found<Self::Item>, Refusal>> + Send;

    /// About the length of the whole list as CSV, in bytes.
    fn csv_bytes(fleet: &Fleet) -> u64;
}

/// Some items of a list.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(super) struct Found<T> {
    /// The items.
    pub(super) items: Vec<T>,
    /// The cursor of the next page; `null` for the last page.
    #[serde(rename = "next_cursor")]
    pub(super) next: Option<String>,
    /// What the list lacks, such as the endpoints of an account whose data is too old.
    pub(super) warnings: Vec<String>,
}

/// The answer to a cursor that does not have the form [`List::CURSOR`].
pub(super) fn wrong_cursor() -> Refusal {
    let problem = "the parameter cursor is wrong: use next_cursor of the page before";
    Refusal::BadRequest(problem.to_owned())
}

/// Up to `limit` of the `items`, and the cursor of the last of them if there are more.
pub(super) fn first<T>(
    items: impl Iterator<Item = T>,
    limit: usize,
    cursor: impl Fn(&T) -> String,
) -> Found<T> {
    let mut items: Vec<_> = items.take(limit + 1).collect();
    let has_more = items.len() > limit;
    items.truncate(limit);
    Found {
        next: items.last().filter(|_| has_more).map(cursor),
        items,
        warnings: Vec::new(),
    }
}

/// The answer to a request for the list `L`.
pub(super) async fn answer<L: List>(
    context: Context,
    query: L::Query,
    paging: Paging,
    streams: &Arc<Semaphore>,
) -> Result<Answer, Refusal> {
    let cursor = paging.cursor.as_ref().map(|cursor| &*cursor.0);
    if paging.is_csv() {
        let permit = Arc::clone(streams).try_acquire_owned();
        let permit = permit.map_err(|_| Refusal::Unavailable(BUSY.into()))?;
        let rest = Rest::<L> {
            cursor: cursor.map(str::to_owned),
            has_more: true,
            left: paging.given_limit().unwrap_or(usize::MAX),
            context,
            query,
            _permit: permit,
        };
        return rest.csv().await.map(Answer::Csv);
    }
    let found = L::page(&context, &query, cursor, paging.limit()).await?;
    let text = context.run(move |_| serde_json::to_vec(&found)).await?;
    let text = text.map_err(|_| Refusal::Failed)?;
    Ok(Answer::Json(text.into()))
}

/// The rest of a list that is streamed.
struct Rest<L: List> {
    context: Context,
    query: L::Query,
    /// The cursor of the next page; `None` for the first one.
    cursor: Option<String>,
    has_more: bool,
    /// The maximum number of further items.
    left: usize,
    _permit: OwnedSemaphorePermit,
}

impl<L: List> Rest<L> {
    /// The list as CSV. The first page is made at once, so that its errors become a response.
    async fn csv(mut self) -> Result<Csv, Refusal> {
        let estimate = L::csv_bytes(&self.context.fleet);
        let mut start = header::<L::Item>()?;
        if let Some(rows) = self.rows().await? {
            start.extend(rows);
        }
        let start = stream::once(async { Ok(Bytes::from(start)) });
        let rest = stream::unfold(Some(self), |rest| async {
            let mut rest = rest?;
            match rest.rows().await {
                Ok(Some(rows)) => Some((Ok(rows.into()), Some(rest))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(Csv {
            parts: start.chain(rest).boxed(),
            estimate,
        })
    }

    /// The lines of the next page; `None` at the end.
    async fn rows(&mut self) -> Result<Option<Vec<u8>>, Refusal> {
        if !self.has_more || self.left == 0 {
            return Ok(None);
        }
        let limit = self.left.min(MAX_LIMIT);
        let found = L::page(&self.context, &self.query, self.cursor.as_deref(), limit).await?;
        self.left -= found.items.len();
        self.has_more = found.next.is_some();
        self.cursor = found.next;
        let items = found.items;
        self.context.run(move |_| lines(&items)).await?.map(Some)
    }
}

/// The names of the columns.
fn header<T: Serialize + Default>() -> Result<Vec<u8>, Refusal> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.serialize(T::default()).map_err(|_| Refusal::Failed)?;
    let mut text = csv.into_inner().map_err(|_| Refusal::Failed)?;
    let end = text.iter().position(|byte| *byte == b'\n');
    text.truncate(end.map_or(0, |end| end + 1));
    Ok(text)
}

/// One line for each item.
fn lines<T: Serialize>(items: &[T]) -> Result<Vec<u8>, Refusal> {
    let mut csv = csv::WriterBuilder::new();
    let mut csv = csv.has_headers(false).from_writer(Vec::new());
    for item in items {
        csv.serialize(item).map_err(|_| Refusal::Failed)?;
    }
    csv.into_inner().map_err(|_| Refusal::Failed)
}
