//! The initial accounts and endpoints of the demo, of the command `simulate` and of the tests.

use jiff::{SignedDuration, Timestamp};

use super::account::{Account, Application, Shape, Site, SubAccount};
use super::credentials::Login;
use super::devices::{APPLICATIONS, Role, SITES, role};
use super::endpoint::{Behaviour, Device, Endpoint, Simulation, instant};
use super::world::{EndpointRef, Event, World};

/// The two accounts of [`World::demo`]: a large one and a small one.
pub const DEMO_ACCOUNTS: [Login; 2] = [
    Login {
        auth_id: "MA_DEMO0001",
        token: "demo-token-not-a-secret",
    },
    Login {
        auth_id: "MA_DEMO0002",
        token: "second-demo-token-not-a-secret",
    },
];
/// The sub-account of the first account in [`DEMO_ACCOUNTS`].
pub const DEMO_SUB_ACCOUNT: Login = Login {
    auth_id: "SA_DEMO0001",
    token: "sub-demo-token-not-a-secret",
};
/// The main account of [`World::still`].
pub const TEST_ACCOUNT: Login = Login {
    auth_id: "MA_TEST0001",
    token: "test-token-not-a-secret",
};
/// The sub-account of [`World::still`].
pub const TEST_SUB_ACCOUNT: Login = Login {
    auth_id: "SA_TEST0001",
    token: "sub-test-token-not-a-secret",
};
/// The start of [`World::demo`] and [`World::still`]: Monday 2 March 2026, 10:00 in India.
pub const START: Timestamp = Timestamp::constant(1_772_425_800, 0);

/// The ratio of an account's endpoints to the endpoints of its sub-account, if it has one.
const SUB_ACCOUNT_SHARE: usize = 8;

/// The plan of an account and its initial endpoints.
#[derive(Debug, Clone)]
pub struct AccountPlan {
    auth_id: String,
    token: String,
    sub_account: Option<SubAccount>,
    endpoints: usize,
    shape: Shape,
    still: bool,
}

impl AccountPlan {
    /// Plans an account with this many endpoints and with simulated events.
    pub fn new(auth_id: impl Into<String>, token: impl Into<String>, endpoints: usize) -> Self {
        Self {
            auth_id: auth_id.into(),
            token: token.into(),
            sub_account: None,
            endpoints,
            shape: Shape::default(),
            still: false,
        }
    }

    /// Plans an account with these credentials.
    pub fn of(login: Login, endpoints: usize) -> Self {
        Self::new(login.auth_id, login.token, endpoints)
    }

    /// Sets the sub-account. One endpoint in eight belongs to the sub-account.
    #[must_use]
    pub fn sub_account(mut self, login: Login) -> Self {
        self.sub_account = Some(SubAccount {
            auth_id: login.auth_id.to_owned(),
            token: login.token.to_owned(),
        });
        self
    }

    /// Sets the JSON form of the rows and of the retrieve responses.
    #[must_use]
    pub fn shape(mut self, shape: Shape) -> Self {
        self.shape = shape;
        self
    }

    /// Plans no simulated events: only the caller changes the account.
    #[must_use]
    pub fn still(mut self) -> Self {
        self.still = true;
        self
    }
}

impl World {
    /// Creates the world of the demonstration: `endpoints` endpoints in [`DEMO_ACCOUNTS`], with
    /// simulated events. The first account has nine tenths of the endpoints. Its sub-account is
    /// [`DEMO_SUB_ACCOUNT`].
    pub fn demo(endpoints: usize, seed: u64) -> Self {
        Self::demo_at(endpoints, seed, START)
    }

    /// Creates the world of the demonstration with this start time.
    pub fn demo_at(endpoints: usize, seed: u64, start: Timestamp) -> Self {
        let [large, small] = DEMO_ACCOUNTS;
        let few = endpoints / 10;
        let mut world = Self::new(start, seed);
        world.settle(AccountPlan::of(large, endpoints - few).sub_account(DEMO_SUB_ACCOUNT));
        world.settle(AccountPlan::of(small, few).shape(Shape::Captured));
        world
    }

    /// Creates a world of one account without simulated events: [`TEST_ACCOUNT`] with
    /// [`TEST_SUB_ACCOUNT`].
    pub fn still(endpoints: usize, seed: u64) -> Self {
        Self::still_at(endpoints, seed, START)
    }

    /// Creates the world of [`World::still`] with this start time.
    pub fn still_at(endpoints: usize, seed: u64, start: Timestamp) -> Self {
        let mut world = Self::new(start, seed);
        world.settle(
            AccountPlan::of(TEST_ACCOUNT, endpoints)
                .sub_account(TEST_SUB_ACCOUNT)
                .still(),
        );
        world
    }

    /// Adds an account with its endpoints, their initial registrations and their first events.
    pub fn settle(&mut self, plan: AccountPlan) {
        let mut account = Account::new(plan.auth_id, plan.token);
        account.shape = plan.shape;
        account.sub_accounts.extend(plan.sub_account);
        account.sites = SITES.iter().map(|_| Site { down_until: 0 }).collect();
        account.applications = APPLICATIONS
            .iter()
            .map(|name| Application {
                id: self
                    .rng
                    .u64(10_000_000_000_000_000..99_999_999_999_999_999)
                    .to_string(),
                name: (*name).to_owned(),
            })
            .collect();
        let auth_id = account.auth_id.clone();
        self.add(account);
        let found = self
            .accounts
            .iter()
            .position(|known| known.auth_id == auth_id);
        let found = found.expect("it was added just now");
        let number = u32::try_from(found).expect("memory ends before 2^32 accounts");
        self.add_endpoints(number, plan.endpoints, plan.still);
        if !plan.still {
            self.plan_account_events(number);
        }
    }

    fn add_endpoints(&mut self, account: u32, endpoints: usize, still: bool) {
        for number in 1..=endpoints {
            let role = role(number - 1);
            let id = self.fresh_id(account as usize);
            let endpoint = self.new_endpoint(account as usize, id.clone(), role, number);
            let owner = &mut self.accounts[account as usize];
            owner.push(endpoint);
            let Some(slot) = owner.slot_of(&id) else {
                continue;
            };
            self.initialise(
                EndpointRef {
                    account,
                    slot,
                    generation: 0,
                },
                role,
                number,
                still,
            );
        }
    }

    fn new_endpoint(&mut self, account: usize, id: String, role: Role, number: usize) -> Endpoint {
        let digits = self.rng.u64(1_000_000_000..9_999_999_999);
        let age = SignedDuration::from_secs(self.rng.i64(86_400..400 * 86_400));
        let touched = SignedDuration::from_secs(self.rng.i64(0..86_400));
        let public = match role.site() {
            Some(site) => SITES[usize::from(site)].2,
            None => [203, 0, 113, self.rng.u8(50..250)],
        };
        let private = [192, 168, self.rng.u8(0..20), self.rng.u8(2..250)];
        let mut endpoint = Endpoint::new(id)
            .username(format!("{}_{digits}", role.username(number)))
            .alias(role.alias(number));
        endpoint.created = instant((self.now() - age).as_second());
        endpoint.updated = instant((endpoint.created + touched).as_second());
        endpoint.allowed[2] = number.is_multiple_of(3);
        endpoint.simulation = Simulation {
            behaviour: role.behaviour(),
            site: role.site(),
            lifetime: role.lifetime(),
            generation: 0,
            until: 0,
            device: Device {
                user_agent: role.user_agent(number),
                private,
                public,
                port: self.rng.u16(20_000..60_000),
            },
            second: false,
        };
        let owner = &self.accounts[account];
        if !number.is_multiple_of(12) {
            let application = owner.applications.get(number % APPLICATIONS.len());
            endpoint.application = application.map(|application| application.id.clone());
        }
        if number.is_multiple_of(SUB_ACCOUNT_SHARE) {
            endpoint.sub_account = owner.sub_accounts.first().map(|sub| sub.auth_id.clone());
        }
        endpoint
    }

    /// Sets the initial registration of a new endpoint, and plans its first event, if any.
    fn initialise(&mut self, target: EndpointRef, role: Role, number: usize, still: bool) {
        let now = self.now().as_second();
        let lifetime = i64::from(role.lifetime());
        // The latest renewal was at a random time less than half a lifetime ago.
        let ago = self.rng.i64(0..lifetime / 2);
        let (registered, until) = match role.behaviour() {
            Behaviour::Never => (false, 0),
            Behaviour::Shift(shift) if !still => {
                let (start, end) = shift.around(now, self.zone);
                let there = start <= now && self.rng.u32(..100) >= shift.absence(start, self.zone);
                (
                    there,
                    if there {
                        end + self.rng.i64(-600..900)
                    } else {
                        0
                    },
                )
            }
            _ => (!number.is_multiple_of(9), 0),
        };
        let owner = &mut self.accounts[target.account as usize];
        let Some(endpoint) = owner.slot_mut(target.slot) else {
            return;
        };
        endpoint.simulation.until = until;
        if registered {
            endpoint.registration = Some(endpoint.simulation.registration(now - ago));
        }
        if still {
            endpoint.simulation.behaviour = Behaviour::Still;
            return;
        }
        match role.behaviour() {
            Behaviour::Never | Behaviour::Still => {}
            _ if registered => {
                let refresh = now + lifetime / 2 - ago + self.rng.i64(0..lifetime * 2 / 5);
                self.events.plan(refresh, Event::Refresh(target));
            }
            Behaviour::Shift(shift) => self.plan_next_shift(now, target, shift),
            _ => self
                .events
                .plan(now + self.rng.i64(30..900), Event::Register(target)),
        }
    }
}
