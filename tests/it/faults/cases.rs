//! The faults and the expected outcome of each.

use std::{net::SocketAddr, time::Duration};

use jiff::SignedDuration;
use vobiz_simulator::{Count, Effect, ErrorBody, Fault, PageFault, Reply, RetryAfter};

use super::PAGES;

/// The expected metrics during a fault.
#[derive(Debug, Clone, Copy)]
pub enum Outcome {
    /// The account is down for this reason, and its last snapshot is still shown.
    Down(&'static str),
    /// One walk fails for this reason, and the next walk succeeds. The snapshot is still shown.
    FailedOnce(&'static str),
    /// The exporter retries a request, and the account is still up.
    Retried,
    /// The walk waits for a confirmation, and the account is still up.
    Confirming,
    /// The fault has no visible effect.
    Unaffected,
}

use Outcome::{Confirming, Down, FailedOnce, Retried, Unaffected};

/// A test case, whose faults affect only one account.
pub struct Case {
    pub name: String,
    pub outcome: Outcome,
    /// The faults, all active together. Without faults, the test stops the vendor of this account.
    pub faults: Vec<Fault>,
}

fn case(
    name: impl Into<String>,
    outcome: Outcome,
    faults: impl IntoIterator<Item = Fault>,
) -> Case {
    Case {
        name: name.into(),
        outcome,
        faults: faults.into_iter().collect(),
    }
}

fn effect(effect: Effect) -> [Fault; 1] {
    [Fault::new(effect)]
}

/// Error responses: each status with each form of body. Then errors for one page or one request.
fn error_statuses() -> Vec<Case> {
    let forms = [
        ("object", ErrorBody::Object),
        ("text", ErrorBody::Text),
        ("generic", ErrorBody::Generic),
        ("message", ErrorBody::Message),
        ("status-message", ErrorBody::StatusMessage),
        ("empty", ErrorBody::Empty),
        ("empty-object", ErrorBody::EmptyObject),
        ("plain", ErrorBody::Plain),
        ("html", ErrorBody::Html),
        ("long", ErrorBody::Long(300_000)),
        ("half", ErrorBody::Raw("{\"error\": {\"mess".to_owned())),
    ];
    let statuses = [
        (400, "client_error"),
        (401, "auth"),
        (402, "payment_required"),
        (403, "forbidden"),
        (404, "not_found"),
        (408, "timeout"),
        (422, "client_error"),
        (429, "rate_limited"),
        (500, "server_error"),
        (502, "server_error"),
        (503, "server_error"),
        (504, "server_error"),
    ];
    let mut cases = Vec::new();
    for (status, reason) in statuses {
        for (form, body) in &forms {
            let fault = Fault::error(status, body.clone());
            cases.push(case(format!("{status}-{form}"), Down(reason), [fault]));
        }
    }
    cases.push(case(
        "500-on-one-page",
        Down("server_error"),
        [Fault::status(500).at_offsets(8..)],
    ));
    cases.push(case("500-once", Retried, [Fault::status(500).once()]));
    cases.push(case("408-once", Retried, [Fault::status(408).once()]));
    cases
}

/// Responses of status 429 with a pause in each form of `Retry-After`, or in the body.
fn throttles() -> Vec<Case> {
    let date = |seconds| RetryAfter::Date(SignedDuration::from_secs(seconds));
    let once = |retry| [Fault::throttled(retry).once()];
    let often = |retry| [Fault::throttled(retry)];
    let in_body = |seconds| Fault::error(429, ErrorBody::RetryInBody(seconds));
    vec![
        case("retry-in-a-second", Retried, once(RetryAfter::Seconds(1))),
        case("retry-at-a-date", Retried, once(date(2))),
        case("retry-at-once", Retried, once(RetryAfter::Seconds(0))),
        case("retry-in-the-past", Retried, once(date(-60))),
        case(
            "retry-soon",
            Retried,
            once(RetryAfter::Text("soon".to_owned())),
        ),
        case("retry-in-the-body", Retried, [in_body(1).once()]),
        case(
            "retry-after-the-walk",
            Down("rate_limited"),
            often(RetryAfter::Seconds(6)),
        ),
        case(
            "retry-at-a-later-date",
            Down("rate_limited"),
            often(date(6)),
        ),
        case(
            "retry-later-in-the-body",
            Down("rate_limited"),
            [in_body(6)],
        ),
    ]
}

/// Responses that are late, truncated, missing or too large.
fn transport() -> Vec<Case> {
    let second = Duration::from_secs(1);
    vec![
        case("hang", Down("timeout"), effect(Effect::Hang)),
        case("delay", Down("timeout"), effect(Effect::Delay(4 * second))),
        case(
            "drip",
            Down("timeout"),
            effect(Effect::Drip(10, second / 5)),
        ),
        case("stall", Down("timeout"), effect(Effect::StallAfter(100))),
        case("reset", Down("network"), effect(Effect::Reset)),
        // The connection was idle, so the exporter repeats the request at once and counts no retry.
        case("reset-once", Unaffected, [Fault::new(Effect::Reset).once()]),
        case(
            "reset-midway",
            Down("network"),
            effect(Effect::ResetAfter(100)),
        ),
        case("truncated", Down("network"), effect(Effect::Truncate(100))),
        case("gone", Down("network"), []),
        case(
            "oversized",
            Down("too_large"),
            effect(Effect::Oversized(1 << 20)),
        ),
        case(
            "gzip-bomb",
            Down("too_large"),
            effect(Effect::GzipBomb(1 << 28)),
        ),
    ]
}

/// Responses of status 200 without a valid list.
fn confusing_responses() -> Vec<Case> {
    let body = |text: &str| [Fault::body(text)];
    let page = |fault| [Fault::page(fault)];
    let html = Reply {
        status: 200,
        content_type: Some("text/html".to_owned()),
        headers: Vec::new(),
        body: b"<html><body>Maintenance</body></html>".to_vec(),
    };
    let mut cases = vec![
        case("no-body", Down("malformed"), body("")),
        case("brace", Down("malformed"), body("{")),
        case("null", Down("malformed"), body("null")),
        case("array", Down("malformed"), body("[]")),
        case("no-list", Down("malformed"), body("{\"api_id\":\"1\"}")),
        case("html", Down("malformed"), effect(Effect::Reply(html))),
        case("partial", Down("malformed"), effect(Effect::Partial(300))),
        case(
            "objects-missing",
            Down("malformed"),
            page(PageFault::NoObjects),
        ),
        case(
            "objects-null",
            Down("malformed"),
            page(PageFault::NullObjects),
        ),
        case(
            "empty-list",
            Down("inconsistent"),
            page(PageFault::EmptyObjects),
        ),
        case(
            "rows-all-broken",
            Down("inconsistent"),
            page(PageFault::BrokenRows),
        ),
        case(
            "offset-ignored",
            Down("inconsistent"),
            page(PageFault::IgnoreOffset),
        ),
    ];
    for (name, body) in [
        ("200-object", ErrorBody::Object),
        ("200-text", ErrorBody::Text),
        ("200-generic", ErrorBody::Generic),
        ("200-status-message", ErrorBody::StatusMessage),
    ] {
        cases.push(case(name, Down("malformed"), [Fault::error(200, body)]));
    }
    cases
}

/// Complete lists that need a confirmation, and unusual lists that need no confirmation.
fn odd_lists() -> Vec<Case> {
    let unregistered = || Fault::page(PageFault::Unregistered);
    let nothing = r#"{"meta":{"limit":5,"offset":0,"total_count":0},"objects":[]}"#;
    vec![
        case(
            "all-unregistered-once",
            Confirming,
            [unregistered().times(PAGES)],
        ),
        case("emptied-once", Confirming, [Fault::body(nothing).once()]),
        case(
            "all-unregistered-and-then-an-error",
            FailedOnce("server_error"),
            [
                unregistered().times(PAGES),
                // In the next walk, the first request and the only retry get these errors.
                Fault::status(500).after(PAGES).times(2),
            ],
        ),
        case(
            "content-type-html",
            Unaffected,
            effect(Effect::ContentType(Some("text/html".to_owned()))),
        ),
        case(
            "content-type-none",
            Unaffected,
            effect(Effect::ContentType(None)),
        ),
        case(
            "count-as-text",
            Unaffected,
            [Fault::page(PageFault::TotalCount(Count::Text))],
        ),
    ]
}

/// Redirects to another host and to the same host.
fn redirects(other_host: SocketAddr) -> Vec<Case> {
    let location = |host: &str| format!("{host}/api/v1/Account/MA_X/Endpoint");
    let redirect = |status, location| effect(Effect::Redirect { status, location });
    let mut cases = vec![case(
        "308-to-the-same-host",
        Down("redirect"),
        redirect(308, location("")),
    )];
    for status in [301, 302, 303, 307, 308] {
        let name = format!("{status}-to-another-host");
        let there = location(&format!("http://{other_host}"));
        cases.push(case(name, Down("redirect"), redirect(status, there)));
    }
    cases
}

/// All cases. Redirects to another host lead to `other_host`.
pub fn all(other_host: SocketAddr) -> Vec<Case> {
    let mut cases = error_statuses();
    cases.extend(throttles());
    cases.extend(transport());
    cases.extend(confusing_responses());
    cases.extend(odd_lists());
    cases.extend(redirects(other_host));
    cases
}
