//! One endpoint: its fields, its registration, and its simulated behaviour and device.

use std::net::Ipv4Addr;

use jiff::{SignedDuration, Timestamp};

use super::working_hours::Shift;

/// A SIP endpoint.
///
/// Use [`Account::edit`](super::Account::edit) to change the public fields. The id is not public,
/// because the account has an index of ids.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    pub(super) id: String,
    /// The `username`: a base name with digits that the vendor appends.
    pub username: String,
    /// The `alias`: a readable name.
    pub alias: String,
    /// The id of the attached application, if any.
    pub application: Option<String>,
    /// The auth id of the sub-account that owns the endpoint; `None` for the main account.
    pub sub_account: Option<String>,
    /// The registration that the API shows. If `None`, the API shows the endpoint as unregistered.
    pub registration: Option<Registration>,
    /// The values of `allow_voice`, `allow_message`, `allow_video`, `allow_same_domain`,
    /// `allow_other_domains`, `allow_phones` and `allow_apps`, in this order.
    pub allowed: [bool; 7],
    /// The `created_at` of the row.
    pub created: Timestamp,
    /// The `updated_at` of the row.
    pub updated: Timestamp,
    /// JSON that replaces this endpoint in lists and retrieve responses. The JSON may be invalid.
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

    /// Registers the endpoint with this expiry and the data of a common desk phone.
    #[must_use]
    pub fn registered_until(mut self, expires: Timestamp) -> Self {
        self.registration = Some(Registration::until(expires));
        self
    }

    /// Sets `json` as the row of the endpoint in lists, and as the body of retrieve responses.
    #[must_use]
    pub fn raw(mut self, json: impl Into<String>) -> Self {
        self.raw = Some(json.into());
        self
    }

    /// The `endpoint_id` of the row.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The user agent of the endpoint's first device, even if the device is not registered.
    pub fn device(&self) -> &'static str {
        self.simulation.device.user_agent
    }

    /// Whether the endpoint has a registration. Ignores `raw`.
    pub fn registered(&self) -> bool {
        self.registration.is_some()
    }

    /// If `registered` is false, ends the registration. If `registered` is true, registers the
    /// endpoint until one hour after `now`, unless the endpoint already has a registration.
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
    /// The `received` field: the public source address and port.
    pub received: String,
}

impl Registration {
    /// Creates the registration of a common desk phone with this expiry.
    pub fn until(expires: Timestamp) -> Self {
        Self {
            contact: "192.168.1.100:5060".to_owned(),
            expires: Some(expires),
            user_agent: "Yealink SIP-T46U 108.86.0.20".to_owned(),
            received: "203.0.113.42:5060".to_owned(),
        }
    }
}

/// The pattern of an endpoint's registrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behaviour {
    /// No simulated events.
    Still,
    /// Registered most of the time, because renewals rarely fail.
    AlwaysOn,
    /// Registered during the working hours of an agent, unless the agent is absent.
    Shift(Shift),
    /// Loses its registration every few minutes.
    Flapping,
    /// Two devices replace each other's registration.
    Shared,
    /// The API never shows the endpoint as registered.
    Never,
}

/// The simulation state of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Simulation {
    pub(super) behaviour: Behaviour,
    /// The index of the endpoint's site in the account.
    pub(super) site: Option<u8>,
    /// The lifetime of a registration, in seconds.
    pub(super) lifetime: u16,
    /// A planned event has no effect if this number has changed since the planning of the event.
    pub(super) generation: u32,
    /// The time at which the agent stops work, in Unix seconds; 0 before the first login.
    pub(super) until: i64,
    pub(super) device: Device,
    /// Whether the second device is the registered device.
    pub(super) second: bool,
}

/// A device with its user agent and addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Device {
    pub(super) user_agent: &'static str,
    pub(super) private: [u8; 4],
    pub(super) public: [u8; 4],
    pub(super) port: u16,
}

/// The user agent of the second device of a shared endpoint.
const SECOND_DEVICE: &str = "LinphoneiOS/5.2.3 (iPhone 15)";

impl Simulation {
    /// The simulation state of an endpoint without events.
    pub(super) fn still() -> Self {
        Self {
            behaviour: Behaviour::Still,
            site: None,
            lifetime: 300,
            generation: 0,
            until: 0,
            device: Device {
                user_agent: "Yealink SIP-T46U 108.86.0.20",
                private: [192, 168, 1, 100],
                public: [203, 0, 113, 42],
                port: 5060,
            },
            second: false,
        }
    }

    /// Cancels the planned events of the endpoint, and prevents new events.
    pub(super) fn freeze(&mut self) {
        self.behaviour = Behaviour::Still;
        self.generation += 1;
    }

    /// The registration that the endpoint's current device makes at `now`.
    pub(super) fn registration(&self, now: i64) -> Registration {
        let mut device = self.device;
        if self.second {
            device.user_agent = SECOND_DEVICE;
            device.private[3] ^= 1;
            device.port ^= 1;
        }
        let Device {
            user_agent,
            private,
            public,
            port,
        } = device;
        Registration {
            contact: format!("{}:{port}", Ipv4Addr::from(private)),
            expires: Some(instant(now + i64::from(self.lifetime))),
            user_agent: user_agent.to_owned(),
            received: format!("{}:{port}", Ipv4Addr::from(public)),
        }
    }
}

/// Converts Unix seconds to a timestamp.
pub(super) fn instant(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}
