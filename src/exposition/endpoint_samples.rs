//! The samples of a single endpoint, for its page.

use std::iter;

use tokio::time::Instant;

use super::{
    families,
    gzip::Encoding,
    judgements,
    lines::{FamilyWriter, Format},
};
use crate::{
    judgement::{Judgements, Present},
    snapshot::{AccountState, Shown},
    telemetry::catalogue::Metric,
};

/// The sample lines of an endpoint that `/metrics` has, in the order of the catalogue. `present` and `instant` are the
/// present wall time and monotonic time.
pub fn endpoint_samples(
    state: &AccountState,
    endpoint_id: &str,
    present: &Present<'_>,
    instant: Instant,
) -> Vec<(Metric, String)> {
    let mut writer = FamilyWriter::default();
    let snapshot = state.snapshot.as_deref();
    if let Some(snapshot) = snapshot.filter(|_| !state.is_withdrawn(instant)) {
        if let Some(endpoint) = snapshot.endpoint(endpoint_id) {
            families::write_endpoints(state, || iter::once(endpoint), &mut writer);
        }
        if let Some(endpoint) = snapshot.endpoint_with(endpoint_id, &state.details) {
            families::write_endpoint_details(state, || iter::once(endpoint), &mut writer);
        }
    }
    judgements::write(&alone(state, endpoint_id), present, &mut writer);
    let text = writer.encode(Format::Text, Encoding::Identity);
    let text = String::from_utf8_lossy(&text);
    let samples = text.lines().filter(|line| line.contains("endpoint_id="));
    samples.filter_map(sample).collect()
}

/// The state with the judgements about this endpoint, and with the outages.
fn alone(state: &AccountState, endpoint_id: &str) -> AccountState {
    let Judgements {
        missing, changing, ..
    } = &state.judgements;
    let missing = missing.iter().filter(|one| *one.id == *endpoint_id);
    let changing = changing.iter().filter(|one| *one.id == *endpoint_id);
    AccountState {
        account: state.account.clone(),
        shown: Shown {
            username: state.shown.username,
            ..Shown::default()
        }
        .into(),
        judgements: Judgements {
            missing: missing.cloned().collect(),
            changing: changing.cloned().collect(),
            below_minimum: [].into(),
            // The clock may have ended the outage of the endpoint.
            outages: state.judgements.outages.clone(),
        },
        ..AccountState::default()
    }
}

/// The metric of a sample line, and the line.
fn sample(line: &str) -> Option<(Metric, String)> {
    let end = line.find(['{', ' '])?;
    Some((Metric::named(&line[..end])?, line.to_owned()))
}
