//! The page of one endpoint: what the API says, the samples made from it, the judgements and why, and its events.

use askama::Template;

use super::{
    Shell,
    events::Events,
    fields::{FieldRow, field_rows},
    query::segment,
    text::{counted, duration},
};
use crate::{
    config::{Group, GroupMatch, Pattern, Watch},
    exposition::endpoint_samples,
    fleet::{Fleet, name, registration},
    judgement::{MissingEndpoint, Part, Shown},
    snapshot::{AccountState, EndpointView},
    telemetry::catalogue::Metric,
};

/// The page of one endpoint.
#[derive(Template)]
#[template(path = "endpoint.html")]
pub(in crate::pages) struct EndpointPage {
    shell: Shell,
    account: String,
    id: String,
    name: String,
    registration: &'static str,
    /// Why all values are old; `None` for present ones.
    warning: Option<String>,
    is_missed: bool,
    reasons: Vec<Reason>,
    fields: Vec<FieldRow>,
    /// The samples about judgements, which come from no field.
    judged: Vec<String>,
    detail: String,
    events: Events,
    /// The path to which the button sends its request; `None` while probes are off.
    probe: Option<String>,
    /// The answer of the API to the button: in words, and the whole text of the probe.
    answer: Option<(String, String)>,
}

/// A fact about the endpoint, and why it holds.
struct Reason {
    title: &'static str,
    text: String,
}

impl EndpointPage {
    /// The page; `None` if no account with this name has the endpoint. `answer` is the answer of the API to the button,
    /// and `has_probe` is whether the page has a button.
    pub(in crate::pages) fn new(
        fleet: &Fleet,
        shell: Shell,
        (account, id): (&str, &str),
        events: Events,
        (has_probe, answer): (bool, Option<String>),
    ) -> Option<Self> {
        let state = fleet.account(account)?;
        let snapshot = state.snapshot.as_deref()?;
        let endpoint = snapshot.endpoint_with(id, &state.details)?;
        let present = fleet.present(state);
        let shown = state.judgements.shown(&present);
        let samples = endpoint_samples(state, id, &present, fleet.instant);
        let is_missed = shown.missed.iter().any(|(one, _)| *one.id == *id);
        let of_judgements = [Metric::EndpointMissed, Metric::EndpointFlapping];
        let judged = samples
            .iter()
            .filter(|(metric, _)| of_judgements.contains(metric));
        Some(Self {
            account: account.to_owned(),
            id: id.to_owned(),
            name: name(&endpoint).to_owned(),
            registration: registration(&endpoint),
            warning: state
                .is_withdrawn(fleet.instant)
                .then(|| fleet.condition(state).words),
            is_missed,
            reasons: reasons(fleet, state, &endpoint, &shown),
            judged: judged.map(|(_, line)| line.clone()).collect(),
            fields: field_rows(fleet, state, &endpoint, &samples),
            detail: detail(fleet, state, id),
            events,
            probe: has_probe.then(|| format!("endpoints/{}/{}", segment(account), segment(id))),
            answer: answer.map(|text| (in_words(&text), text)),
            shell,
        })
    }
}

/// What the text of a probe says about the registration.
fn in_words(text: &str) -> String {
    let field = |name: &str| {
        let mut values = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix(name));
        values.next().map(str::trim)
    };
    if let Some(failure) = field("failure, ") {
        return format!("The API gave no answer: {failure}.");
    }
    let expiry = field("sip_expires ").filter(|expiry| *expiry != "absent");
    match (field("sip_registered "), expiry) {
        (Some("true"), Some(expiry)) => format!("The endpoint is registered until {expiry}."),
        (Some("true"), None) => "The endpoint is registered.".to_owned(),
        (Some("false"), _) => "The endpoint is not registered.".to_owned(),
        _ => "The API does not say whether the endpoint is registered.".to_owned(),
    }
}

/// The facts that decide whether the endpoint is missed.
fn reasons(
    fleet: &Fleet,
    state: &AccountState,
    endpoint: &EndpointView<'_>,
    shown: &Shown<'_>,
) -> Vec<Reason> {
    let group = endpoint
        .group
        .and_then(|at| state.shown.groups.get(usize::from(at)));
    let mut reasons = vec![
        Reason {
            title: "Registration",
            text: registered(fleet, endpoint),
        },
        Reason {
            title: "Group",
            text: group_reason(state, group),
        },
        Reason {
            title: "Duty",
            text: duty(fleet, group),
        },
        Reason {
            title: "Missed",
            text: missed(fleet, state, endpoint, (group, shown)),
        },
    ];
    if let Some(text) = outage(fleet, shown, endpoint.id) {
        reasons.push(Reason {
            title: "Outage",
            text,
        });
    }
    if let Some((_, _, changes)) = shown.flapping.iter().find(|(id, ..)| *id == endpoint.id) {
        let changes = counted(*changes, "time");
        let text = format!("yes: the registration changed {changes} within the last hour");
        reasons.push(Reason {
            title: "Flapping",
            text,
        });
    }
    if state.is_withdrawn(fleet.instant) {
        let text = format!("no: {}", fleet.condition(state).words);
        reasons.push(Reason {
            title: "Shown in metrics",
            text,
        });
    } else if endpoint.retained {
        let text =
            "the last walk was incomplete and did not find the endpoint; older values are shown";
        reasons.push(Reason {
            title: "Not found",
            text: text.to_owned(),
        });
    }
    reasons
}

fn registered(fleet: &Fleet, endpoint: &EndpointView<'_>) -> String {
    let since = fleet.time(endpoint.history.since);
    let since = format!("{} ({})", since.clock, since.distance);
    match (endpoint.registered, endpoint.history.last_registered()) {
        (Some(true), _) => format!("registered since the walk of {since}"),
        (Some(false), Some(last)) => {
            let last = fleet.time(last).clock;
            format!("lost at the walk of {since}; last read as registered at {last}")
        }
        (Some(false), None) => {
            let first = fleet.time(endpoint.history.first_seen).clock;
            format!("not registered at any walk since the first one, at {first}")
        }
        (None, _) => "unknown: sip_registered is neither true nor false".to_owned(),
    }
}

/// Which group matches, and by which conditions.
fn group_reason(state: &AccountState, group: Option<&Group>) -> String {
    let Some(group) = group else {
        return match state.shown.groups.len() {
            0 => "none: no groups are configured".to_owned(),
            _ => "none: no configured group matches; watch is notice".to_owned(),
        };
    };
    let conditions = conditions(&group.matches, state.shown.username);
    let position = state
        .shown
        .groups
        .iter()
        .position(|one| one.name == group.name);
    let first = match position {
        Some(0) => "the first group",
        _ => "the first group that matches",
    };
    format!(
        "{} ({first}): {}; watch is {}",
        group.name,
        conditions.join(" and "),
        group.watch.label()
    )
}

/// The conditions of a group. An expression for usernames may itself be a username.
fn conditions(matches: &GroupMatch, with_username: bool) -> Vec<String> {
    let pattern = |field: &str, pattern: &Option<Pattern>| {
        let pattern = pattern.as_ref()?;
        Some(format!("the {field} matches {}", pattern.text()))
    };
    let has_list = matches.endpoint_ids.is_some() || matches.usernames.is_some();
    [
        pattern("alias", &matches.alias),
        pattern("username", &matches.username).map(|text| {
            let hidden = "the username matches its expression".to_owned();
            if with_username { text } else { hidden }
        }),
        pattern("application id", &matches.application_id),
        pattern("sub-account", &matches.sub_account),
        has_list.then(|| "a list of the group names the endpoint".to_owned()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn duty(fleet: &Fleet, group: Option<&Group>) -> String {
    let Some(group) = group else {
        return "always on duty: the endpoint is in no group".to_owned();
    };
    if !group.duty.is_limited() {
        return "always on duty: the group has no times of duty".to_owned();
    }
    let until = fleet.time(group.duty.until(fleet.now));
    let duty = if group.duty.is_on(fleet.now) {
        "on duty"
    } else {
        "off duty"
    };
    format!("{duty} until {} ({})", until.clock, until.distance)
}

/// Whether the endpoint is missed, and why.
fn missed(
    fleet: &Fleet,
    state: &AccountState,
    endpoint: &EndpointView<'_>,
    (group, shown): (Option<&Group>, &Shown<'_>),
) -> String {
    let found = shown.missed.iter().find(|(one, _)| *one.id == *endpoint.id);
    if let Some((one, since)) = found {
        let since = fleet.time(*since);
        let why = match one.last_registered {
            Some(last) => format!("it was registered at {}", fleet.time(last).clock),
            None => {
                "its group is paged, so it must be registered from the first walk on".to_owned()
            }
        };
        return format!("yes, since {} ({}): {why}", since.clock, since.distance);
    }
    let missing = missing(state, endpoint.id);
    let reason = match (endpoint.history.last_known, group, missing) {
        (Some(true), ..) => "it is registered",
        (_, Some(group), _) if group.watch == Watch::Ignore => "its group is ignored",
        (_, Some(group), _) if !group.duty.is_on(fleet.now) => "its group is off duty",
        (.., Some(Part::Open | Part::Usual)) => "its loss belongs to an outage",
        (None, ..) => "no walk has read whether it is registered",
        (_, _, Some(_)) => "no walk has listed it for 24 hours",
        (_, _, None) => "it was never registered, and its group is not paged",
    };
    format!("no: {reason}")
}

/// How the loss of the endpoint belongs to an outage, if it is missing.
fn missing(state: &AccountState, id: &str) -> Option<Part> {
    let all: &[std::sync::Arc<MissingEndpoint>] = &state.judgements.missing;
    let found = all.binary_search_by(|one| (*one.id).cmp(id)).ok()?;
    Some(all[found].part)
}

/// The open outage to which the loss of the endpoint belongs.
fn outage(fleet: &Fleet, shown: &Shown<'_>, id: &str) -> Option<String> {
    let mut outages = shown.outages.iter();
    let outage = outages.find(|one| one.members.iter().any(|member| *member.id == *id))?;
    let scope = outage.scope.as_deref();
    let scope = scope.map_or("the whole account".to_owned(), |group| {
        format!("the group {group}")
    });
    let since = fleet.time(outage.started_at);
    let (lost, recovered) = outage.counts();
    Some(format!(
        "part of the outage of {scope} since {} ({}): {lost} lost, {recovered} recovered",
        since.clock, since.distance
    ))
}

fn detail(fleet: &Fleet, state: &AccountState, id: &str) -> String {
    let Some(detail) = state.details.get(id) else {
        return "The list has all values, or the record is not retrieved (see details.mode)."
            .to_owned();
    };
    let age = fleet.instant.saturating_duration_since(detail.retrieved);
    let at = fleet.time(detail.retrieved_at).clock;
    format!(
        "Its own record was retrieved at {at}, {} ago.",
        duration(age)
    )
}
