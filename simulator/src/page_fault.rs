//! Faults in the content of a list page: wrong counts, wrong paging, and wrong rows.

/// A fault in a list page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageFault {
    /// The page always has the first rows, but `meta.offset` is the requested offset.
    IgnoreOffset,
    /// The page has all rows from the offset on, but `meta.limit` is the requested limit.
    IgnoreLimit,
    /// The page has at most this many rows, and `meta.limit` is at most this number.
    ClampLimit(usize),
    /// The page has at most this many rows, but `meta.limit` is the requested limit.
    ShortPage(usize),
    /// The page has a faulty `total_count`.
    TotalCount(Count),
    /// The page has no `meta`.
    NoMeta,
    /// The page has no `objects`.
    NoObjects,
    /// The member `objects` is null.
    NullObjects,
    /// The member `objects` is an empty list, but `total_count` is unchanged.
    EmptyObjects,
    /// Every row of the page is invalid.
    BrokenRows,
    /// All rows show their endpoints as unregistered. Rows from `Endpoint::raw` do not change.
    Unregistered,
    /// The page has an additional row with this JSON at this position.
    ExtraRow(usize, String),
    /// The row at this position is missing.
    MissingRow(usize),
    /// The member `meta.next` is this JSON.
    Next(String),
}

/// A fault in `total_count`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Count {
    /// The member `total_count` is missing.
    Missing,
    /// The member `total_count` is null.
    Null,
    /// The member `total_count` is a string of digits.
    Text,
    /// The correct number is in the member `total` instead of `total_count`.
    Renamed,
    /// The member `total_count` is this number.
    Exactly(u64),
    /// The member `total_count` is the correct number plus this difference.
    Off(i64),
    /// The member `total_count` is the correct number plus 0 to 4. It changes in each response.
    Wandering,
}

/// The parts of a page that page faults use or change before the vendor writes the page as JSON.
pub(super) struct Page {
    /// The number from `World::next_response_number`.
    pub(super) response_number: u64,
    pub(super) total: u64,
    /// The JSON member `total_count`, with a leading comma.
    pub(super) count: String,
    pub(super) next: String,
    pub(super) meta: bool,
    /// JSON that replaces the rows. `""` keeps the rows, `None` omits the member `objects`.
    pub(super) objects: Option<String>,
    pub(super) rows: Vec<Vec<u8>>,
}

/// The rows of [`PageFault::BrokenRows`].
const BROKEN: [&str; 6] = [
    "null",
    "{}",
    "\"row\"",
    r#"{"endpoint_id":null,"sip_registered":"true"}"#,
    r#"{"endpoint_id":"100000000000001","alias":"\ud800"}"#,
    "[[]]",
];

impl PageFault {
    /// Changes `range` (offset and limit of the rows) and `shown_limit` (the limit in `meta`).
    pub(super) fn change_range(&self, range: &mut (usize, usize), shown_limit: &mut usize) {
        match self {
            Self::IgnoreOffset => range.0 = 0,
            Self::IgnoreLimit => range.1 = usize::MAX,
            Self::ShortPage(limit) => range.1 = range.1.min(*limit),
            Self::ClampLimit(limit) => {
                range.1 = range.1.min(*limit);
                *shown_limit = (*shown_limit).min(*limit);
            }
            _ => {}
        }
    }

    /// Changes the count, the link `next`, the members or the rows of the page.
    pub(super) fn change_page(&self, page: &mut Page) {
        match self {
            Self::TotalCount(count) => page.count = count.json(page.total, page.response_number),
            Self::NoMeta => page.meta = false,
            Self::NoObjects => page.objects = None,
            Self::NullObjects => page.objects = Some("null".to_owned()),
            Self::EmptyObjects => page.objects = Some("[]".to_owned()),
            Self::BrokenRows => {
                for (row, broken) in page.rows.iter_mut().zip(BROKEN.iter().cycle()) {
                    *row = (*broken).to_owned().into_bytes();
                }
            }
            Self::ExtraRow(place, json) => {
                let place = (*place).min(page.rows.len());
                page.rows.insert(place, json.clone().into_bytes());
            }
            Self::MissingRow(place) if *place < page.rows.len() => {
                page.rows.remove(*place);
            }
            Self::Next(json) => page.next.clone_from(json),
            _ => {}
        }
    }
}

impl Count {
    fn json(&self, total: u64, response_number: u64) -> String {
        match self {
            Self::Missing => String::new(),
            Self::Null => ",\"total_count\":null".to_owned(),
            Self::Text => format!(",\"total_count\":\"{total}\""),
            Self::Renamed => format!(",\"total\":{total}"),
            Self::Exactly(number) => format!(",\"total_count\":{number}"),
            Self::Off(by) => format!(",\"total_count\":{}", total.saturating_add_signed(*by)),
            Self::Wandering => format!(",\"total_count\":{}", total + response_number % 5),
        }
    }
}
