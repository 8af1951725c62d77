//! Pages through a list, and streams it as CSV.

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};

use super::{
    Answer, BUSY, Context, Csv, Refusal,
    parameters::{MAX_LIMIT, Paging},
};
use crate::fleet::Fleet;

/// The longest time that a list as CSV waits for others.
const PERMIT_WAIT: Duration = Duration::from_secs(5);
/// The longest time in which a client must take a part of a list, which has about 200 KB.
const PART_WITHIN: Duration = Duration::from_secs(10);
const SLOW: &str = "the client reads too slowly";

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
    ) -> impl Future<Output = Result<Page<Self::Item>, Refusal>> + Send;

    /// About the length of the whole list as CSV, in bytes.
    fn csv_bytes(fleet: &Fleet) -> u64;
}

/// Some items of a list.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub(super) struct Page<T> {
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
) -> Page<T> {
    let mut items: Vec<_> = items.take(limit + 1).collect();
    let has_more = items.len() > limit;
    items.truncate(limit);
    Page {
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
        let permit = timeout(PERMIT_WAIT, Arc::clone(streams).acquire_owned()).await;
        let permit = permit.ok().and_then(Result::ok);
        let permit = permit.ok_or(Refusal::Unavailable(BUSY.into()))?;
        let rows = Rows::<L> {
            cursor: cursor.map(str::to_owned),
            has_more: true,
            left: paging.given_limit().unwrap_or(usize::MAX),
            context,
            query,
            _permit: permit,
        };
        return rows.csv().await.map(Answer::Csv);
    }
    let page = L::page(&context, &query, cursor, paging.limit()).await?;
    let text = context.run(move |_| serde_json::to_vec(&page)).await?;
    let text = text.map_err(|_| Refusal::Failed)?;
    Ok(Answer::Json(text.into()))
}

/// The rows of a list that is streamed.
struct Rows<L: List> {
    context: Context,
    query: L::Query,
    /// The cursor of the next page; `None` for the first one.
    cursor: Option<String>,
    has_more: bool,
    /// The maximum number of further items.
    left: usize,
    _permit: OwnedSemaphorePermit,
}

impl<L: List> Rows<L> {
    /// The list as CSV. The first page is made at once, so that its errors become a response.
    async fn csv(mut self) -> Result<Csv, Refusal> {
        let estimate = L::csv_bytes(&self.context.fleet);
        let mut start = header::<L::Item>()?;
        let (rows, warnings) = self.next().await?;
        start.extend(rows);
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(self.send(sender));
        let start = stream::once(async { Ok(Bytes::from(start)) });
        let rest = stream::unfold(Some(receiver), |receiver| async {
            let mut receiver = receiver?;
            match receiver.recv().await {
                Some(Some(part)) => {
                    let is_part = part.is_ok();
                    Some((part, Some(receiver).filter(|_| is_part)))
                }
                Some(None) => None,
                // The sender has given up.
                None => Some((Err(Refusal::Unavailable(SLOW.into())), None)),
            }
        });
        Ok(Csv {
            parts: start.chain(rest).boxed(),
            estimate,
            warnings,
        })
    }

    /// Sends the further rows, and `None` at their end. The permit and the snapshots are free again after the last part,
    /// and after a part that the client does not take in time.
    async fn send(mut self, sender: mpsc::Sender<Option<Result<Bytes, Refusal>>>) {
        while self.has_more && self.left > 0 {
            let part = self.next().await.map(|(rows, _)| Bytes::from(rows));
            let is_last = part.is_err();
            let sent = timeout(PART_WITHIN, sender.send(Some(part))).await;
            if is_last || !matches!(sent, Ok(Ok(()))) {
                return;
            }
        }
        let _ = timeout(PART_WITHIN, sender.send(None)).await;
    }

    /// The lines of the next page, and what the list lacks.
    async fn next(&mut self) -> Result<(Vec<u8>, Vec<String>), Refusal> {
        let limit = self.left.min(MAX_LIMIT);
        let page = L::page(&self.context, &self.query, self.cursor.as_deref(), limit).await?;
        self.left -= page.items.len();
        self.has_more = page.next.is_some();
        self.cursor = page.next;
        let items = page.items;
        let lines = self.context.run(move |_| lines(&items)).await??;
        Ok((lines, page.warnings))
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
