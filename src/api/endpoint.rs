//! The record of one endpoint, as every other module sees it.

use crate::{clock::UnixMillis, telemetry::Field};

/// One endpoint, as a row of the list or a single retrieval gives it.
///
/// Text is cut to 256 bytes at a character boundary; empty text and `null` are `None`. The id is never
/// cut: an id of more than 128 bytes rejects the row. A time without a zone is taken as UTC and listed in
/// `assumed`. Every value that was present and not kept whole is listed in `rejected`, among them times
/// that cannot be read and times up to 1970-01-01.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Endpoint {
    /// `endpoint_id`, as text, 1 to 128 bytes.
    pub id: String,
    /// `username`: unique within an account and immutable.
    pub username: Option<String>,
    /// `alias`: the human name, editable, not unique.
    pub alias: Option<String>,
    /// `sip_registered`; `None` when it is neither true nor false.
    pub registered: Option<bool>,
    /// `sip_expires`, or `sip_registration.expires`.
    pub expires_at: Option<UnixMillis>,
    /// `sip_user_agent`, or `sip_registration.user_agent`.
    pub user_agent: Option<String>,
    /// `sip_contact`, or `sip_registration.contact`.
    pub contact: Option<String>,
    /// `sip_registration.received`: the address seen by the registrar.
    pub received: Option<String>,
    /// `application`, in any of its forms.
    pub application: Option<Application>,
    /// `sub_account`: the auth id of the owner; `None` for the main account.
    pub sub_account: Option<String>,
    /// `created_at`.
    pub created_at: Option<UnixMillis>,
    /// `updated_at`.
    pub updated_at: Option<UnixMillis>,
    /// `allow_*`, in the order of [`Capability::ALL`](crate::telemetry::Capability::ALL); `None` where absent.
    pub allowed: [Option<bool>; 7],
    /// Values that were present but dropped or cut.
    pub rejected: Fields,
    /// Values that were read under an assumption.
    pub assumed: Fields,
}

/// The application an endpoint is attached to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// `app_id`, the last segment of the URI, or the bare id; "" for an object without one.
    pub id: String,
    /// `app_name`, where the row has it.
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
