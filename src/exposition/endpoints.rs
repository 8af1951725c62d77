//! The families with a sample per endpoint. With many endpoints nearly all time is spent here.

use std::collections::BTreeMap;

use super::{
    lines::{Value, push_escaped},
    press::{Fragment, Press},
};
use crate::{
    snapshot::{Capability, Details, EndpointView, Shown, Snapshot},
    telemetry::catalogue::Metric,
};

/// Fragments by family, in the order of the catalogue.
pub(super) type Families = BTreeMap<Metric, Fragment>;

/// The group and the importance of an endpoint that no group of the operator's matched.
const NO_GROUP: (&str, &str) = ("", "notice");

/// Every per-endpoint family that the list alone feeds, of those that the operator wants to see.
pub(super) fn write(
    account: &str,
    shown: &Shown,
    snapshot: &Snapshot,
    press: &mut Press,
) -> Families {
    let mut pen = Pen::new(account, shown, || snapshot.endpoints(), press);
    pen.family(
        Metric::EndpointInfo,
        |_| Some(Value::ONE),
        |endpoint, line| {
            let (group, watch) = group(shown, endpoint.group);
            label(line, "alias", endpoint.alias);
            label(line, "sub_account", endpoint.sub_account);
            label(line, "group", group);
            label(line, "watch", watch);
        },
    );
    pen.values(Metric::EndpointRegistered, |endpoint| {
        endpoint.registered.map(Value::flag)
    });
    pen.values(Metric::EndpointRegistrationLost, |endpoint| {
        endpoint.lost_at.map(Value::Time)
    });
    pen.values(Metric::EndpointApplicationAssigned, |endpoint| {
        Some(Value::flag(endpoint.application.is_some()))
    });
    pen.family(
        Metric::EndpointApplicationInfo,
        |_| Some(Value::ONE),
        |endpoint, line| label(line, "application_id", endpoint.application.unwrap_or("")),
    );
    if shown.timestamps {
        pen.values(Metric::EndpointCreated, |endpoint| {
            endpoint.created_at.map(Value::Time)
        });
        pen.values(Metric::EndpointUpdated, |endpoint| {
            endpoint.updated_at.map(Value::Time)
        });
    }
    if shown.permissions {
        pen.permissions();
    }
    pen.done
}

/// Every per-endpoint family that details feed, too.
pub(super) fn write_detailed(
    account: &str,
    shown: &Shown,
    snapshot: &Snapshot,
    details: &Details,
    press: &mut Press,
) -> Families {
    let mut pen = Pen::new(account, shown, || snapshot.endpoints_with(details), press);
    pen.values(Metric::EndpointRegistrationExpiration, |endpoint| {
        endpoint.expires_at.map(Value::Time)
    });
    if shown.user_agent {
        pen.family(
            Metric::EndpointUserAgentInfo,
            |endpoint| endpoint.user_agent.map(|_| Value::ONE),
            |endpoint, line| label(line, "user_agent", endpoint.user_agent.unwrap_or("")),
        );
    }
    pen.values(Metric::EndpointDetailTimestamp, |endpoint| {
        endpoint.detail_at.map(Value::Time)
    });
    if shown.contact {
        pen.family(
            Metric::EndpointContactInfo,
            |endpoint| endpoint.contact.or(endpoint.received).map(|_| Value::ONE),
            |endpoint, line| {
                for (name, uri) in [
                    ("contact", endpoint.contact),
                    ("received", endpoint.received),
                ] {
                    label(line, name, address(uri.unwrap_or(""), shown.username));
                }
            },
        );
    }
    pen.done
}

/// Name and importance of an endpoint's group.
fn group(shown: &Shown, index: Option<u16>) -> (&str, &str) {
    index
        .and_then(|index| shown.groups.get(usize::from(index)))
        .map_or(NO_GROUP, |(name, watch)| (name, watch))
}

/// A device's URI, or, where usernames are not wanted, what follows the user in it.
fn address(uri: &str, username: bool) -> &str {
    match uri.rsplit_once('@') {
        Some((_, address)) if !username => address,
        _ => uri,
    }
}

fn label(line: &mut String, name: &str, value: &str) {
    line.push(',');
    line.push_str(name);
    line.push_str("=\"");
    push_escaped(line, value);
    line.push('"');
}

struct Pen<'a, E> {
    account: &'a str,
    shown: &'a Shown,
    /// Begins anew with the first endpoint, for each family.
    endpoints: E,
    press: &'a mut Press,
    done: Families,
}

impl<'p, 'a, E, I> Pen<'p, E>
where
    E: Fn() -> I,
    I: Iterator<Item = EndpointView<'a>>,
{
    fn new(account: &'p str, shown: &'p Shown, endpoints: E, press: &'p mut Press) -> Self {
        Self {
            account,
            shown,
            endpoints,
            press,
            done: BTreeMap::new(),
        }
    }

    /// A family with no labels beyond the endpoint's identity.
    fn values(&mut self, metric: Metric, value: impl Fn(&EndpointView<'_>) -> Option<Value>) {
        self.family(metric, value, |_, _| {});
    }

    /// A family with at most one sample per endpoint.
    fn family(
        &mut self,
        metric: Metric,
        value: impl Fn(&EndpointView<'_>) -> Option<Value>,
        labels: impl Fn(&EndpointView<'_>, &mut String),
    ) {
        let head = self.head(metric);
        for endpoint in (self.endpoints)() {
            let Some(value) = value(&endpoint) else {
                continue;
            };
            let line = self.press.text();
            identify(line, &head, &endpoint, self.shown.username);
            labels(&endpoint, line);
            line.push_str("} ");
            value.push(line);
            self.press.end_sample();
        }
        self.end(metric);
    }

    /// The one family with several samples per endpoint.
    fn permissions(&mut self) {
        let head = self.head(Metric::EndpointAllowed);
        for endpoint in (self.endpoints)() {
            for (capability, allowed) in Capability::ALL.into_iter().zip(endpoint.allowed) {
                let Some(allowed) = allowed else { continue };
                let line = self.press.text();
                identify(line, &head, &endpoint, self.shown.username);
                label(line, "capability", capability.label());
                line.push_str("} ");
                Value::flag(allowed).push(line);
                self.press.end_sample();
            }
        }
        self.end(Metric::EndpointAllowed);
    }

    /// Everything of a line before the endpoint's id.
    fn head(&self, metric: Metric) -> String {
        let mut head = String::from(metric.family().name);
        head.push_str("{account=\"");
        push_escaped(&mut head, self.account);
        head.push_str("\",endpoint_id=\"");
        head
    }

    fn end(&mut self, metric: Metric) {
        self.done.insert(metric, self.press.fragment());
    }
}

fn identify(line: &mut String, head: &str, endpoint: &EndpointView<'_>, username: bool) {
    line.push_str(head);
    push_escaped(line, endpoint.id);
    if username && !endpoint.username.is_empty() {
        line.push_str("\",username=\"");
        push_escaped(line, endpoint.username);
    }
    line.push('"');
}
