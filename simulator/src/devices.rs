//! The roles of simulated endpoints. A role determines names, device, behaviour and site.

use super::endpoint::Behaviour;
use super::working_hours::Shift;

/// The purpose of an endpoint. [`MIX`] determines how many endpoints have each role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A desk phone at one of the [`SITES`].
    Site(u8),
    /// An agent of a call centre, registered during a shift.
    Agent(Shift),
    /// A softphone on a desktop computer.
    Desktop,
    /// A softphone on a mobile phone.
    Mobile,
    /// A phone at a reception desk.
    Reception,
    /// A cordless phone with a weak signal, which often loses its registration.
    Cordless,
    /// An endpoint that two devices use.
    Shared,
    /// A WebRTC client. The API never shows it as registered.
    Web,
    /// An unused endpoint. It never registers.
    Spare,
}

/// The sites of an account: alias prefix, city and public address.
pub(super) const SITES: [(&str, &str, [u8; 4]); 3] = [
    ("BLR", "Bengaluru", [203, 0, 113, 10]),
    ("DEL", "Delhi", [198, 51, 100, 20]),
    ("MUM", "Mumbai", [192, 0, 2, 30]),
];

const MIX: [Role; 50] = {
    use Role::{Agent, Cordless, Desktop, Mobile, Reception, Shared, Site, Spare, Web};
    const MORNING: Role = Agent(Shift::Morning);
    const EVENING: Role = Agent(Shift::Evening);
    const NIGHT: Role = Agent(Shift::Night);
    [
        Reception,
        Site(0),
        MORNING,
        Site(1),
        Desktop,
        Web,
        Site(2),
        Site(0),
        EVENING,
        Mobile,
        Site(0),
        MORNING,
        Spare,
        Site(1),
        Cordless,
        Site(0),
        NIGHT,
        Site(2),
        Desktop,
        Web,
        Site(0),
        MORNING,
        Site(1),
        Shared,
        Site(0),
        EVENING,
        Site(2),
        Mobile,
        MORNING,
        Site(0),
        Reception,
        Site(1),
        NIGHT,
        Web,
        Site(0),
        MORNING,
        Site(2),
        Desktop,
        EVENING,
        Site(1),
        Site(0),
        Spare,
        MORNING,
        Site(2),
        Mobile,
        NIGHT,
        Web,
        Site(1),
        EVENING,
        Desktop,
    ]
};

const PEOPLE: [&str; 24] = [
    "Aarav", "Priya", "John", "Jane", "Rohan", "Ananya", "Vikram", "Meera", "Kabir", "Isha",
    "Arjun", "Divya", "Sanjay", "Fatima", "Rahul", "Neha", "Joseph", "Lakshmi", "Imran", "Kavya",
    "Suresh", "Zoya", "Dev", "Maria",
];

const CITIES: [&str; 8] = [
    "Bengaluru",
    "Delhi",
    "Mumbai",
    "Chennai",
    "Hyderabad",
    "Pune",
    "Kolkata",
    "Kochi",
];

/// The names of the applications that `World::settle` creates in each account.
pub(super) const APPLICATIONS: [&str; 4] = ["Support", "Sales Dialer", "IVR Main", "Voicemail"];

/// The role of the endpoint with this number, counted from 0.
pub(super) fn role(number: usize) -> Role {
    MIX[number % MIX.len()]
}

impl Role {
    /// The alias of the endpoint with this number in its account, counted from 1.
    pub(super) fn alias(self, number: usize) -> String {
        let person = PEOPLE[number.wrapping_mul(7) % PEOPLE.len()];
        match self {
            Self::Site(site) => format!("{}-{number:04}", SITES[usize::from(site)].0),
            Self::Agent(_) => format!("Agent {number:03} {person}"),
            Self::Desktop => format!("{person}'s Desktop Phone"),
            Self::Mobile => format!("{person}'s Mobile"),
            Self::Reception => {
                format!("Reception {}", CITIES[number / 30 % CITIES.len()])
            }
            Self::Cordless => format!("Warehouse DECT {number}"),
            Self::Shared => format!("Front Desk {number}"),
            Self::Web => format!("Web Dialer {number}"),
            Self::Spare => format!("Spare {number}"),
        }
    }

    /// The username that the customer requests. The vendor appends digits to it.
    pub(super) fn username(self, number: usize) -> String {
        let person = PEOPLE[number.wrapping_mul(7) % PEOPLE.len()].to_lowercase();
        match self {
            Self::Site(site) => {
                format!("{}{number:04}", SITES[usize::from(site)].0.to_lowercase())
            }
            Self::Agent(_) => format!("agent_{person}"),
            Self::Desktop => format!("desk_{person}"),
            Self::Mobile => format!("mobile_{person}"),
            Self::Reception => "reception".to_owned(),
            Self::Cordless => "dect".to_owned(),
            Self::Shared => "frontdesk".to_owned(),
            Self::Web => "web".to_owned(),
            Self::Spare => "spare".to_owned(),
        }
    }

    pub(super) fn behaviour(self) -> Behaviour {
        match self {
            Self::Site(_) | Self::Desktop | Self::Mobile | Self::Reception => Behaviour::AlwaysOn,
            Self::Agent(shift) => Behaviour::Shift(shift),
            Self::Cordless => Behaviour::Flapping,
            Self::Shared => Behaviour::Shared,
            Self::Web | Self::Spare => Behaviour::Never,
        }
    }

    /// The site of an endpoint with this role, if any.
    pub(super) fn site(self) -> Option<u8> {
        match self {
            Self::Site(site) => Some(site),
            _ => None,
        }
    }

    /// The lifetime of a registration, in seconds.
    pub(super) fn lifetime(self) -> u16 {
        match self {
            Self::Cordless | Self::Shared => 60,
            Self::Mobile => 120,
            Self::Agent(_) => 300,
            Self::Web => 180,
            Self::Desktop | Self::Reception | Self::Spare | Self::Site(_) => 600,
        }
    }

    /// The user agent of the endpoint's device.
    pub(super) fn user_agent(self, number: usize) -> &'static str {
        let choice: &[&str] = match self {
            Self::Site(_) | Self::Spare | Self::Reception => &[
                "Yealink SIP-T46U 108.86.0.20",
                "Grandstream GXP2170 1.0.11.64",
                "Cisco-CP8851-3PCC/12.0.1",
            ],
            Self::Agent(_) => &["Zoiper v5.6.6", "MicroSIP/3.21.3"],
            Self::Desktop | Self::Shared => &[
                "Zoiper v5.4.5",
                "Linphone-Desktop/5.2.4 (Windows 11) LinphoneCore/5.3.47",
            ],
            Self::Mobile => &["LinphoneAndroid/5.2.5 (Pixel 8)", "Zoiper rv2.10.20.5"],
            Self::Cordless => &["Gigaset N870 IP PRO/2.55.0"],
            Self::Web => &["JsSIP 3.10.1", "SIP.js/0.21.2"],
        };
        choice[number / 3 % choice.len()]
    }
}
