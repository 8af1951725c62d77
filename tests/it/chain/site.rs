//! The simulated endpoints of the chain tests.

use std::{net::SocketAddr, path::Path, time::Duration};

use jiff::Timestamp;
use vobiz_simulator::{Account, Endpoint, Options, Vendor, World};

use crate::harness::{accounts_config, auth_id};

/// An alias with characters that need an escape in Slack, HTML or PromQL.
pub const FIRST_PHONE: &str = r#"DEL Tom's "R&D" <!desk>"#;

/// The groups that an operator would configure for these endpoints.
pub const GROUPS: &str = "groups: [\
    {name: pune, match: {alias: 'PUN .*'}, watch: page}, \
    {name: delhi, match: {alias: 'DEL .*'}, watch: page}, \
    {name: mumbai, match: {alias: 'MUM .*'}}, \
    {name: web, match: {alias: 'WEB .*'}, watch: ignore}]";

/// An account with registered endpoints: for each site, the beginning of the aliases, and their number. The ids of a site begin
/// with its first letter.
pub fn world(account: &str, sites: &[(&str, usize)]) -> World {
    let mut world = World::new(Timestamp::now(), 7);
    let now = world.now();
    let mut settled = Account::new(auth_id(account), format!("token-of-{account}"));
    for (site, number) in sites {
        for number in 1..=*number {
            let id = format!("{}{number}", site[..1].to_lowercase());
            let mut endpoint = Endpoint::new(id).alias(format!("{site} {number}"));
            if endpoint.alias == "DEL 1" {
                FIRST_PHONE.clone_into(&mut endpoint.alias);
            }
            (endpoint.created, endpoint.updated) = (now, now);
            let far = now + Duration::from_secs(1_000_000);
            settled.push(endpoint.registered_until(far));
        }
    }
    world.add(settled);
    world
}

/// Registers or unregisters the endpoints with ids that `chosen` accepts. Returns how many these are.
pub fn register(vendor: &Vendor, registered: bool, chosen: impl Fn(&str) -> bool) -> usize {
    vendor.edit(|world| {
        let now = world.now();
        let account = world.first_mut();
        let ids = account.endpoints().map(|one| one.id().to_owned());
        let ids: Vec<_> = ids.filter(|id| chosen(id)).collect();
        for id in &ids {
            account.edit(id, |one| one.set_registered(registered, now));
        }
        ids.len()
    })
}

/// Starts a vendor with this world. If `listen` is `None`, the vendor uses a free port.
pub async fn vendor_of(world: World, listen: Option<SocketAddr>) -> Vendor {
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

/// A configuration with a state directory. The data is withdrawn after five intervals, as by default.
pub fn configuration<'a>(
    vendor: &Vendor,
    state: &Path,
    accounts: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> String {
    let text = accounts_config(vendor, "retries: 0", accounts);
    let text = text.replace("max_age: 15s", "max_age: 25s");
    format!("{text}state: {{directory: '{}'}}\n", state.display())
}
