//! Clean records: what leaves the letterbox.

use crate::clock::UnixMillis;

/// One endpoint as the list (or a retrieve) tells it, cleaned.
///
/// Text is cut to 256 bytes at a character boundary (the id is never cut: longer than 128 bytes it
/// rejects the row). Empty text and null are `None`. A time without a zone is taken as UTC and
/// listed in `assumed`; one that cannot be read, or lies not after 1970-01-01, is listed in
/// `rejected`, as is every other value that was present and could not be kept whole.
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
    /// `allow_*`, in the order of [`Capability::ALL`]; `None` where absent.
    pub allowed: [Option<bool>; 7],
    /// Values that were present but dropped or cut.
    pub rejected: Fields,
    /// Values that were read under an assumption (a time without a zone taken as UTC).
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

/// What an endpoint may do; the `capability` label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// `allow_voice`.
    Voice,
    /// `allow_message`.
    Message,
    /// `allow_video`.
    Video,
    /// `allow_same_domain`.
    SameDomain,
    /// `allow_other_domains`.
    OtherDomains,
    /// `allow_phones`.
    Phones,
    /// `allow_apps`.
    Apps,
}

impl Capability {
    /// All of them, in the vendor's order.
    pub const ALL: [Self; 7] = [
        Self::Voice,
        Self::Message,
        Self::Video,
        Self::SameDomain,
        Self::OtherDomains,
        Self::Phones,
        Self::Apps,
    ];

    /// The label's value: the key without `allow_`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Voice => "voice",
            Self::Message => "message",
            Self::Video => "video",
            Self::SameDomain => "same_domain",
            Self::OtherDomains => "other_domains",
            Self::Phones => "phones",
            Self::Apps => "apps",
        }
    }
}

/// A value of a row that can be dropped or assumed; the `field` label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Field {
    /// `username`.
    Username,
    /// `alias`.
    Alias,
    /// `sip_registered`.
    SipRegistered,
    /// `sip_expires` or `sip_registration.expires`.
    SipExpires,
    /// `sip_user_agent` or `sip_registration.user_agent`.
    SipUserAgent,
    /// `sip_contact` or `sip_registration.contact`.
    SipContact,
    /// `sip_registration.received`.
    SipReceived,
    /// `application`, its id or its name.
    Application,
    /// `sub_account`.
    SubAccount,
    /// `created_at`.
    CreatedAt,
    /// `updated_at`.
    UpdatedAt,
    /// Any of `allow_*`.
    Allow,
}

impl Field {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 12] = [
        Self::Username,
        Self::Alias,
        Self::SipRegistered,
        Self::SipExpires,
        Self::SipUserAgent,
        Self::SipContact,
        Self::SipReceived,
        Self::Application,
        Self::SubAccount,
        Self::CreatedAt,
        Self::UpdatedAt,
        Self::Allow,
    ];

    /// The label's value.
    pub fn label(self) -> &'static str {
        match self {
            Self::Username => "username",
            Self::Alias => "alias",
            Self::SipRegistered => "sip_registered",
            Self::SipExpires => "sip_expires",
            Self::SipUserAgent => "sip_user_agent",
            Self::SipContact => "sip_contact",
            Self::SipReceived => "sip_received",
            Self::Application => "application",
            Self::SubAccount => "sub_account",
            Self::CreatedAt => "created_at",
            Self::UpdatedAt => "updated_at",
            Self::Allow => "allow",
        }
    }
}

/// A small set of [`Field`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fields(u16);

impl Fields {
    /// Adds a field.
    pub fn insert(&mut self, field: Field) {
        self.0 |= 1 << field as u8;
    }

    /// Is the field in the set?
    pub fn contains(self, field: Field) -> bool {
        self.0 & (1 << field as u8) != 0
    }
}
