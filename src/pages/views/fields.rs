//! The fields of the API that metrics show, beside the samples that they became.

use crate::{
    clock::UnixMillis,
    fleet::{Fleet, application_name, username},
    snapshot::{AccountState, Capability, EndpointView},
    telemetry::catalogue::Metric,
};

/// A field of the API and the samples that it became.
pub(in crate::pages) struct FieldRow {
    pub(in crate::pages) field: &'static str,
    pub(in crate::pages) value: String,
    pub(in crate::pages) samples: Vec<String>,
}

/// A field, its value, and the metrics that show it.
type Field = (&'static str, String, &'static [Metric]);

/// The rows of the fields that metrics may show. `samples` are those of the endpoint.
pub(in crate::pages) fn field_rows(
    fleet: &Fleet,
    state: &AccountState,
    endpoint: &EndpointView<'_>,
    samples: &[(Metric, String)],
) -> Vec<FieldRow> {
    let time = |at: Option<UnixMillis>| at.map_or("-".to_owned(), |at| fleet.time(at).clock);
    let mut fields = always(state, endpoint, time);
    optional(state, endpoint, time, &mut fields);
    let of = |metrics: &[Metric]| {
        let samples = samples.iter();
        let samples = samples.filter(|(metric, _)| metrics.contains(metric));
        samples.map(|(_, line)| line.clone()).collect()
    };
    let row = |(field, value, metrics): Field| FieldRow {
        field,
        value,
        samples: of(metrics),
    };
    fields.into_iter().map(row).collect()
}

/// The fields that every endpoint has.
fn always(
    state: &AccountState,
    endpoint: &EndpointView<'_>,
    time: impl Fn(Option<UnixMillis>) -> String,
) -> Vec<Field> {
    let registered = endpoint.registered.map(|one| one.to_string());
    let registered = registered.unwrap_or("neither true nor false".to_owned());
    let application = match (endpoint.application, endpoint.application_known) {
        (_, false) => "unreadable",
        (Some(""), true) => "an object without an id",
        (Some(id), true) => id,
        (None, true) => "none",
    };
    let name = endpoint
        .application
        .and_then(|id| application_name(state, id));
    let application = match name {
        Some(name) => format!("{application} ({name})"),
        None => application.to_owned(),
    };
    let username = (state.shown.username).then(|| {
        let username = or_dash(username(state, endpoint));
        ("username", username, &[][..])
    });
    let id = ("endpoint_id", endpoint.id.to_owned(), &[][..]);
    let mut fields: Vec<Field> = [id].into_iter().chain(username).collect();
    fields.extend([
        (
            "alias",
            or_dash(endpoint.alias),
            &[Metric::EndpointInfo][..],
        ),
        ("sub_account", or_dash(endpoint.sub_account), &[]),
        (
            "sip_registered",
            registered,
            &[Metric::EndpointRegistered, Metric::EndpointRegistrationLost],
        ),
        (
            "sip_expires",
            time(endpoint.expires_at),
            &[
                Metric::EndpointRegistrationExpiration,
                Metric::EndpointDetailTimestamp,
            ],
        ),
        (
            "application",
            application,
            &[
                Metric::EndpointApplicationAssigned,
                Metric::EndpointApplicationInfo,
            ],
        ),
    ]);
    fields
}

/// The fields of the optional groups of metrics that are on.
fn optional(
    state: &AccountState,
    endpoint: &EndpointView<'_>,
    time: impl Fn(Option<UnixMillis>) -> String,
    fields: &mut Vec<Field>,
) {
    let shown = &state.shown;
    if shown.user_agent {
        let last = state.last_seen.get(endpoint.id);
        let last = last.and_then(|last| last.user_agent.as_deref());
        let text = match (endpoint.user_agent, last) {
            (Some(now), _) => now.to_owned(),
            (None, Some(last)) => format!("none now; {last} while it was registered"),
            (None, None) => or_dash(""),
        };
        fields.push(("sip_user_agent", text, &[Metric::EndpointUserAgentInfo]));
    }
    if shown.contact {
        // The sample hides the username in an address, if usernames are hidden.
        let text = "see the sample".to_owned();
        let metrics = &[Metric::EndpointContactInfo];
        fields.push(("sip_contact, sip_received", text, metrics));
    }
    if shown.timestamps {
        let [created, updated] = [endpoint.created_at, endpoint.updated_at].map(time);
        fields.push(("created_at", created, &[Metric::EndpointCreated]));
        fields.push(("updated_at", updated, &[Metric::EndpointUpdated]));
    }
    if shown.permissions {
        let allowed = Capability::ALL.into_iter().zip(endpoint.allowed);
        let allowed = allowed.filter(|(_, allowed)| *allowed == Some(true));
        let allowed: Vec<_> = allowed.map(|(one, _)| one.label()).collect();
        fields.push(("allow_*", allowed.join(", "), &[Metric::EndpointAllowed]));
    }
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-" } else { text }.to_owned()
}
