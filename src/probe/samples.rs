//! An outcome as samples.

use std::time::Duration;

use super::{
    line::Wanted,
    outcome::{Outcome, Reason},
};
use crate::{
    api::Endpoint,
    clock::UnixMillis,
    exposition::{FamilyWriter, Value},
    telemetry::catalogue::Metric,
};

/// Every family that the outcome of a probe gives, which took so long.
pub(super) fn samples(wanted: &Wanted, outcome: &Outcome, took: Duration) -> FamilyWriter {
    let mut writer = FamilyWriter::default();
    writer.sample(Metric::ProbeSuccess, &[], Value::flag(outcome.is_ok()));
    let took = Value::Float(took.as_secs_f64());
    writer.sample(Metric::ProbeDuration, &[], took);
    let status = match outcome {
        Ok((_, status)) => Some(*status),
        Err(failure) => failure.status,
    };
    if let Some(status) = status {
        let status = Value::Integer(status.into());
        writer.sample(Metric::ProbeHttpStatusCode, &[], status);
    }
    if let Ok((endpoint, _)) = outcome {
        record(&mut writer, wanted, endpoint);
    }
    let failed = outcome.as_ref().err().map(|failure| failure.reason);
    for reason in Reason::ALL {
        let labels = [("reason", reason.label())];
        let is_it = Value::flag(failed == Some(reason));
        writer.sample(Metric::ProbeFailure, &labels, is_it);
    }
    writer
}

fn record(writer: &mut FamilyWriter, wanted: &Wanted, endpoint: &Endpoint) {
    if let Some(registered) = endpoint.registered {
        let registered = Value::flag(registered);
        writer.sample(Metric::ProbeEndpointRegistered, &[], registered);
    }
    if let Some(expires_at) = expiration(endpoint) {
        let expires_at = Value::Time(expires_at);
        writer.sample(Metric::ProbeRegistrationExpiration, &[], expires_at);
    }
    let mut labels = vec![
        ("account", wanted.account.as_str()),
        ("endpoint_id", endpoint.id.as_str()),
    ];
    let username = endpoint.username.as_deref();
    labels.extend(
        username
            .filter(|_| wanted.username)
            .map(|name| ("username", name)),
    );
    let application = endpoint.application.as_ref();
    let text = |text: &'_ Option<String>| text.as_deref().unwrap_or_default().to_owned();
    let (alias, sub_account) = (text(&endpoint.alias), text(&endpoint.sub_account));
    labels.extend([
        ("alias", alias.as_str()),
        ("sub_account", sub_account.as_str()),
        (
            "application_id",
            application.map_or("", |one| one.id.as_str()),
        ),
    ]);
    if wanted.user_agent {
        labels.push((
            "user_agent",
            endpoint.user_agent.as_deref().unwrap_or_default(),
        ));
    }
    writer.sample(Metric::ProbeEndpointInfo, &labels, Value::ONE);
}

/// When the registration runs out, if there is one: what is left over of an old one is no news.
pub(super) fn expiration(endpoint: &Endpoint) -> Option<UnixMillis> {
    endpoint
        .expires_at
        .filter(|_| endpoint.registered == Some(true))
}
