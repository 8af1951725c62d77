//! One endpoint of the model, and its registration.

use jiff::{SignedDuration, Timestamp};

use super::behaviour::Simulation;

/// A SIP endpoint.
///
/// [`Account::edit`](super::Account::edit) changes the public fields. The id is fixed, because the list
/// is indexed by it.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    pub(super) id: String,
    /// `username`: a base name with a run of digits appended by the vendor.
    pub username: String,
    /// `alias`: the human name.
    pub alias: String,
    /// The id of the attached application.
    pub application: Option<String>,
    /// The auth id of the sub-account that owns it; `None` for the main account.
    pub sub_account: Option<String>,
    /// The registration that the API shows; `None` is shown as `"false"`.
    pub registration: Option<Registration>,
    /// `allow_voice`, `_message`, `_video`, `_same_domain`, `_other_domains`, `_phones`, `_apps`.
    pub allowed: [bool; 7],
    /// `created_at`.
    pub created: Timestamp,
    /// `updated_at`.
    pub updated: Timestamp,
    /// JSON in the list instead of the row of this endpoint; may be invalid.
    pub raw: Option<String>,
    pub(super) hidden: bool,
    pub(super) simulation: Simulation,
}

impl Endpoint {
    /// An unregistered endpoint of the main account, without an application and without simulated
    /// events.
    pub fn new(id: impl Into<String>) -> Self {
        let id = id.into();
        Self {
            username: format!("phone{id}"),
            alias: format!("Phone {id}"),
            application: None,
            sub_account: None,
            registration: None,
            allowed: [true, true, false, true, false, true, true],
            created: Timestamp::UNIX_EPOCH,
            updated: Timestamp::UNIX_EPOCH,
            raw: None,
            hidden: false,
            simulation: Simulation::still(),
            id,
        }
    }

    /// The same with another alias.
    #[must_use]
    pub fn alias(mut self, alias: impl Into<String>) -> Self {
        self.alias = alias.into();
        self
    }

    /// The same with another username.
    #[must_use]
    pub fn username(mut self, username: impl Into<String>) -> Self {
        self.username = username.into();
        self
    }

    /// The same, attached to the application of this id.
    #[must_use]
    pub fn application(mut self, id: impl Into<String>) -> Self {
        self.application = Some(id.into());
        self
    }

    /// The same, registered until `expires` from an ordinary desk phone.
    #[must_use]
    pub fn registered_until(mut self, expires: Timestamp) -> Self {
        self.registration = Some(Registration::until(expires));
        self
    }

    /// The same with `json` instead of its row.
    #[must_use]
    pub fn raw(mut self, json: impl Into<String>) -> Self {
        self.raw = Some(json.into());
        self
    }

    /// `endpoint_id`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The user agent of its device, registered or not.
    pub fn device(&self) -> &'static str {
        self.simulation.device.user_agent
    }

    /// True if the API shows it as registered.
    pub fn registered(&self) -> bool {
        self.registration.is_some()
    }

    /// Registers it for an hour from `now` (an existing registration is kept), or ends its
    /// registration.
    pub fn set_registered(&mut self, registered: bool, now: Timestamp) {
        if !registered {
            self.registration = None;
        } else if self.registration.is_none() {
            let expires = now.saturating_add(SignedDuration::from_hours(1));
            self.registration = Some(Registration::until(
                expires.expect("a span of hours has no calendar units"),
            ));
        }
    }
}

/// The registration of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// `sip_contact`: address and port as the device sent them.
    pub contact: String,
    /// `sip_expires`; `None` is written as null.
    pub expires: Option<Timestamp>,
    /// `sip_user_agent`.
    pub user_agent: String,
    /// `received`: the public source address.
    pub received: String,
}

impl Registration {
    /// A registration of an ordinary desk phone.
    pub fn until(expires: Timestamp) -> Self {
        Self {
            contact: "192.168.1.100:5060".to_owned(),
            expires: Some(expires),
            user_agent: "Yealink SIP-T46U 108.86.0.20".to_owned(),
            received: "203.0.113.42:5060".to_owned(),
        }
    }
}
