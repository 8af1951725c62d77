//! Whom the dashboards show here: a small fleet to which a little of everything happens.

use std::time::Duration;

use jiff::Timestamp;
use vobiz_exporter::sim::{Account, Application, Endpoint, Options, Vendor, World};

use crate::stand::{auth_id, household};

/// Registered endpoints of the account `main`, before anything is lost.
pub const PHONES: usize = 8;
/// Browsers, whose state the vendor does not tell.
pub const BROWSERS: usize = 3;
/// Endpoints of the account `branch`; one has no application.
pub const BRANCH: usize = 4;
/// How long ago the registration of one phone ran out that still reads as registered.
pub const OVERDUE: u64 = 3600;

const APPLICATION: &str = "11111111111111111";

/// Both accounts.
pub async fn vendor() -> Vendor {
    let now = Timestamp::now();
    let mut world = World::new(now, 7);
    let far = now + Duration::from_secs(100_000);
    let mut main = account("main");
    for number in 1..=PHONES {
        let expires = if number == 3 {
            now - Duration::from_secs(OVERDUE)
        } else {
            far
        };
        let phone = endpoint(100 + number, format!("Phone {number}"), now);
        main.push(phone.application(APPLICATION).registered_until(expires));
    }
    for number in 1..=BROWSERS {
        let browser = endpoint(200 + number, format!("Web {number}"), now);
        main.push(browser.application(APPLICATION));
    }
    world.add(main);
    let mut branch = account("branch");
    for number in 1..=BRANCH {
        let mut phone = endpoint(300 + number, format!("Branch {number}"), now);
        if number > 1 {
            phone = phone.application(APPLICATION);
        }
        branch.push(phone.registered_until(far));
    }
    world.add(branch);
    // The world stands still; its date would be a clock that runs behind.
    let options = Options {
        date: false,
        ..Options::default()
    };
    Vendor::start(world, options).await.unwrap()
}

fn account(name: &str) -> Account {
    let mut account = Account::new(auth_id(name), format!("token-of-{name}"));
    let (id, name) = (APPLICATION.to_owned(), "Reception".to_owned());
    account.applications.push(Application { id, name });
    account
}

fn endpoint(id: usize, alias: String, now: Timestamp) -> Endpoint {
    let mut endpoint = Endpoint::new(id.to_string()).alias(alias);
    (endpoint.created, endpoint.updated) = (now, now);
    endpoint
}

/// Registers an endpoint of `main`, or ends its registration.
pub fn register(vendor: &Vendor, id: &str, registered: bool) {
    vendor.edit(|world| {
        let now = world.now();
        let account = world.account_mut(&auth_id("main")).unwrap();
        assert!(account.edit(id, |one| one.set_registered(registered, now)));
    });
}

/// How the exporters are set: browsers are a group.
pub fn configuration(vendor: &Vendor) -> String {
    let groups = "groups: [{name: web, match: {alias: 'Web.*'}, watch: ignore}]";
    household(vendor, "", [("main", groups), ("branch", groups)])
}
