//! The parameters and the timeout of a probe, as the scrape sends them.

use std::time::Duration;

use url::form_urlencoded;

/// The longest id of an endpoint, in bytes.
const MAX_ID: usize = 128;
/// The timeout of a scrape without the timeout header, in seconds. It is Prometheus' default.
const DEFAULT_TIMEOUT: f64 = 10.0;
/// The maximum timeout of a probe, in seconds, so that no connection is held for longer.
const MAX_TIMEOUT: f64 = 120.0;

/// The parameters of a probe.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ProbeParams {
    /// The parameter `account`, as an index of the configured accounts.
    pub(super) account: usize,
    /// The parameter `endpoint_id`: text that needs no encoding in the path of a URL.
    pub(super) id: String,
    /// The parameter `debug`: whether the response is text for a person.
    pub(super) debug: bool,
}

impl ProbeParams {
    /// Decodes a query once and reads its parameters. Unknown parameters are ignored. The error describes
    /// a valid query and repeats no text of this query.
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
        // The ids of the API are digits. An id of dots alone, such as `..`, would change the path.
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

/// The timeout of a probe: the scrape timeout in `header` minus `offset`, but at least half of the scrape
/// timeout. The error describes a valid header.
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
