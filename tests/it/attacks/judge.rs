//! Runs attacks beside good clients, and compares the good clients with a quiet phase of the same run.

use std::{fmt::Write as _, time::Duration};

use tokio::{sync::oneshot, task::spawn_blocking, time::sleep};

use super::{
    attack::{Attack, Running},
    client::{Measured, Series, measure},
    stage::Stage,
};

/// Between two walks, the exporter keeps up to this number of connections to the API.
const API_CONNECTIONS: usize = 2;

/// The figures of one phase.
pub struct Phase {
    /// The name of the attack, or `quiet`.
    pub name: &'static str,
    /// Number of connections that the attack opened.
    pub opened: usize,
    /// The times of the good clients.
    pub measured: Measured,
    /// Peak resident memory of the exporter in this phase, in KiB.
    pub memory: u64,
    /// Open file descriptors after the phase.
    pub descriptors: usize,
}

/// A run: a quiet phase, the attacks, and a second quiet phase.
pub struct Run {
    /// The phases without an attack, before and after the attacks.
    pub quiet: [Phase; 2],
    /// One phase for each attack.
    pub attacks: Vec<Phase>,
    /// Open file descriptors without any client.
    pub descriptors: usize,
}

/// The limits for each phase of a run with attacks.
pub struct Limits {
    /// Maximum 99th percentile of each series.
    pub p99: Duration,
    /// Maximum ratio of a median to the larger median of the quiet phases.
    pub median_ratio: f64,
    /// Maximum resident memory, in KiB.
    pub memory: u64,
}

/// Runs all `attacks` in turn, each for `duration`.
pub async fn run(stage: &Stage, endpoints: usize, attacks: Vec<Attack>, duration: Duration) -> Run {
    let text_bytes = stage.text_bytes(endpoints).await * 9 / 10;
    let mut before = phase(stage, None, text_bytes, duration, usize::MAX).await;
    let baseline = stage.fewest_descriptors().await + API_CONNECTIONS;
    before.descriptors = stage.descriptors_after(baseline).await;
    let mut phases = Vec::new();
    for attack in attacks {
        phases.push(phase(stage, Some(attack), text_bytes, duration, baseline).await);
    }
    let after = phase(stage, None, text_bytes, duration, baseline).await;
    Run {
        quiet: [before, after],
        attacks: phases,
        descriptors: baseline,
    }
}

async fn phase(
    stage: &Stage,
    attack: Option<Attack>,
    text_bytes: usize,
    duration: Duration,
    baseline: usize,
) -> Phase {
    let address = stage.address();
    let access = stage.access().clone();
    let (ready, is_ready) = oneshot::channel();
    let mut measuring =
        spawn_blocking(move || measure(address, &access, text_bytes, duration, ready));
    is_ready.await.expect("a scrape without an attack succeeds");
    let running = attack.map(|attack| attack.start(address, stage.access().clone()));
    let mut memory = stage.memory();
    let measured = loop {
        tokio::select! {
            measured = &mut measuring => break measured.expect("the clients do not panic"),
            () = sleep(Duration::from_millis(100)) => memory = memory.max(stage.memory()),
        }
    };
    Phase {
        name: attack.map_or("quiet", |attack| attack.name),
        opened: running.map_or(0, Running::stop),
        measured,
        memory,
        descriptors: stage.descriptors_after(baseline).await,
    }
}

impl Run {
    /// What is wrong, one sentence per fault.
    pub fn faults(&self, limits: &Limits) -> Vec<String> {
        let mut faults = Vec::new();
        for phase in self.phases() {
            for fault in self.faults_of(phase, limits) {
                faults.push(format!("{}: {fault}", phase.name));
            }
        }
        faults
    }

    fn phases(&self) -> impl Iterator<Item = &Phase> {
        let [before, after] = &self.quiet;
        [before].into_iter().chain(&self.attacks).chain([after])
    }

    fn faults_of(&self, phase: &Phase, limits: &Limits) -> Vec<String> {
        let mut faults = Vec::new();
        for (index, (name, series)) in phase.measured.all().into_iter().enumerate() {
            if let Some(failure) = series.failures.first() {
                let (failed, count) = (series.failures.len(), series.count());
                faults.push(format!(
                    "{name}: {failed} of {count} failed, first: {failure}"
                ));
            }
            let p99 = series.quantile(0.99);
            if p99 >= limits.p99 {
                faults.push(format!("{name}: the 99th percentile is {} ms", millis(p99)));
            }
            let ratio = self.ratio(index, series);
            if ratio > limits.median_ratio {
                faults.push(format!(
                    "{name}: the median is {ratio:.0} times the quiet one"
                ));
            }
        }
        if phase.memory > limits.memory {
            faults.push(format!("the memory was {} KiB", phase.memory));
        }
        if phase.descriptors > self.descriptors {
            let (open, quiet) = (phase.descriptors, self.descriptors);
            faults.push(format!("{open} descriptors are open, not at most {quiet}"));
        }
        if phase.name != "quiet" && phase.opened == 0 {
            faults.push("the attack opened no connection".to_owned());
        }
        faults
    }

    /// The ratio of the median of `series` to the larger quiet median of this kind.
    fn ratio(&self, index: usize, series: &Series) -> f64 {
        let quiet = self
            .quiet
            .iter()
            .map(|quiet| quiet.measured.all()[index].1.quantile(0.5));
        let quiet = quiet.max().expect("there are two quiet phases");
        series.quantile(0.5).as_secs_f64() / quiet.as_secs_f64()
    }

    /// The figures of all phases as a Markdown table.
    pub fn table(&self, limits: &Limits) -> String {
        let mut table = String::from(
            "| attack | connections opened | scrapes, new connections | scrapes, kept connection | health checks | \
             peak memory, MiB | descriptors after it | verdict |\n|---|---|---|---|---|---|---|---|\n",
        );
        for phase in self.phases() {
            write!(table, "| {} | {} |", phase.name, phase.opened)
                .expect("a string takes every write");
            for (_, series) in phase.measured.all() {
                let good = series.durations.len();
                let (median, p99) = (series.quantile(0.5), series.quantile(0.99));
                write!(
                    table,
                    " {good}/{}, {} / {} ms |",
                    series.count(),
                    millis(median),
                    millis(p99)
                )
                .expect("a string takes every write");
            }
            let verdict = if self.faults_of(phase, limits).is_empty() {
                "held"
            } else {
                "failed"
            };
            let memory = phase.memory.div_ceil(1024);
            writeln!(table, " {memory} | {} | {verdict} |", phase.descriptors)
                .expect("a string takes every write");
        }
        table
    }
}

/// Milliseconds with one decimal.
fn millis(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64() * 1000.0)
}
