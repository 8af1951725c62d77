//! Reads the parameters and the timeout of a probe from the request for `/probe`.

use std::time::Duration;

use url::form_urlencoded;

/// Maximum length of the parameter `endpoint_id`, in bytes.
const MAX_ID: usize = 128;
/// The scrape timeout in seconds if a request has no timeout header. Prometheus has the same default.
const DEFAULT_TIMEOUT: f64 = 10.0;
/// The maximum scrape timeout, in seconds. It limits how long a probe holds a connection of the server.
const MAX_TIMEOUT: f64 = 120.0;

/// The parameters of a probe.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ProbeParams {
    /// The index of the configured account that the parameter `account` names.
    pub(super) account: usize,
    /// The parameter `endpoint_id`: text that needs no encoding in the path of a URL.
    pub(super) id: String,
    /// The parameter `debug`: whether the response is text for a person.
    pub(super) debug: bool,
}

impl ProbeParams {
    /// Percent-decodes `query` once and reads its parameters. `find` maps the name of an account to its index.
    /// Other parameters are ignored. The error names the wrong parameter, and contains no text of `query`.
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
        if !is_endpoint_id(&id) {
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

/// Whether a probe can ask for an endpoint with this id. The id becomes a segment of the URL path. A segment such as `..`
/// would select another path.
pub fn is_endpoint_id(id: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let is_dots = id.bytes().all(|byte| byte == b'.');
    id.len() <= MAX_ID && id.bytes().all(is_plain) && !is_dots
}

/// The timeout of a probe: the scrape timeout minus `offset`, but at least half of the scrape timeout. `header`
/// has the scrape timeout, which `MAX_TIMEOUT` limits. The error says which values the header may have.
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
