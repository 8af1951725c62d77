//! The parameters and the time-out of a probe, as the scrape sends them.

use std::time::Duration;

use url::form_urlencoded;

/// The longest id of an endpoint, in bytes.
const MAX_ID: usize = 128;
/// The time-out of a scrape without the header, in seconds: that of Prometheus.
const DEFAULT_TIMEOUT: f64 = 10.0;
/// The longest time-out that is granted, in seconds, so that no connection is held for longer.
const MAX_TIMEOUT: f64 = 120.0;
/// The parameters of a probe.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ProbeParams {
    /// `account`, by its number.
    pub(super) account: usize,
    /// `endpoint_id`: text that can be a segment of a path without encoding.
    pub(super) id: String,
    /// `debug`: is the response for a person?
    pub(super) debug: bool,
}

impl ProbeParams {
    /// Reads a query, which is decoded once; other parameters are ignored. The error says what would be
    /// right and repeats nothing of the query.
    pub(super) fn read(
        query: &str,
        find: impl Fn(&str) -> Option<usize>,
    ) -> Result<Self, &'static str> {
        let [mut account, mut id, mut debug] = [const { None }; 3];
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let (param, repeated) = match &*name {
                "account" => (&mut account, "the parameter account is given twice\n"),
                "endpoint_id" => (&mut id, "the parameter endpoint_id is given twice\n"),
                "debug" => (&mut debug, "the parameter debug is given twice\n"),
                _ => continue,
            };
            if param.replace(value).is_some() {
                return Err(repeated);
            }
        }
        let account = account.filter(|name| !name.is_empty()).ok_or(
            "the parameter account is missing: it is the name of a configured account, as in \
             /probe?account=NAME&endpoint_id=ID\n",
        )?;
        let id = id.filter(|id| !id.is_empty()).ok_or(
            "the parameter endpoint_id is missing: it is the id of an endpoint, as in \
             /probe?account=NAME&endpoint_id=ID\n",
        )?;
        let debug = match debug.as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err("the parameter debug must be true or false\n"),
        };
        let account = find(&account)
            .ok_or("the parameter account must be the name of a configured account\n")?;
        // The ids of the API are digits. Dots alone would be a step in the path.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let is_dots = id.bytes().all(|byte| byte == b'.');
        if id.len() > MAX_ID || !id.bytes().all(is_plain) || is_dots {
            return Err(
                "the parameter endpoint_id must be 1 to 128 of the letters A to Z and a to z, \
                 digits, and - . _ ~, and not dots only\n",
            );
        }
        Ok(Self {
            account,
            id: id.into_owned(),
            debug,
        })
    }
}

/// The time of a probe: the scrape's own time-out (`header`, in seconds) less `offset`, but never less
/// than half of it. The error says what a valid header has.
pub(super) fn timeout(header: Option<&str>, offset: Duration) -> Result<Duration, &'static str> {
    let seconds = match header.map(|text| text.trim().parse::<f64>()) {
        None => DEFAULT_TIMEOUT,
        Some(Ok(seconds)) if seconds.is_finite() && seconds > 0.0 => seconds.min(MAX_TIMEOUT),
        Some(_) => {
            return Err(
                "the header X-Prometheus-Scrape-Timeout-Seconds must hold one number of seconds \
                 above zero, such as 10\n",
            );
        }
    };
    let timeout = Duration::from_secs_f64(seconds);
    Ok(timeout.saturating_sub(offset).max(timeout / 2))
}
