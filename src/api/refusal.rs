//! Error bodies: whether a body is one, and the wait that it asks for. Their texts are not read.

use std::time::Duration;

use super::decode::{Json, pick};

/// The longest wait that is believed, in seconds; more is the same as this.
const MAX_WAIT: f64 = 30.0 * 24.0 * 3600.0;

/// `error.details.retryAfter` of an error's body. Nothing about the body may be relied on: it may be
/// empty, HTML, or half.
pub(super) fn retry_after(body: &str) -> Option<Duration> {
    let [error] = pick(body, &["error"]).ok()?;
    let [details] = pick(error?, &["details"]).ok()?;
    let waits = pick(details?, &["retryAfter", "retry_after"]).ok()?;
    seconds(&waits.into_iter().flatten().find_map(text)?)
}

/// Do these values of a body's `error` and `status` tell of an error? Empty ones do not.
pub(super) fn is_told_by(error: Option<&str>, status: Option<&str>) -> bool {
    let status = status.and_then(text);
    status.is_some_and(|word| word.eq_ignore_ascii_case("error"))
        || !matches!(error, None | Some("null" | "false" | "\"\"" | "{}" | "[]"))
}

/// The wait that a number of seconds asks for; `None` for none and for nonsense.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.trim().parse().ok()?;
    (seconds > 0.0).then(|| Duration::from_secs_f64(seconds.min(MAX_WAIT)))
}

fn text(raw: &str) -> Option<String> {
    match Json::read(raw).ok()? {
        Json::Text(text) if !text.trim().is_empty() => Some(text.into_owned()),
        Json::Number(number) => Some(number.to_owned()),
        _ => None,
    }
}
