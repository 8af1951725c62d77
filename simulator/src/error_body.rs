//! Error bodies and the `Retry-After` header, as the vendor and its gateways send them.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

/// The form of the body of an error response.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ErrorBody {
    /// The JSON object `{"status": "error", "error": {"code", "message"}, "timestamp",
    /// "requestId"}`.
    #[default]
    Object,
    /// The JSON object `{"error": "text"}`.
    Text,
    /// The JSON object `{"api_id", "error", "message"}`.
    Generic,
    /// The JSON object `{"message": "text"}`.
    Message,
    /// The JSON object `{"status", "message"}`.
    StatusMessage,
    /// A JSON object with `status` and `error`. `error.details.retryAfter` is this many seconds.
    RetryInBody(u64),
    /// An empty body.
    Empty,
    /// An empty JSON object.
    EmptyObject,
    /// A message in plain text.
    Plain,
    /// An HTML page of a gateway.
    Html,
    /// The form of [`Self::Text`] with a message of this many bytes.
    Long(usize),
    /// This text, with the content type of JSON.
    Raw(String),
}

/// The value of a `Retry-After` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetryAfter {
    /// A number of seconds, which may be 0.
    Seconds(u64),
    /// An HTTP date: the simulated time plus this duration.
    Date(SignedDuration),
    /// Any other text.
    Text(String),
}

impl ErrorBody {
    /// The content type, if any, and the body.
    pub(super) fn render(&self, status: u16, now: Timestamp) -> (Option<&'static str>, Vec<u8>) {
        const JSON: Option<&str> = Some("application/json");
        let (code, message) = words(status);
        let value = match self {
            Self::Object => json!({
                "status": "error",
                "error": {"code": code, "message": message},
                "timestamp": now.to_string(),
                "requestId": format!("req_{:x}", now.as_millisecond()),
            }),
            Self::Text => json!({"error": message}),
            Self::Generic => json!({
                "api_id": "550e8400-e29b-41d4-a716-446655440000",
                "error": code,
                "message": message,
            }),
            Self::Message => json!({"message": message}),
            Self::StatusMessage => json!({"status": "error", "message": message}),
            Self::RetryInBody(seconds) => json!({
                "status": "error",
                "error": {
                    "code": code,
                    "message": message,
                    "details": {"limitType": "cps", "limit": 1, "current": 2, "retryAfter": seconds},
                },
            }),
            Self::Empty => return (None, Vec::new()),
            Self::EmptyObject => json!({}),
            Self::Plain => return (Some("text/plain; charset=utf-8"), message.into()),
            Self::Html => {
                let page = format!(
                    "<html>\r\n<head><title>{status} {message}</title></head>\r\n<body>\r\n\
                     <center><h1>{status} {message}</h1></center>\r\n<hr><center>nginx</center>\r\n\
                     </body>\r\n</html>\r\n"
                );
                return (Some("text/html"), page.into_bytes());
            }
            Self::Long(bytes) => json!({"error": "e".repeat(*bytes)}),
            Self::Raw(body) => return (JSON, body.clone().into_bytes()),
        };
        (JSON, value.to_string().into_bytes())
    }
}

impl RetryAfter {
    /// The value of the header. `now` is the simulated time.
    pub(super) fn render(&self, now: Timestamp) -> String {
        match self {
            Self::Seconds(seconds) => seconds.to_string(),
            Self::Date(later) => http_date(now.saturating_add(*later).unwrap_or(Timestamp::MAX)),
            Self::Text(text) => text.clone(),
        }
    }
}

/// Formats a timestamp as an HTTP date.
pub(super) fn http_date(at: Timestamp) -> String {
    let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
    printer.timestamp_to_rfc9110_string(&at).unwrap_or_default()
}

fn words(status: u16) -> (&'static str, &'static str) {
    match status {
        400 => ("BAD_REQUEST", "Bad request"),
        401 => ("INVALID_CREDENTIALS", "Invalid authentication credentials"),
        402 => ("INSUFFICIENT_BALANCE", "Insufficient balance"),
        403 => ("ACCOUNT_INACTIVE", "Account is inactive"),
        404 => ("NOT_FOUND", "Resource not found"),
        405 => ("METHOD_NOT_ALLOWED", "Method not allowed"),
        408 => ("REQUEST_TIMEOUT", "Request timed out"),
        422 => ("VALIDATION_ERROR", "Validation failed"),
        429 => ("RATE_LIMIT_EXCEEDED", "Rate limit exceeded"),
        502 => ("BAD_GATEWAY", "Bad gateway"),
        503 => ("SERVICE_UNAVAILABLE", "Service temporarily unavailable"),
        504 => ("GATEWAY_TIMEOUT", "Gateway timed out"),
        500..=599 => ("INTERNAL_ERROR", "Internal server error"),
        _ => ("ERROR", "Something went wrong"),
    }
}
