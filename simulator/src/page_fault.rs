//! Faults in the content of a list page.

use super::list::Page;

/// A fault in a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageFault {
    /// Always the first rows; `meta.offset` is the requested offset.
    IgnoreOffset,
    /// All rows from the offset on, whatever the requested `limit` is.
    IgnoreLimit,
    /// At most this many rows; `meta.limit` shows it.
    ClampLimit(usize),
    /// At most this many rows; `meta.limit` is the requested limit.
    ShortPage(usize),
    /// A fault in `total_count`.
    TotalCount(Count),
    /// No `meta` at all.
    NoMeta,
    /// No `objects` at all.
    NoObjects,
    /// `objects` is null.
    NullObjects,
    /// `objects` is empty; the count is unchanged.
    EmptyObjects,
    /// Every row of the page is invalid.
    BrokenRows,
    /// Every row is unregistered.
    Unregistered,
    /// An additional row with this JSON at this position.
    ExtraRow(usize, String),
    /// The row at this position is missing.
    MissingRow(usize),
    /// `meta.next` is this JSON.
    Next(String),
}

/// A fault in `total_count`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Count {
    /// The key is absent.
    Missing,
    /// Null.
    Null,
    /// A string of digits.
    Text,
    /// The key is `total`.
    Renamed,
    /// A fixed number.
    Exactly(u64),
    /// The correct number plus this offset.
    Off(i64),
    /// A different number in each response: the correct one plus 0 to 4.
    Wandering,
}

const BROKEN: [&str; 6] = [
    "null",
    "{}",
    "\"row\"",
    r#"{"endpoint_id":null,"sip_registered":"true"}"#,
    r#"{"endpoint_id":"100000000000001","alias":"\ud800"}"#,
    "[[]]",
];

impl PageFault {
    /// Changes the selected rows and the shown limit.
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

    /// Changes the page before it is written.
    pub(super) fn change_page(&self, page: &mut Page) {
        match self {
            Self::TotalCount(count) => page.count = count.json(page.total, page.answer),
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
    fn json(&self, total: u64, answer: u64) -> String {
        match self {
            Self::Missing => String::new(),
            Self::Null => ",\"total_count\":null".to_owned(),
            Self::Text => format!(",\"total_count\":\"{total}\""),
            Self::Renamed => format!(",\"total\":{total}"),
            Self::Exactly(number) => format!(",\"total_count\":{number}"),
            Self::Off(by) => format!(",\"total_count\":{}", total.saturating_add_signed(*by)),
            Self::Wandering => format!(",\"total_count\":{}", total + answer % 5),
        }
    }
}
