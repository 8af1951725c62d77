//! How an answer came about, in plain text for a person.
//!
//! Texts of the vendor's are told by their length: this page asks for no credentials, and a text may
//! repeat the token in any spelling. Times, flags and addresses are shown as they were understood.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::{
    line::Wanted,
    outcome::Outcome,
    progress::{Stage, Times},
    samples::expiration,
};
use crate::{
    api::{Capability, Endpoint, Field},
    clock::UnixMillis,
    telemetry::catalogue::Metric,
};

/// Everything that is known about one probe.
pub(super) struct Told<'a> {
    pub(super) wanted: &'a Wanted,
    /// Method and URL, without credentials.
    pub(super) request: &'a str,
    /// Did an equal probe make the request?
    pub(super) joined: bool,
    pub(super) outcome: &'a Outcome,
    /// How far the request was, and its times; `None` where it was not even thought of.
    pub(super) progress: Option<(Stage, Times)>,
    pub(super) allowed: Duration,
    pub(super) took: Duration,
    /// The samples, as whoever scrapes this would get them.
    pub(super) exposition: &'a str,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "request")?;
        writeln!(f, "  {}", self.request)?;
        writeln!(
            f,
            "  with the headers accept, accept-encoding, user-agent, x-auth-id, x-auth-token"
        )?;
        writeln!(f, "  account {}", self.wanted.account)?;
        self.times(f)?;
        self.answer(f)?;
        if let Ok((endpoint, _)) = self.outcome {
            self.record(f, endpoint)?;
        }
        writeln!(f, "\nexposition")?;
        f.write_str(self.exposition)
    }
}

impl Told<'_> {
    fn times(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_sent = match self.progress {
            None => "not sent: the vendor's pause lasts longer than this probe may",
            Some((Stage::Share, _)) => "not sent: still waiting for a share of requests",
            Some((Stage::Limiter, _)) => "not sent: still waiting for the rate limiter",
            Some((Stage::Request, _)) => "sent: no answer yet",
            Some((Stage::Landed, _)) => "sent, and ended as told below",
        };
        writeln!(f, "  {is_sent}")?;
        match self.progress {
            None => {}
            Some(_) if self.joined => writeln!(f, "  shared: an equal probe had begun it")?,
            Some(_) => writeln!(f, "  begun by this probe")?,
        }
        writeln!(f, "\ntimes")?;
        let times = self.progress.map(|(_, times)| times).unwrap_or_default();
        for (what, time) in [
            ("waited for probe.requests_per_second", times.share),
            ("waited for api.requests_per_second", times.limiter),
            ("waited for the vendor's pause", times.vendor),
            ("request", times.request),
            ("this probe", self.took),
            ("this probe may take", self.allowed),
        ] {
            writeln!(f, "  {what:<38} {:.3} s", time.as_secs_f64())?;
        }
        Ok(())
    }

    fn answer(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nanswer")?;
        let (status, words) = match self.outcome {
            Ok((_, status)) => (Some(*status), "success".to_owned()),
            Err(failure) => (failure.status, format!("failure, {failure}")),
        };
        match status {
            Some(status) => writeln!(f, "  status {status}")?,
            None => writeln!(f, "  no status")?,
        }
        writeln!(f, "  {words}")
    }

    fn record(&self, f: &mut fmt::Formatter<'_>, endpoint: &Endpoint) -> fmt::Result {
        writeln!(f, "\nfields, and the samples that they became")?;
        let (id, label) = (&endpoint.id, "endpoint_id");
        writeln!(f, "  {label:<15} {id} -> {}", info(label))?;
        for (field, value, sample) in self.fields(endpoint) {
            write!(f, "  {:<15}", field.label())?;
            match value {
                Some(value) => write!(f, " {value}")?,
                None => write!(f, " absent")?,
            }
            if endpoint.rejected.contains(field) {
                write!(f, " (what came was cut or dropped)")?;
            }
            if endpoint.assumed.contains(field) {
                write!(f, " (assumed to be UTC)")?;
            }
            match sample {
                Some(sample) => writeln!(f, " -> {sample}")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }

    /// Each field as it may be shown, and the sample that it became.
    fn fields(&self, endpoint: &Endpoint) -> [(Field, Option<String>, Option<String>); 12] {
        let wanted = self.wanted;
        let device = |uri: &Option<String>| {
            let understood = uri.as_deref().filter(|_| wanted.contact).and_then(address);
            understood.or_else(|| length(uri.as_ref()))
        };
        let application = endpoint.application.as_ref();
        let registered = endpoint.registered.map(|flag| flag.to_string());
        let is_shown = |metric: Metric| metric.family().name.to_owned();
        let as_state = (endpoint.registered).map(|_| is_shown(Metric::ProbeEndpointRegistered));
        let as_time = expiration(endpoint).map(|_| is_shown(Metric::ProbeRegistrationExpiration));
        let as_label = |shown: bool, label| shown.then(|| info(label));
        let named = endpoint.username.is_some() && wanted.username;
        [
            (
                Field::Username,
                length(endpoint.username.as_ref()),
                as_label(named, "username"),
            ),
            (
                Field::Alias,
                length(endpoint.alias.as_ref()),
                as_label(true, "alias"),
            ),
            (Field::SipRegistered, registered, as_state),
            (Field::SipExpires, endpoint.expires_at.map(moment), as_time),
            (
                Field::SipUserAgent,
                length(endpoint.user_agent.as_ref()),
                as_label(wanted.user_agent, "user_agent"),
            ),
            (Field::SipContact, device(&endpoint.contact), None),
            (Field::SipReceived, device(&endpoint.received), None),
            (
                Field::Application,
                length(application.map(|one| &one.id)),
                as_label(true, "application_id"),
            ),
            (
                Field::SubAccount,
                length(endpoint.sub_account.as_ref()),
                as_label(true, "sub_account"),
            ),
            (Field::CreatedAt, endpoint.created_at.map(moment), None),
            (Field::UpdatedAt, endpoint.updated_at.map(moment), None),
            (Field::Allow, allowed(endpoint), None),
        ]
    }
}

/// A text, told by its length.
fn length(text: Option<&String>) -> Option<String> {
    text.map(|text| format!("text of {} bytes", text.len()))
}

/// A label of the info series.
fn info(label: &str) -> String {
    format!("{}{{{label}}}", Metric::ProbeEndpointInfo.family().name)
}

/// RFC 3339, UTC.
fn moment(time: UnixMillis) -> String {
    let time = jiff::Timestamp::from_millisecond(time.0);
    time.map(|time| time.to_string()).unwrap_or_default()
}

/// The IP address of a device's URI, with its port where there is one.
fn address(uri: &str) -> Option<String> {
    let host = uri.rsplit_once('@').map_or(uri, |(_, host)| host);
    let host = ["sip:", "sips:"]
        .into_iter()
        .find_map(|scheme| host.strip_prefix(scheme))
        .unwrap_or(host);
    let host = host.split([';', '?', '>']).next()?;
    let socket = host.parse::<SocketAddr>().map(|one| one.to_string());
    socket
        .or_else(|_| host.parse::<IpAddr>().map(|one| one.to_string()))
        .ok()
}

/// The switches that the record has.
fn allowed(endpoint: &Endpoint) -> Option<String> {
    let known = Capability::ALL.into_iter().zip(endpoint.allowed);
    let known = known.filter_map(|(capability, flag)| Some((capability.label(), flag?)));
    let words: Vec<_> = known.map(|(name, flag)| format!("{name}={flag}")).collect();
    (!words.is_empty()).then(|| words.join(" "))
}
