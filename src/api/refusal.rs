//! What the vendor says when it refuses: error bodies of every shape.

use std::time::Duration;

use serde_json::value::RawValue;

use super::decode::{Json, pick};

/// The longest wait that is believed, in seconds; more is the same as this.
const MAX_WAIT: f64 = 30.0 * 24.0 * 3600.0;

/// An error's body, read. The texts are the vendor's own and not yet fit to be shown.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Refusal {
    /// `error` (as text), `error.message` or `message`; or a body that is plain text.
    pub message: Option<String>,
    /// The body is a gateway's page, of which no word is worth showing.
    pub is_html: bool,
    /// `error.code` or `code`.
    pub code: Option<String>,
    /// `requestId`, `request_id` or `api_id`.
    pub request_id: Option<String>,
    /// `error.details.retryAfter`.
    pub retry_after: Option<Duration>,
}

/// Reads an error's body. Nothing about it may be relied on: it may be empty, HTML, or half.
pub(super) fn read(body: &str) -> Refusal {
    let keys = &[
        "error",
        "message",
        "code",
        "requestId",
        "request_id",
        "api_id",
    ];
    let Ok([error, message, code, camel, snake, api_id]) = pick(body, keys) else {
        return Refusal {
            message: plain(body),
            is_html: body.trim_start().starts_with('<'),
            ..Refusal::default()
        };
    };
    let [inner_message, inner_code, details] = inner(error, &["message", "code", "details"]);
    let [retry_camel, retry_snake] = inner(details, &["retryAfter", "retry_after"]);
    let first = |values: &[Option<&str>]| values.iter().find_map(|raw| text((*raw)?));
    Refusal {
        message: first(&[error, inner_message, message]),
        is_html: false,
        code: first(&[inner_code, code]),
        request_id: first(&[camel, snake, api_id]),
        retry_after: first(&[retry_camel, retry_snake]).and_then(|wait| seconds(&wait)),
    }
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

fn inner<'a, const N: usize>(raw: Option<&'a str>, keys: &[&str; N]) -> [Option<&'a str>; N] {
    raw.and_then(|raw| pick(raw, keys).ok())
        .unwrap_or([None; N])
}

fn text(raw: &str) -> Option<String> {
    match Json::read(raw).ok()? {
        Json::Text(text) if !text.trim().is_empty() => Some(text.into_owned()),
        Json::Number(number) => Some(number.to_owned()),
        _ => None,
    }
}

/// A body that is no object: a line of text may say something worth showing.
fn plain(body: &str) -> Option<String> {
    let body = body.trim();
    if let Ok(raw) = serde_json::from_str::<&RawValue>(body) {
        return text(raw.get()).filter(|_| body.starts_with('"'));
    }
    match body.chars().next()? {
        '<' | '{' | '[' | '"' => None,
        _ => Some(body.to_owned()),
    }
}
