//! Ways in which a list answer can be wrong although it is an answer.

use super::list::Page;

/// Something wrong with a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageFault {
    /// The first rows again, whatever `offset` was asked for; `meta.offset` claims otherwise.
    IgnoreOffset,
    /// All rows from the offset on, whatever `limit` was asked for.
    IgnoreLimit,
    /// At most so many rows, which `meta.limit` admits.
    ClampLimit(usize),
    /// At most so many rows, though `meta.limit` echoes what was asked for.
    ShortPage(usize),
    /// Something wrong with `total_count`.
    TotalCount(Count),
    /// No `meta` at all.
    NoMeta,
    /// No `objects` at all.
    NoObjects,
    /// `objects` is null.
    NullObjects,
    /// `objects` is empty, though the count is as ever.
    EmptyObjects,
    /// No row of the page can be used.
    BrokenRows,
    /// Every row says that it is unregistered.
    Unregistered,
    /// This JSON stands at this place of the page, besides its rows.
    ExtraRow(usize, String),
    /// The row at this place of the page is missing, and no other takes its place.
    MissingRow(usize),
    /// `meta.next` is this JSON.
    Next(String),
}

/// Something wrong with `total_count`.
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
    /// This number.
    Exactly(u64),
    /// So many more (or less) than there are.
    Off(i64),
    /// Another number for each answer: up to four more than there are.
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
    /// Spoils what is going to be asked for.
    pub(super) fn ask(&self, range: &mut (usize, usize), shown_limit: &mut usize) {
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

    /// Spoils what is going to be written.
    pub(super) fn spoil(&self, page: &mut Page) {
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
