//! One endpoint of the model and its registration.

use jiff::{SignedDuration, Timestamp};

use super::behaviour::Simulation;

/// A SIP endpoint.
///
/// [`Account::edit`](super::Account::edit) changes the public fields. The id is fixed, because the
/// account has an index of ids.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    pub(super) id: String,
    /// The `username`: a base name with digits that the vendor appends.
    pub username: String,
    /// The `alias`: a name for people.
    pub alias: String,
    /// The id of the attached application, if any.
    pub application: Option<String>,
    /// The auth id of the sub-account that owns the endpoint; `None` for the main account.
    pub sub_account: Option<String>,
    /// The registration that the API shows; `None` is shown as `"false"`.
    pub registration: Option<Registration>,
    /// The permissions `allow_voice`, `_message`, `_video`, `_same_domain`, `_other_domains`,
    /// `_phones` and `_apps`.
    pub allowed: [bool; 7],
    /// The `created_at` of the row.
    pub created: Timestamp,
    /// The `updated_at` of the row.
    pub updated: Timestamp,
    /// JSON that replaces the row of this endpoint in the list. It may be invalid.
    pub raw: Option<String>,
    pub(super) hidden: bool,
    pub(super) simulation: Simulation,
}

impl Endpoint {
    /// Creates an unregistered endpoint of the main account, without an application and without
    /// simulated events.
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

    /// Sets the alias.
    #[must_use]
    pub fn alias(mut self, alias: impl Into<String>) -> Self {
        self.alias = alias.into();
        self
    }

    /// Sets the username.
    #[must_use]
    pub fn username(mut self, username: impl Into<String>) -> Self {
        self.username = username.into();
        self
    }

    /// Attaches the endpoint to the application with this id.
    #[must_use]
    pub fn application(mut self, id: impl Into<String>) -> Self {
        self.application = Some(id.into());
        self
    }

    /// Registers a common desk phone until `expires`.
    #[must_use]
    pub fn registered_until(mut self, expires: Timestamp) -> Self {
        self.registration = Some(Registration::until(expires));
        self
    }

    /// Replaces the row of the endpoint in the list by `json`.
    #[must_use]
    pub fn raw(mut self, json: impl Into<String>) -> Self {
        self.raw = Some(json.into());
        self
    }

    /// The `endpoint_id` of the row.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The user agent of the endpoint's device, whether registered or not.
    pub fn device(&self) -> &'static str {
        self.simulation.device.user_agent
    }

    /// Whether the API shows the endpoint as registered.
    pub fn registered(&self) -> bool {
        self.registration.is_some()
    }

    /// Registers the endpoint for an hour from `now`, or ends its registration. An existing
    /// registration is kept.
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

/// The registration of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The `sip_contact`: the address and port that the device sent.
    pub contact: String,
    /// The `sip_expires`; `None` is written as null.
    pub expires: Option<Timestamp>,
    /// The `sip_user_agent`.
    pub user_agent: String,
    /// The `received` field: the public source address.
    pub received: String,
}

impl Registration {
    /// Creates the registration of a common desk phone.
    pub fn until(expires: Timestamp) -> Self {
        Self {
            contact: "192.168.1.100:5060".to_owned(),
            expires: Some(expires),
            user_agent: "Yealink SIP-T46U 108.86.0.20".to_owned(),
            received: "203.0.113.42:5060".to_owned(),
        }
    }
}
