//! The simulated endpoints of the chain tests.

use jiff::Timestamp;
use vobiz_simulator::{Account, Endpoint, Options, Vendor, World};

use crate::harness::{accounts_config, auth_id};

const ACCOUNTS: [&str; 3] = ["main", "branch", "shift"];
/// The alias of the first phone. Some of its characters need an escape in Slack, HTML or PromQL.
pub const FIRST_PHONE: &str = r#"Tom's "R&D" <!desk> 1"#;

/// Creates three accounts. `main` has phones, WebRTC clients, and receptions with `watch: page`.
/// The endpoints of `branch` never change. `shift` has agents that work in shifts.
pub fn world() -> World {
    let mut world = World::new(Timestamp::now(), 7);
    let now = world.now();
    let far = now + std::time::Duration::from_secs(100_000);
    let names = |name: &str, count: usize| {
        let names = (1..=count).map(|number| format!("{name} {number}"));
        names.collect::<Vec<_>>()
    };
    let mut phones = names("Phone", 18);
    FIRST_PHONE.clone_into(&mut phones[0]);
    let mut number = 100;
    for (account, aliases) in [
        (
            "main",
            [names("Reception", 3), names("Web", 3), phones].concat(),
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

/// Registers or unregisters endpoints of an account. `pleases` selects the endpoints by alias.
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

/// Starts a vendor with this world. If `listen` is `None`, the vendor uses a free port.
pub async fn vendor_of(world: World, listen: Option<std::net::SocketAddr>) -> Vendor {
    let mut options = Options {
        // The simulated time stands still, so a `Date` header would give the exporter a wrong time.
        date: false,
        ..Options::default()
    };
    if let Some(listen) = listen {
        options.listen = listen;
    }
    Vendor::start(world, options).await.unwrap()
}

/// A configuration with which the exporter withdraws data after about five poll intervals. The token
/// of `main` is in a file.
pub fn configuration(vendor: &Vendor, token: &std::path::Path) -> String {
    let groups = "groups: [{name: reception, match: {alias: 'Reception.*'}, watch: page}, \
                  {name: web, match: {alias: 'Web.*'}, watch: ignore}]";
    // The end of a shift changes all endpoints of the account, so a second walk must confirm the
    // change. The confirmation takes ten seconds. On a busy machine, the exporter could withdraw
    // the data first. So `flip_share: 1` disables the confirmation for `shift`.
    let at_once = format!("{groups}, poll: {{flip_share: 1}}");
    let settings = [groups, groups, at_once.as_str()];
    let accounts = ACCOUNTS.into_iter().zip(settings);
    let mut text = accounts_config(vendor, "", accounts);
    let token = format!("auth_token_file: '{}'", token.display());
    for (from, to) in [
        ("max_age: 15s, deadline: 5s", "max_age: 28s, deadline: 5s"),
        ("auth_token: 'token-of-main'", token.as_str()),
    ] {
        assert!(text.contains(from), "{text}");
        text = text.replace(from, to);
    }
    text
}
