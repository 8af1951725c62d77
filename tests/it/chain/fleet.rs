//! Whom the story is about.

use jiff::Timestamp;
use vobiz_exporter::sim::{Account, Endpoint, Options, Vendor, World};

use crate::stand::{auth_id, household};

const ACCOUNTS: [&str; 3] = ["main", "branch", "shift"];

/// Three receptions to be woken for, three browsers, and phones; a branch that nothing happens to; and
/// a dozen agents who work in shifts.
pub fn world() -> World {
    let mut world = World::new(Timestamp::now(), 7);
    let now = world.now();
    let far = now + std::time::Duration::from_secs(100_000);
    let names = |name: &str, count: usize| {
        let names = (1..=count).map(|number| format!("{name} {number}"));
        names.collect::<Vec<_>>()
    };
    let mut number = 100;
    for (account, aliases) in [
        (
            "main",
            [names("Reception", 3), names("Web", 3), names("Phone", 18)].concat(),
        ),
        ("branch", names("Branch", 12)),
        ("shift", names("Agent", 12)),
    ] {
        let mut settled = Account::new(auth_id(account), format!("token-of-{account}"));
        for alias in aliases {
            number += 1;
            let mut endpoint = Endpoint::new(number.to_string()).alias(alias);
            (endpoint.created, endpoint.updated) = (now, now);
            settled.push(endpoint.registered_until(far));
        }
        world.add(settled);
    }
    world
}

/// Registers endpoints, or ends their registrations; those whose alias pleases.
pub fn register(vendor: &Vendor, account: &str, registered: bool, pleases: impl Fn(&str) -> bool) {
    vendor.edit(|world| {
        let now = world.now();
        let account = world.account_mut(&auth_id(account)).unwrap();
        let chosen = account.endpoints().filter(|one| pleases(&one.alias));
        let chosen: Vec<_> = chosen.map(|one| one.id().to_owned()).collect();
        assert!(!chosen.is_empty());
        for id in chosen {
            account.edit(&id, |one| one.set_registered(registered, now));
        }
    });
}

/// A vendor with this world, on an address of its choice if none is given.
pub async fn vendor_of(world: World, listen: Option<std::net::SocketAddr>) -> Vendor {
    let mut options = Options {
        // The world stands still; its date would be a clock that runs behind.
        date: false,
        ..Options::default()
    };
    if let Some(listen) = listen {
        options.listen = listen;
    }
    Vendor::start(world, options).await.unwrap()
}

/// Old after three intervals, withdrawn after a little more.
pub fn configuration(vendor: &Vendor) -> String {
    let groups = "groups: [{name: reception, match: {alias: 'Reception.*'}, watch: page}, \
                  {name: web, match: {alias: 'Web.*'}, watch: ignore}]";
    household(vendor, "", ACCOUNTS.map(|name| (name, groups)))
        .replace("max_age: 15s, deadline: 5s", "max_age: 28s, deadline: 5s")
}
