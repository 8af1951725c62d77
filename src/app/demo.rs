//! Everything at once without an account: the simulated vendor with the exporter in front of it.

use super::{ExitError, end::Print, serve, simulate};
use vobiz_simulator::{DEMO_ACCOUNTS, Options, Pace, Vendor, World};

use crate::{
    cli::Demo,
    config::{self, Account, Config, Group, GroupMatch, Pattern, Watch},
    shutdown::CancellationToken,
};

/// What the first and larger account is called.
const MAIN: &str = "main";

/// Starts the simulated vendor on a free port and serves what the exporter makes of it.
pub(super) async fn demo(
    demo: &Demo,
    shutdown: CancellationToken,
    out: &mut Print<'_>,
) -> Result<(), ExitError> {
    let seed = demo.seed.unwrap_or_else(|| fastrand::u64(..));
    let world = World::demo_at(demo.endpoints as usize, seed, simulate::now());
    let options = Options {
        pace: Pace::Running(1.0),
        ..Options::default()
    };
    let vendor = Vendor::start(world, options).await.map_err(|error| {
        ExitError::at_run_time(format!("cannot start the simulated vendor: {error}"))
    })?;
    let config = configuration(&vendor)?;
    let phone = vendor.edit(|world| world.first().at(0).map(|phone| phone.id().to_owned()));
    serve::open(&config, &demo.web, shutdown, |bound, _| {
        writeln!(out, "A simulated vendor answers at {}", vendor.base_url())?;
        writeln!(
            out,
            "with {} endpoints (seed {seed}). Open:",
            demo.endpoints
        )?;
        for address in bound.local_addrs() {
            let port = address.port();
            writeln!(
                out,
                "  http://localhost:{port}/         what the exporter knows, in words"
            )?;
            let path = demo.web.telemetry_path.as_str();
            writeln!(
                out,
                "  http://localhost:{port}{path}  what Prometheus scrapes"
            )?;
            if let Some(phone) = &phone {
                let question = format!("account={MAIN}&endpoint_id={phone}&debug=true");
                writeln!(
                    out,
                    "  http://localhost:{port}/probe?{question}  one phone, asked for now"
                )?;
            }
        }
        writeln!(out, "End it with Ctrl-C.")?;
        out.flush()
    })
    .await
}

/// The configuration that an operator of the demonstration's phones might write.
fn configuration(vendor: &Vendor) -> Result<Config, ExitError> {
    let base_url = vendor.base_url();
    let mut accounts = Vec::new();
    let mut config = None;
    for (login, name) in DEMO_ACCOUNTS.iter().zip([MAIN, "branch"]) {
        let set = [
            ("VOBIZ_AUTH_ID", login.auth_id),
            ("VOBIZ_AUTH_TOKEN", login.token),
            ("VOBIZ_EXPORTER__API__BASE_URL", base_url.as_str()),
            ("VOBIZ_EXPORTER__POLL__INTERVAL", "15s"),
            ("VOBIZ_EXPORTER__PROBE__ENABLED", "true"),
        ];
        let environment = set.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut loaded = config::load(None, &environment)?.config;
        accounts.extend(loaded.accounts.drain(..).map(|account| Account {
            name: name.to_owned(),
            groups: groups(),
            ..account
        }));
        config = Some(loaded);
    }
    let config =
        config.ok_or_else(|| ExitError::at_run_time("the demonstration has no account"))?;
    Ok(Config { accounts, ..config })
}

fn groups() -> Vec<Group> {
    let exactly = |pattern: &str| Some(Pattern::new(pattern).expect("the pattern is a constant"));
    let alias = |name: &str, pattern: &str, watch| Group {
        name: name.to_owned(),
        matches: GroupMatch {
            alias: exactly(pattern),
            ..GroupMatch::default()
        },
        watch,
    };
    let webrtc = GroupMatch {
        username: exactly("web_.*"),
        ..GroupMatch::default()
    };
    vec![
        alias("reception", "(Reception|Front Desk).*", Watch::Page),
        Group {
            name: "webrtc".to_owned(),
            matches: webrtc,
            watch: Watch::Ignore,
        },
        alias("spare", "Spare.*", Watch::Ignore),
        alias("bangalore", "BLR-.*", Watch::Notice),
        alias("delhi", "DEL-.*", Watch::Notice),
    ]
}
