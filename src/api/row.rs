//! A page of the endpoint list, and its rows. The same code reads a row and an endpoint's own record.
//!
//! The reader accepts every documented or observed form of a value. An unreadable row affects no other row.

use std::{
    borrow::Cow,
    fmt,
    hash::{BuildHasher, RandomState},
    sync::LazyLock,
};

use jiff::{fmt::temporal::DateTimeParser, tz::Offset};
use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};
use serde_json::{error::Category, value::RawValue};

use super::{
    error::is_error_body,
    json::{Json, is_integer, pick},
};
use crate::{
    clock::UnixMillis,
    telemetry::{ErrorKind, Field, Rejection},
};

/// A page is an error if it has at least this many rows more than requested. This limits the memory of a page.
const EXTRA_ROWS: usize = 10;
/// The maximum number of stored rows of a page. `api.page_size` is at most 100.
const MAX_ROWS: usize = 100 + EXTRA_ROWS;
const NO_LIST: &str = "not an object with a list `objects`";
/// The maximum length of an id, in bytes.
const MAX_ID: usize = 128;
/// The maximum length of a stored text, in bytes. The rest of a text is cut off.
const MAX_TEXT: usize = 256;
/// The maximum number of digits in the fraction of a second that the parser accepts.
const MAX_FRACTION_DIGITS: usize = 9;

/// The keys that are read from a row. The `allow_*` keys have the order of [`super::Capability::ALL`].
/// `password` is not read, so it is never stored.
const KEYS: [&str; 19] = [
    "endpoint_id",
    "username",
    "alias",
    "sip_registered",
    "sip_contact",
    "sip_expires",
    "sip_user_agent",
    "sip_registration",
    "application",
    "allow_voice",
    "allow_message",
    "allow_video",
    "allow_same_domain",
    "allow_other_domains",
    "allow_phones",
    "allow_apps",
    "sub_account",
    "created_at",
    "updated_at",
];

/// The hasher of [`RowKey`]. Each process has a new seed, so the API cannot construct ids with equal hashes.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// One endpoint, from a row of the list or from its own record.
///
/// Text is cut to 256 bytes at a character boundary. Empty text and `null` are `None`. The id is never cut: a
/// row with an id above 128 bytes is rejected. A time without a zone is read as UTC, and `assumed` lists its
/// field. `rejected` lists the fields of values that were dropped or cut. Unreadable times and times up to
/// 1970-01-01 00:00 UTC are dropped.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Endpoint {
    /// `endpoint_id`, as text, 1 to 128 bytes.
    pub id: String,
    /// `username`: unique within an account and immutable.
    pub username: Option<String>,
    /// `alias`: a name for people. It is editable and not unique.
    pub alias: Option<String>,
    /// `sip_registered`; `None` if it is neither true nor false.
    pub registered: Option<bool>,
    /// `sip_expires`; if unusable or absent, `sip_registration.expires`.
    pub expires_at: Option<UnixMillis>,
    /// `sip_user_agent`; if unusable or absent, `sip_registration.user_agent`.
    pub user_agent: Option<String>,
    /// `sip_contact`; if unusable or absent, `sip_registration.contact`.
    pub contact: Option<String>,
    /// `sip_registration.received`: the address of the device as seen by the registrar.
    pub received: Option<String>,
    /// `application`, which is an id, a URI or an object.
    pub application: Option<Application>,
    /// `sub_account`: the auth id of the owner; `None` for the main account.
    pub sub_account: Option<String>,
    /// The value of `created_at`.
    pub created_at: Option<UnixMillis>,
    /// The value of `updated_at`.
    pub updated_at: Option<UnixMillis>,
    /// `allow_*`, in the order of [`super::Capability::ALL`]; `None` if neither true nor false.
    pub allowed: [Option<bool>; 7],
    /// The fields whose values were dropped or cut.
    pub rejected: Fields,
    /// The fields of times without a zone, which were read as UTC.
    pub assumed: Fields,
}

/// The application that an endpoint is attached to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// `app_id`, the last segment of the URI, or the bare id; "" for an object without an id.
    pub id: String,
    /// `app_name`, if the row has it.
    pub name: Option<String>,
}

/// A small set of [`Field`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fields(u16);

impl Fields {
    /// Adds a field.
    pub fn insert(&mut self, field: Field) {
        self.0 |= 1 << field as u8;
    }

    /// Whether the field is in the set.
    pub fn contains(self, field: Field) -> bool {
        self.0 & (1 << field as u8) != 0
    }
}

/// The response to one request for the list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// Every row in the order received, including rejected rows; at most nine rows more than requested.
    pub rows: Vec<Row>,
    /// `meta.total_count` (or `meta.total`), if it is a non-negative integer, as a number or as text.
    pub total: Option<u64>,
    /// The time in the `Date` header minus the exporter's time when the response arrives, in seconds. The
    /// difference is too low by the network delay and by the fraction of a second that the header lacks.
    pub clock_offset: Option<f64>,
}

/// One row of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The key, which is equal for rows with the same id and for rejected rows with the same bytes.
    pub key: RowKey,
    /// The record, or the reason why the row is rejected.
    pub content: Result<Endpoint, Rejection>,
}

/// A 64-bit hash of the endpoint id of a row, or of all bytes of a rejected row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowKey(pub u64);

impl From<serde_json::Error> for Rejection {
    fn from(_: serde_json::Error) -> Self {
        Self::Undecodable
    }
}

/// Reads the body of a list response. The request asked for `limit` rows. The error does not quote the body.
pub fn read_page(body: &str, limit: u32) -> Result<Page, (ErrorKind, String)> {
    let malformed = |message: &str| (ErrorKind::Malformed, message.to_owned());
    // `serde` would also accept an array, and take the envelope's fields from the array's elements.
    if body.trim_start().starts_with('[') {
        return Err(malformed(NO_LIST));
    }
    let envelope: Envelope<'_> =
        serde_json::from_str(body).map_err(|error| malformed(&syntax_error(&error)))?;
    if is_error_body(&envelope.error, &envelope.status) {
        return Err(malformed("an error where a list was expected"));
    }
    let Some(rows) = envelope.objects else {
        return Err(malformed(NO_LIST));
    };
    if rows.len() >= limit as usize + EXTRA_ROWS {
        let message = "the page holds far more rows than were asked for";
        return Err((ErrorKind::TooLarge, message.to_owned()));
    }
    Ok(Page {
        rows,
        total: total(&envelope.meta),
        clock_offset: None,
    })
}

/// Describes why the JSON of a body has no readable list, without text of the body.
fn syntax_error(error: &serde_json::Error) -> String {
    match error.classify() {
        Category::Eof => "the JSON ends too early".to_owned(),
        Category::Data => NO_LIST.to_owned(),
        Category::Syntax | Category::Io => {
            let (line, column) = (error.line(), error.column());
            format!("not JSON at line {line}, column {column}")
        }
    }
}

fn total(meta: &Json<'_>) -> Option<u64> {
    let keys = nested(meta, &["total_count", "total"]).ok()?;
    keys.iter().find_map(|value| value.word()?.parse().ok())
}

/// The body of a list response. One pass over the body reads these keys and decodes the rows.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    meta: Json<'a>,
    #[serde(borrow, default)]
    error: Json<'a>,
    #[serde(borrow, default)]
    status: Json<'a>,
    #[serde(default, deserialize_with = "read_rows")]
    objects: Option<Vec<Row>>,
}

fn read_rows<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Vec<Row>>, D::Error> {
    input.deserialize_seq(RowReader).map(Some)
}

/// Reads the rows of a list, and stores at most [`MAX_ROWS`].
struct RowReader;

impl<'de> Visitor<'de> for RowReader {
    type Value = Vec<Row>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut rows = Vec::new();
        while let Some(raw) = list.next_element::<&RawValue>()? {
            if rows.len() == MAX_ROWS {
                continue;
            }
            let content = read_endpoint(raw.get());
            let key = RowKey(match &content {
                Ok(endpoint) => HASHER.hash_one(endpoint.id.as_str()),
                Err(_) => HASHER.hash_one(raw.get().as_bytes()),
            });
            rows.push(Row { key, content });
        }
        Ok(rows)
    }
}

/// Reads one element of `objects`, or the record of one endpoint.
pub fn read_endpoint(raw: &str) -> Result<Endpoint, Rejection> {
    if !raw.trim_start().starts_with('{') {
        return Err(Rejection::NotAnObject);
    }
    let [
        id,
        username,
        alias,
        registered,
        contact,
        expires,
        user_agent,
        registration,
        application,
        allowed @ ..,
        sub_account,
        created_at,
        updated_at,
    ] = pick(raw, &KEYS)?;
    let [nested_expires, nested_user_agent, nested_contact, received] = nested(
        &registration,
        &["expires", "user_agent", "contact", "received"],
    )?;
    let in_application = nested(&application, &["app_id", "app_name"])?;
    let in_sub_account = nested(&sub_account, &["auth_id"])?;

    let mut fields = FieldReader::default();
    let mut endpoint = Endpoint {
        id: endpoint_id(&id)?,
        username: fields.text(Field::Username, &[username]),
        alias: fields.text(Field::Alias, &[alias]),
        registered: fields.flag(Field::SipRegistered, &registered),
        expires_at: fields.time(Field::SipExpires, &[expires, nested_expires]),
        user_agent: fields.text(Field::SipUserAgent, &[user_agent, nested_user_agent]),
        contact: fields.text(Field::SipContact, &[contact, nested_contact]),
        received: fields.text(Field::SipReceived, &[received]),
        application: fields.application(&application, in_application),
        sub_account: fields.sub_account(&sub_account, in_sub_account),
        created_at: fields.time(Field::CreatedAt, &[created_at]),
        updated_at: fields.time(Field::UpdatedAt, &[updated_at]),
        allowed: allowed.map(|raw| fields.flag(Field::Allow, &raw)),
        ..Endpoint::default()
    };
    (endpoint.rejected, endpoint.assumed) = (fields.rejected, fields.assumed);
    Ok(endpoint)
}

fn endpoint_id(value: &Json<'_>) -> Result<String, Rejection> {
    let id = match value {
        Json::Text(text) if !text.is_empty() => text,
        Json::Number(number) if is_integer(number) => *number,
        _ => return Err(Rejection::NoId),
    };
    if id.len() > MAX_ID {
        return Err(Rejection::IdTooLong);
    }
    Ok(id.to_owned())
}

/// The values of `keys` in the object `value`. If `value` is not an object, all results are `Null`.
fn nested<'a, const N: usize>(
    value: &Json<'a>,
    keys: &[&str; N],
) -> serde_json::Result<[Json<'a>; N]> {
    match value {
        Json::Object(object) => pick(object, keys),
        _ => Ok([const { Json::Null }; N]),
    }
}

/// Reads the fields of a row. Lists the fields whose values are dropped or cut, and the fields of times without
/// a zone. Absent values, `null` and empty text do not count as dropped.
#[derive(Default)]
struct FieldReader {
    rejected: Fields,
    assumed: Fields,
}

impl FieldReader {
    /// The first candidate that is text and not empty. A number counts as text.
    fn text(&mut self, field: Field, candidates: &[Json<'_>]) -> Option<String> {
        candidates.iter().find_map(|value| match value {
            Json::Null => None,
            Json::Text(text) => self.cut(field, text),
            Json::Number(number) => self.cut(field, number),
            _ => self.reject(field),
        })
    }

    /// Reads true or false in any observed spelling. Any other value is dropped.
    fn flag(&mut self, field: Field, value: &Json<'_>) -> Option<bool> {
        match (value, value.word()) {
            (Json::Null, _) | (_, Some("")) => None,
            (Json::Bool(flag), _) => Some(*flag),
            (_, Some("1")) => Some(true),
            (_, Some("0")) => Some(false),
            (_, Some(word)) if word.eq_ignore_ascii_case("true") => Some(true),
            (_, Some(word)) if word.eq_ignore_ascii_case("false") => Some(false),
            _ => self.reject(field),
        }
    }

    /// The first candidate that is a time as text. A number is dropped, because its unit is unknown.
    fn time(&mut self, field: Field, candidates: &[Json<'_>]) -> Option<UnixMillis> {
        candidates.iter().find_map(|value| {
            let (time, has_zone) = match value {
                Json::Null => return None,
                Json::Text(text) if text.is_empty() => return None,
                Json::Text(text) => parse_time(text),
                _ => None,
            }
            .or_else(|| self.reject(field))?;
            if !has_zone {
                self.assumed.insert(field);
            }
            Some(time)
        })
    }

    /// Reads an application: an id, a URI or an object. If an object has no usable id, the id is empty.
    fn application(&mut self, value: &Json<'_>, [id, name]: [Json<'_>; 2]) -> Option<Application> {
        let field = Field::Application;
        let is_object = matches!(value, Json::Object(_));
        let id = self.reference(field, if is_object { &id } else { value }, "Application");
        let name = self.text(field, &[name]);
        let id = id.or_else(|| is_object.then(String::new))?;
        Some(Application { id, name })
    }

    /// Reads the auth id of a sub-account from the bare id, from the end of a URI, or from an object.
    fn sub_account(&mut self, value: &Json<'_>, [auth_id]: [Json<'_>; 1]) -> Option<String> {
        let field = Field::SubAccount;
        if !matches!(value, Json::Object(_)) {
            return self.reference(field, value, "Subaccount");
        }
        let id = self.reference(field, &auth_id, "Subaccount");
        id.or_else(|| self.reject(field))
    }

    /// Reads the id of another resource, bare or at the end of a URI. `collection` is the segment of the URI
    /// before the id, as in `/v1/Account/MA_1/Application/123/`.
    fn reference(&mut self, field: Field, value: &Json<'_>, collection: &str) -> Option<String> {
        let id = match value {
            Json::Null => return None,
            Json::Number(number) if is_integer(number) => Some(*number),
            Json::Text(text) if text.contains('/') => text
                .rsplit('/')
                .find(|segment| !segment.is_empty())
                .filter(|segment| !segment.eq_ignore_ascii_case(collection)),
            Json::Text(text) => Some(&**text),
            _ => None,
        };
        match id {
            Some(id) => self.cut(field, id),
            None => self.reject(field),
        }
    }

    /// At most [`MAX_TEXT`] bytes of the text; `None` for empty text.
    fn cut(&mut self, field: Field, text: &str) -> Option<String> {
        let mut end = text.len().min(MAX_TEXT);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        if end < text.len() {
            self.rejected.insert(field);
        }
        (end > 0).then(|| text[..end].to_owned())
    }

    fn reject<T>(&mut self, field: Field) -> Option<T> {
        self.rejected.insert(field);
        None
    }
}

/// Reads `2025-10-28T11:30:00Z` and its variants. Also returns whether the text has a zone. The `T` may be a
/// space, the fraction may have any length, and time and zone may be absent. Any other text gives `None`. Times
/// up to 1970-01-01 00:00 UTC give `None`, because the API may use them for an unknown time.
fn parse_time(text: &str) -> Option<(UnixMillis, bool)> {
    const PARSER: DateTimeParser = DateTimeParser::new();
    let text = text.trim();
    let (date, time) = text.split_at_checked("2025-10-28".len())?;
    if !date.starts_with(|first: char| first.is_ascii_digit()) || date.as_bytes()[4] != b'-' {
        return None;
    }
    let has_zone = time.contains(['Z', 'z', '+', '-', '[']);
    let text = with_short_fraction(text);
    let time = if has_zone {
        PARSER.parse_timestamp(text.as_bytes()).ok()?
    } else {
        let civil = PARSER.parse_datetime(text.as_bytes()).ok()?;
        Offset::UTC.to_timestamp(civil).ok()?
    };
    let time = UnixMillis(time.as_millisecond());
    (time.0 > 0).then_some((time, has_zone))
}

/// The text with its fraction cut to [`MAX_FRACTION_DIGITS`] digits.
fn with_short_fraction(text: &str) -> Cow<'_, str> {
    let Some(start) = text.find(['.', ',']).map(|point| point + 1) else {
        return Cow::Borrowed(text);
    };
    let digits = text[start..].bytes().take_while(u8::is_ascii_digit).count();
    if digits <= MAX_FRACTION_DIGITS {
        return Cow::Borrowed(text);
    }
    let (kept, rest) = (start + MAX_FRACTION_DIGITS, start + digits);
    Cow::Owned([&text[..kept], &text[rest..]].concat())
}
