//! The result of a probe as samples, and as text for a person.
//!
//! The debug text lists the fields of the record. The list shows the id, times and flags. If `contact` is in
//! `metrics.groups`, the list also shows IP addresses. It shows only the length of any other value: the value
//! may contain the auth token in any encoding, and a client of `/probe` needs no credentials.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    api::{Capability, Endpoint, Error, Field},
    clock::UnixMillis,
    config::{Metrics, Optional},
    exposition::{Encoding, FamilyWriter, Format, Value},
    telemetry::{catalogue::Metric, labels::PROBE_FAILURE_REASONS},
};

/// The endpoint's record and the status of the response, or the error if there is no record.
pub(super) type Outcome = Result<(Endpoint, u16), ProbeError>;

/// Why a probe has no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProbeError {
    /// The `reason` label of `vobiz_probe_failure`: one of [`PROBE_FAILURE_REASONS`].
    pub(super) reason: &'static str,
    /// The HTTP status of the API's response; `None` without a response.
    pub(super) status: Option<u16>,
    /// A description of the error for a person, without text of the API.
    pub(super) message: String,
}

impl ProbeError {
    /// An error without a response of the API.
    pub(super) fn without_response(reason: &'static str, message: &str) -> Self {
        Self {
            reason,
            status: None,
            message: message.to_owned(),
        }
    }
}

impl From<Error> for ProbeError {
    fn from(error: Error) -> Self {
        Self {
            reason: error.kind.label(),
            status: error.status,
            message: error.to_string(),
        }
    }
}

/// The result of one probe. Its `Display` is the debug text.
pub(super) struct Report<'a> {
    pub(super) account: &'a str,
    /// The configuration of the metrics of the account.
    pub(super) metrics: &'a Metrics,
    /// Method and URL of the request to the API, without credentials.
    pub(super) request: String,
    pub(super) outcome: &'a Outcome,
    pub(super) begun: Instant,
    /// The time at which this probe or another probe sent the request; `None` if no probe has sent it.
    pub(super) sent: Option<Instant>,
    pub(super) timeout: Duration,
    pub(super) took: Duration,
}

impl Report<'_> {
    /// The samples of every family of a probe.
    pub(super) fn samples(&self) -> FamilyWriter {
        let mut writer = FamilyWriter::default();
        let endpoint = self.outcome.as_ref().ok().map(|(endpoint, _)| endpoint);
        let took = Value::Float(self.took.as_secs_f64());
        let status = self.status().map(|status| Value::Integer(status.into()));
        let registered = endpoint.and_then(|one| one.registered);
        let expires_at = endpoint.and_then(expiration);
        for (metric, value) in [
            (Metric::ProbeSuccess, Some(Value::flag(endpoint.is_some()))),
            (Metric::ProbeDuration, Some(took)),
            (Metric::ProbeHttpStatusCode, status),
            (Metric::ProbeEndpointRegistered, registered.map(Value::flag)),
            (
                Metric::ProbeRegistrationExpiration,
                expires_at.map(Value::time),
            ),
        ] {
            if let Some(value) = value {
                writer.sample(metric, &[], value);
            }
        }
        if let Some(endpoint) = endpoint {
            self.write_info(&mut writer, endpoint);
        }
        let failure = self.outcome.as_ref().err();
        for &reason in PROBE_FAILURE_REASONS.iter() {
            let is_it = Value::flag(failure.is_some_and(|error| error.reason == reason));
            writer.sample(Metric::ProbeFailure, &[("reason", reason)], is_it);
        }
        writer
    }

    fn write_info(&self, writer: &mut FamilyWriter, endpoint: &Endpoint) {
        let text = Option::<String>::as_deref;
        let username = text(&endpoint.username).filter(|_| self.metrics.username);
        let alias = text(&endpoint.alias).unwrap_or_default();
        let sub_account = text(&endpoint.sub_account).unwrap_or_default();
        let application = endpoint.application.as_ref();
        let mut labels = vec![("account", self.account), ("endpoint_id", &endpoint.id)];
        labels.extend(username.map(|username| ("username", username)));
        labels.extend([
            ("alias", alias),
            ("sub_account", sub_account),
            ("application_id", application.map_or("", |one| &one.id)),
        ]);
        if self.shows(Optional::UserAgent) {
            let user_agent = text(&endpoint.user_agent).unwrap_or_default();
            labels.push(("user_agent", user_agent));
        }
        writer.sample(Metric::ProbeEndpointInfo, &labels, Value::ONE);
    }

    fn shows(&self, group: Optional) -> bool {
        self.metrics.groups.contains(&group)
    }

    /// The HTTP status of the API's response; `None` without a response.
    fn status(&self) -> Option<u16> {
        match self.outcome {
            Ok((_, status)) => Some(*status),
            Err(error) => error.status,
        }
    }

    fn write_endpoint(&self, f: &mut fmt::Formatter<'_>, endpoint: &Endpoint) -> fmt::Result {
        writeln!(f, "  success\n\nfields")?;
        writeln!(f, "  {:<15} {}", "endpoint_id", endpoint.id)?;
        for field in Field::ALL {
            let value = self.value(endpoint, field);
            let value = value.unwrap_or_else(|| "absent".to_owned());
            write!(f, "  {:<15} {value}", field.label())?;
            if endpoint.rejected.contains(field) {
                write!(f, " (cut or dropped)")?;
            }
            if endpoint.assumed.contains(field) {
                write!(f, " (assumed to be UTC)")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }

    /// The value of a field as the debug text shows it; `None` if the field is absent.
    fn value(&self, endpoint: &Endpoint, field: Field) -> Option<String> {
        let application = endpoint.application.as_ref();
        let text = match field {
            Field::SipRegistered => return endpoint.registered.map(|flag| flag.to_string()),
            Field::SipExpires => return endpoint.expires_at.map(rfc_3339),
            Field::CreatedAt => return endpoint.created_at.map(rfc_3339),
            Field::UpdatedAt => return endpoint.updated_at.map(rfc_3339),
            Field::Allow => return permissions(endpoint),
            Field::Username => endpoint.username.as_deref(),
            Field::Alias => endpoint.alias.as_deref(),
            Field::SipUserAgent => endpoint.user_agent.as_deref(),
            Field::SipContact => endpoint.contact.as_deref(),
            Field::SipReceived => endpoint.received.as_deref(),
            Field::Application => application.map(|one| &*one.id),
            Field::SubAccount => endpoint.sub_account.as_deref(),
        }?;
        let is_device = matches!(field, Field::SipContact | Field::SipReceived);
        let address = (is_device && self.shows(Optional::Contact)).then(|| address(text));
        let length = || format!("text of {} bytes", text.len());
        Some(address.flatten().unwrap_or_else(length))
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers = "accept, accept-encoding, user-agent, x-auth-id, x-auth-token";
        let (request, account) = (&self.request, self.account);
        writeln!(
            f,
            "request\n  {request}\n  with the headers {headers}\n  account {account}"
        )?;
        // If an earlier probe sent the request before this probe began, the waiting time is zero.
        let waited = self.sent.map_or(self.took, |sent| sent - self.begun);
        let request = self.sent.map(|sent| sent.elapsed());
        writeln!(f, "\ntimes")?;
        for (name, time) in [
            ("waited", waited),
            ("request", request.unwrap_or_default()),
            ("this probe", self.took),
            ("this probe may take", self.timeout),
        ] {
            writeln!(f, "  {name:<20} {:.3} s", time.as_secs_f64())?;
        }
        writeln!(f, "\nresponse")?;
        match self.status() {
            Some(status) => writeln!(f, "  status {status}")?,
            None => writeln!(f, "  no status")?,
        }
        match self.outcome {
            Ok((endpoint, _)) => self.write_endpoint(f, endpoint)?,
            Err(error) => writeln!(f, "  failure, {}: {}", error.reason, error.message)?,
        }
        let exposition = self.samples().encode(Format::Text, Encoding::Identity);
        write!(f, "\nexposition\n{}", String::from_utf8_lossy(&exposition))
    }
}

/// The expiry of the registration of a registered endpoint. For other endpoints, the function returns `None`,
/// because their `expires_at` may belong to an earlier registration.
pub(super) fn expiration(endpoint: &Endpoint) -> Option<UnixMillis> {
    let expires_at = endpoint.expires_at;
    expires_at.filter(|_| endpoint.registered == Some(true))
}

fn rfc_3339(time: UnixMillis) -> String {
    let time = jiff::Timestamp::from_millisecond(time.0);
    time.map(|time| time.to_string()).unwrap_or_default()
}

/// The IP address in a device's URI, with the port if the URI has a port.
fn address(uri: &str) -> Option<String> {
    let host = uri.rsplit_once('@').map_or(uri, |(_, host)| host);
    let without_scheme = host.strip_prefix("sips:").or(host.strip_prefix("sip:"));
    let host = without_scheme.unwrap_or(host);
    let host = host.split([';', '?', '>']).next()?;
    let socket = host.parse::<SocketAddr>().map(|one| one.to_string());
    let address = socket.or_else(|_| host.parse::<IpAddr>().map(|one| one.to_string()));
    address.ok()
}

/// The `allow_*` flags of the record as text; `None` if the record has no such flags.
fn permissions(endpoint: &Endpoint) -> Option<String> {
    let flags = Capability::ALL.into_iter().zip(endpoint.allowed);
    let flags = flags.filter_map(|(capability, flag)| Some((capability.label(), flag?)));
    let flags: Vec<_> = flags.map(|(name, flag)| format!("{name}={flag}")).collect();
    (!flags.is_empty()).then(|| flags.join(" "))
}
