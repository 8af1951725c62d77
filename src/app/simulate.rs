//! The simulated vendor alone, for an exporter in another process.

use std::io::Write;

use jiff::Timestamp;
use tokio::net::lookup_host;

use super::Failure;
use crate::{
    cli::{ListenAddress, RowShape, Simulate},
    clock::Clock,
    shutdown::{Signals, Token},
    sim::{AccountPlan, Latency, Options, Pace, Shape, Vendor, World},
};

/// How many accounts are told one by one.
const TOLD: u32 = 3;

/// Serves the simulated API until a signal.
pub(super) async fn simulate(simulate: &Simulate, out: &mut dyn Write) -> Result<(), Failure> {
    let signals = Signals::listen()?;
    let seed = simulate.seed.unwrap_or_else(|| fastrand::u64(..));
    let vendor = Vendor::start(world(simulate, seed), options(simulate).await?).await?;
    writeln!(out, "A simulated vendor answers at {}", vendor.base_url())?;
    let (accounts, endpoints) = (simulate.accounts, simulate.endpoints);
    writeln!(
        out,
        "with {accounts} accounts of {endpoints} endpoints (seed {seed}):"
    )?;
    for number in 1..=accounts.min(TOLD) {
        writeln!(
            out,
            "  auth id {}  token {}",
            auth_id(number),
            token(number)
        )?;
    }
    if accounts > TOLD {
        writeln!(out, "  ... to {}", auth_id(accounts))?;
    }
    out.flush()?;
    let shutdown = Token::new();
    tokio::select! {
        () = shutdown.cancelled() => {}
        never = signals.obey(shutdown.clone()) => match never {},
    }
    vendor.stop().await;
    Ok(())
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

async fn options(simulate: &Simulate) -> Result<Options, Failure> {
    let listen = match &simulate.listen_address {
        ListenAddress::Everywhere(port) => ([0, 0, 0, 0], *port).into(),
        ListenAddress::Host(host, port) => {
            let mut found = lookup_host((host.as_str(), *port)).await?;
            let nowhere = || Failure::at_run_time(format!("{host} has no address"));
            found.next().ok_or_else(nowhere)?
        }
    };
    let latency = simulate.latency;
    Ok(Options {
        listen,
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

fn auth_id(number: u32) -> String {
    format!("MA_SIM{number:05}")
}

fn token(number: u32) -> String {
    format!("sim-token-{number:05}-not-a-secret")
}
