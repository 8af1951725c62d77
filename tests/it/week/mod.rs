//! A week of a fleet of 500 phones: everything that the alert rules report, without and with ten planned faults.
//!
//! `make week` runs both weeks and prints the lists.

mod alerts;
mod faults;
mod fleet;

use std::io::Write as _;

use jiff::Timestamp;

use self::{
    alerts::{Firing, firings, uses},
    fleet::{END, Fleet, MINUTE},
};
use crate::past::Past;

/// The configuration of the exporter, as an operator would write it.
const CONFIGURATION: &str = include_str!("exporter.yaml");
const STEP: std::time::Duration = std::time::Duration::from_secs(60);

/// Simulates the week, and prints and returns all firings.
fn simulated(title: &str, mut fleet: Fleet) -> Vec<Firing> {
    let folder = tempfile::tempdir().unwrap();
    let keeps = uses();
    let past = Past {
        data: folder.path().join("data"),
        step: STEP,
        configuration: &|vendor| CONFIGURATION.replace("BASE_URL", vendor.base_url().as_str()),
        keeps: &keeps,
    };
    // The seed makes latencies and jitter the same in each run.
    fastrand::seed(7);
    let aliases = fleet.aliases();
    let end = Timestamp::from_second(END).unwrap();
    past.live(fleet.world(), end, &mut |vendor, at| fleet.pass(vendor, at));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let firings = runtime.block_on(firings(&past.data, |id| aliases[id].clone()));
    let mut out = std::io::stdout().lock();
    writeln!(out, "{title}: {} firings", firings.len()).unwrap();
    for together in firings.chunk_by(Firing::is_in_one_message) {
        let more = match together.len() - 1 {
            0 => String::new(),
            more => format!(", and {more} more of the group"),
        };
        writeln!(out, "  {}{more}", together[0]).unwrap();
    }
    firings
}

/// Without faults, each alert has its reason in the plan of the fleet.
#[test]
#[ignore = "it takes minutes: make week"]
fn a_quiet_week_and_a_week_with_ten_faults() {
    let fleet = Fleet::quiet();
    let reasons = fleet.expected();
    let quiet = simulated("the quiet week", fleet);
    // The group `partner` has shifts without `duty`, so the ends of its outages report the phones that are still lost.
    let planned = |one: &&Firing| !one.alias.is_empty() && one.group != "partner";
    for one in quiet.iter().filter(planned) {
        let has_reason = reasons
            .iter()
            .any(|reason| reason.is_about(one) && reason.overlaps(one));
        assert!(has_reason, "no absence of the plan explains {one}");
    }
    let mut fleet = Fleet::quiet();
    let planned = faults::plan(&mut fleet);
    let mut found = simulated("the week with ten faults", fleet);
    assert!(
        quiet.iter().all(|one| !one.is_critical),
        "nothing wakes anybody"
    );
    for fault in &planned {
        let is_near = |a: i64, b: i64| (a - b).abs() <= fault.within * MINUTE;
        let reports = |one: &Firing| {
            one.is_about(&fault.firing)
                && is_near(one.time.0, fault.firing.time.0)
                && is_near(one.time.1, fault.firing.time.1)
        };
        let before = found.len();
        found.retain(|one| !reports(one));
        assert_eq!(before - found.len(), 1, "{}", fault.what);
    }
    // What else is reported is also reported without faults, or differs because phones were lost in a fault.
    let others = found
        .iter()
        .filter(|one| !quiet.iter().any(|known| known.is_about(one)));
    let others: Vec<_> = others.map(ToString::to_string).collect();
    assert!(others.is_empty(), "{}", others.join("\n"));
}
