//! The simulated vendor alone, for an exporter in another process.

use std::{
    fs,
    path::{self, Path},
};

use jiff::Timestamp;
use tokio::net::TcpListener;
use url::Url;

use super::{ExitError, end::Print};
use vobiz_simulator::{AccountPlan, Latency, Options, Pace, Shape, Vendor, World, identity};

use crate::{
    cli::{RowShape, Simulate},
    clock::Clock,
    shutdown::CancellationToken,
};

/// How many accounts are listed.
const LISTED: u32 = 3;

/// Serves the simulated API until `shutdown`.
pub(super) async fn simulate(
    simulate: &Simulate,
    shutdown: CancellationToken,
    out: &mut Print<'_>,
) -> Result<(), ExitError> {
    // First, because a large world takes its time, and a taken port is told at once.
    let listener = listen(simulate).await?;
    let seed = simulate.seed.unwrap_or_else(|| fastrand::u64(..));
    let vendor =
        Vendor::over(listener, world(simulate, seed), options(simulate)?).map_err(|error| {
            ExitError::at_run_time(format!("cannot start the simulated vendor: {error}"))
        })?;
    let configuration = configuration(simulate, &vendor.base_url(), seed);
    write!(out, "{configuration}")?;
    out.flush()?;
    shutdown.cancelled().await;
    vendor.stop().await;
    Ok(())
}

/// What is printed: the configuration of an exporter that asks this vendor.
fn configuration(simulate: &Simulate, base_url: &Url, seed: u64) -> String {
    let (accounts, endpoints) = (simulate.accounts, simulate.endpoints);
    let ca_file = simulate
        .tls_cert_file
        .as_ref()
        .map_or_else(String::new, |file| {
            // A relative path would be looked for beside the exporter's file.
            let file = path::absolute(file).unwrap_or_else(|_| file.clone());
            format!(", ca_file: {:?}", file.display().to_string())
        });
    let mut lines = vec![
        format!("# A simulated vendor answers at {base_url}"),
        format!(
            "# with {accounts} accounts of {endpoints} endpoints (seed {seed}). An exporter's --config.file for it:"
        ),
        format!("api: {{base_url: \"{base_url}\"{ca_file}}}"),
        "accounts:".to_owned(),
    ];
    lines.extend((1..=accounts.min(LISTED)).map(|number| {
        let (auth_id, token) = (auth_id(number), token(number));
        format!("  - {{name: sim-{number}, auth_id: {auth_id}, auth_token: {token}}}")
    }));
    if accounts > LISTED {
        lines.push(format!("  # ... to {}", auth_id(accounts)));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// The wall time, for worlds that run beside ours.
pub(super) fn now() -> Timestamp {
    let millis = Clock::system().now().0;
    Timestamp::from_millisecond(millis).expect("the present is within jiff's range")
}

fn world(simulate: &Simulate, seed: u64) -> World {
    let shape = match simulate.row_shape {
        RowShape::Documented => Shape::Documented,
        RowShape::Captured => Shape::Captured,
    };
    let mut world = World::new(now(), seed);
    for number in 1..=simulate.accounts {
        let plan = AccountPlan::new(auth_id(number), token(number), simulate.endpoints as usize)
            .shape(shape);
        world.settle(if simulate.speed > 0.0 {
            plan
        } else {
            plan.still()
        });
    }
    world
}

/// Of a name that stands for several addresses, the first one that can be listened on.
async fn listen(simulate: &Simulate) -> Result<TcpListener, ExitError> {
    let address = simulate.listen_address.to_string();
    let listeners = crate::http::listen(&address).await;
    let listeners = listeners.map_err(|error| ExitError::at_run_time(error.to_string()))?;
    let first = listeners.into_iter().next();
    first.ok_or_else(|| ExitError::at_run_time(format!("cannot listen on {address}")))
}

fn options(simulate: &Simulate) -> Result<Options, ExitError> {
    let latency = simulate.latency;
    let tls = match (&simulate.tls_cert_file, &simulate.tls_key_file) {
        (Some(certificates), Some(key)) => {
            let tls = identity(&content(certificates)?, &content(key)?);
            Some(tls.map_err(ExitError::at_run_time)?)
        }
        _ => None,
    };
    Ok(Options {
        tls,
        latency: if latency.is_zero() {
            Latency::None
        } else {
            Latency::Fixed(latency)
        },
        pace: Pace::Running(simulate.speed),
        gzip: !simulate.no_gzip,
        ..Options::default()
    })
}

fn content(file: &Path) -> Result<Vec<u8>, ExitError> {
    fs::read(file)
        .map_err(|error| ExitError::at_run_time(format!("cannot read {}: {error}", file.display())))
}

fn auth_id(number: u32) -> String {
    format!("MA_SIM{number:05}")
}

fn token(number: u32) -> String {
    format!("sim-token-{number:05}-not-a-secret")
}
