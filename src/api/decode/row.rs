//! One row of the list, or the object of a retrieve, which has the same keys.

use std::{
    hash::{BuildHasher, RandomState},
    sync::LazyLock,
};

use super::{
    json::{Json, integer, pick},
    reader::{Reader, Undecodable, nested},
};
use crate::api::{ApplicationForm, Endpoint, Field, Rejection, Row, RowKey, RowShape};

/// The longest id, in bytes.
const MAX_ID: usize = 128;

/// The keys that are read, in the vendor's order; `allow_*` as in [`crate::api::Capability::ALL`].
/// `password` is not among them and is thus never kept.
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

/// Chosen anew by each process, so that no vendor can prepare two ids with the same key.
static FINGERPRINT: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// Reads one element of `objects`; one that cannot be read shows nothing of its shape.
pub(super) fn row(raw: &str) -> (Row, RowShape) {
    let (content, shape) = match read(raw) {
        Ok((endpoint, shape)) => (Ok(endpoint), shape),
        Err(rejection) => (Err(rejection), RowShape::default()),
    };
    let fingerprint = match &content {
        Ok(endpoint) => FINGERPRINT.hash_one(endpoint.id.as_str()),
        Err(_) => FINGERPRINT.hash_one(raw.as_bytes()),
    };
    let key = RowKey(fingerprint);
    (Row { key, content }, shape)
}

/// Reads one endpoint's object.
pub(crate) fn record(raw: &str) -> Result<Endpoint, Rejection> {
    read(raw).map(|(endpoint, _)| endpoint)
}

fn read(raw: &str) -> Result<(Endpoint, RowShape), Rejection> {
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
    let id = endpoint_id(id)?;
    let is_there = |keys: &[Option<&str>]| keys.iter().any(Option::is_some);
    let shape = RowShape {
        registration_keys: is_there(&[contact, expires, user_agent, registration]),
        narrative_keys: is_there(&allowed) || is_there(&[created_at, updated_at]),
        application: application.and_then(form),
    };
    let [nested_expires, nested_user_agent, nested_contact, received] = nested(
        registration,
        &["expires", "user_agent", "contact", "received"],
    )?;

    let mut seen = Reader::default();
    let mut permissions = [None; 7];
    for (permission, raw) in permissions.iter_mut().zip(allowed) {
        *permission = seen.flag(Field::Allow, raw)?;
    }
    let expires_at = match seen.time(Field::SipExpires, expires)? {
        None => seen.time(Field::SipExpires, nested_expires)?,
        known => known,
    };
    let user_agent = match seen.text(Field::SipUserAgent, user_agent)? {
        None => seen.text(Field::SipUserAgent, nested_user_agent)?,
        known => known,
    };
    let contact = match seen.text(Field::SipContact, contact)? {
        None => seen.text(Field::SipContact, nested_contact)?,
        known => known,
    };
    let endpoint = Endpoint {
        id,
        username: seen.text(Field::Username, username)?,
        alias: seen.text(Field::Alias, alias)?,
        registered: seen.flag(Field::SipRegistered, registered)?,
        expires_at,
        user_agent,
        contact,
        received: seen.text(Field::SipReceived, received)?,
        application: seen.application(application)?,
        sub_account: seen.sub_account(sub_account)?,
        created_at: seen.time(Field::CreatedAt, created_at)?,
        updated_at: seen.time(Field::UpdatedAt, updated_at)?,
        allowed: permissions,
        rejected: seen.rejected,
        assumed: seen.assumed,
    };
    Ok((endpoint, shape))
}

/// The form of an application's value; `None` where the value names none.
fn form(raw: &str) -> Option<ApplicationForm> {
    match raw.as_bytes() {
        [b'{', ..] => Some(ApplicationForm::Object),
        b"\"\"" => None,
        [b'"', text @ ..] if text.contains(&b'/') => Some(ApplicationForm::Path),
        [b'"' | b'-' | b'0'..=b'9', ..] => Some(ApplicationForm::Id),
        _ => None,
    }
}

fn endpoint_id(raw: Option<&str>) -> Result<String, Rejection> {
    let id = match raw.map(Json::read).transpose()? {
        Some(Json::Text(text)) if !text.is_empty() => text,
        Some(Json::Number(number)) if integer(number) => number.into(),
        _ => return Err(Rejection::NoId),
    };
    if id.len() > MAX_ID {
        return Err(Rejection::IdTooLong);
    }
    Ok(id.into_owned())
}

impl From<serde_json::Error> for Rejection {
    fn from(_: serde_json::Error) -> Self {
        Self::Undecodable
    }
}

impl From<Undecodable> for Rejection {
    fn from(Undecodable: Undecodable) -> Self {
        Self::Undecodable
    }
}
