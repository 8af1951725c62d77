//! One page of the endpoint list.

use super::Endpoint;

/// What one list request gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// Every row in the order received, readable or not; at most nine more than were asked for.
    pub rows: Vec<Row>,
    /// `meta.total_count` (or `meta.total`), where it is a number.
    pub total: Option<u64>,
    /// The answer's `Date` header minus our clock when its head arrived, in seconds. Too low by up
    /// to a second, because the header has no fraction, and by the way back.
    pub clock_offset: Option<f64>,
    /// Which of the documented shapes the readable rows have.
    pub shape: RowShape,
}

/// Which keys the readable rows of a page have: the vendor's documents contradict each other here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RowShape {
    /// A row has `sip_expires`, `sip_user_agent`, `sip_contact` or `sip_registration`, be it `null`.
    pub registration_keys: bool,
    /// A row has `created_at`, `updated_at` or one of `allow_*`, as the narrative documents have it.
    pub narrative_keys: bool,
    /// How the first row that is attached to an application names it; `None` where none is.
    pub application: Option<ApplicationForm>,
}

impl RowShape {
    /// What is seen in these rows and in one more.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            registration_keys: self.registration_keys || other.registration_keys,
            narrative_keys: self.narrative_keys || other.narrative_keys,
            application: self.application.or(other.application),
        }
    }
}

/// How a row names its application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApplicationForm {
    /// An object with `app_id`, and perhaps `app_name`.
    Object,
    /// A path that ends in the id.
    Path,
    /// The id alone, as text or as a number.
    Id,
}

/// One row: something to recognise it by, and what could be read of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Equal for the same endpoint on two pages; for a rejected row, equal for the same bytes.
    pub key: RowKey,
    /// The record, or why there is none.
    pub content: Result<Endpoint, Rejection>,
}

/// A row's fingerprint: 64 bits of its endpoint id, or of its bytes if it has no usable id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowKey(pub u64);

/// Why a row gave no record; each is a value of the `reason` label of
/// `vobiz_walk_rejected_rows`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// The row is not a JSON object.
    NotAnObject,
    /// No `endpoint_id`, or one that is neither text nor an integer, or empty.
    NoId,
    /// An `endpoint_id` of more than 128 bytes.
    IdTooLong,
    /// Not decodable: a lone surrogate, absurd nesting.
    Undecodable,
    /// The id stood on two rows in two walks one after the other; the newest row was kept.
    Duplicate,
}

impl Rejection {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 5] = [
        Self::NotAnObject,
        Self::NoId,
        Self::IdTooLong,
        Self::Undecodable,
        Self::Duplicate,
    ];

    /// The `reason` label's value.
    pub fn label(self) -> &'static str {
        match self {
            Self::NotAnObject => "not_an_object",
            Self::NoId => "no_id",
            Self::IdTooLong => "id_too_long",
            Self::Undecodable => "undecodable",
            Self::Duplicate => "duplicate",
        }
    }
}
