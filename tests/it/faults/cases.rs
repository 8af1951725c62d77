//! The faults, and how each must be told.

use std::{net::SocketAddr, time::Duration};

use jiff::SignedDuration;
use vobiz_simulator::{Count, Effect, ErrorBody, Fault, PageFault, Reply, RetryAfter};

use super::PAGES;

/// What Prometheus must see of a fault.
#[derive(Debug, Clone, Copy)]
pub enum Told {
    /// The account is down for this one reason, and its last snapshot stays.
    As(&'static str),
    /// One walk fails for this reason, and the next is good; the snapshot stays.
    Passing(&'static str),
    /// A request is made again; the account stays up.
    Retried,
    /// The walk awaits one that agrees; the account stays up.
    Confirming,
    /// Nothing at all.
    NotAtAll,
}

use Told::{As, Confirming, NotAtAll, Passing, Retried};

/// A fault, told by an account of its own.
pub struct Case {
    pub name: String,
    pub told: Told,
    /// Planned together; empty: the vendor goes away altogether.
    pub faults: Vec<Fault>,
}

fn case(name: impl Into<String>, told: Told, faults: impl IntoIterator<Item = Fault>) -> Case {
    Case {
        name: name.into(),
        told,
        faults: faults.into_iter().collect(),
    }
}

fn effect(effect: Effect) -> [Fault; 1] {
    [Fault::new(effect)]
}

/// Answers that are no success, by their status and the form of their body.
fn refusals() -> Vec<Case> {
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
            cases.push(case(format!("{status}-{form}"), As(reason), [fault]));
        }
    }
    cases.push(case(
        "500-on-one-page",
        As("server_error"),
        [Fault::status(500).at_offsets(8..)],
    ));
    cases.push(case("500-once", Retried, [Fault::status(500).once()]));
    cases.push(case("408-once", Retried, [Fault::status(408).once()]));
    cases
}

/// 429 with every form of `Retry-After`.
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
            As("rate_limited"),
            often(RetryAfter::Seconds(6)),
        ),
        case("retry-at-a-later-date", As("rate_limited"), often(date(6))),
        case("retry-later-in-the-body", As("rate_limited"), [in_body(6)]),
    ]
}

/// Answers that come late, broken or not at all.
fn carriage() -> Vec<Case> {
    let second = Duration::from_secs(1);
    vec![
        case("hang", As("timeout"), effect(Effect::Hang)),
        case("delay", As("timeout"), effect(Effect::Delay(4 * second))),
        case("drip", As("timeout"), effect(Effect::Drip(10, second / 5))),
        case("stall", As("timeout"), effect(Effect::StallAfter(100))),
        case("reset", As("network"), effect(Effect::Reset)),
        // Every connection has been idle: the next one is tried at once.
        case("reset-once", NotAtAll, [Fault::new(Effect::Reset).once()]),
        case(
            "reset-midway",
            As("network"),
            effect(Effect::ResetAfter(100)),
        ),
        case("truncated", As("network"), effect(Effect::Truncate(100))),
        case("gone", As("network"), []),
        case(
            "oversized",
            As("too_large"),
            effect(Effect::Oversized(1 << 20)),
        ),
        case(
            "gzip-bomb",
            As("too_large"),
            effect(Effect::GzipBomb(1 << 28)),
        ),
    ]
}

/// Answers of status 200 that are no list.
fn confusing_responses() -> Vec<Case> {
    let said = |body: &str| [Fault::body(body)];
    let page = |fault| [Fault::page(fault)];
    let html = Reply {
        status: 200,
        content_type: Some("text/html".to_owned()),
        headers: Vec::new(),
        body: b"<html><body>Maintenance</body></html>".to_vec(),
    };
    let mut cases = vec![
        case("no-body", As("malformed"), said("")),
        case("brace", As("malformed"), said("{")),
        case("null", As("malformed"), said("null")),
        case("array", As("malformed"), said("[]")),
        case("no-list", As("malformed"), said("{\"api_id\":\"1\"}")),
        case("html", As("malformed"), effect(Effect::Reply(html))),
        case("partial", As("malformed"), effect(Effect::Partial(300))),
        case(
            "objects-missing",
            As("malformed"),
            page(PageFault::NoObjects),
        ),
        case(
            "objects-null",
            As("malformed"),
            page(PageFault::NullObjects),
        ),
        case(
            "empty-list",
            As("inconsistent"),
            page(PageFault::EmptyObjects),
        ),
        case(
            "rows-all-broken",
            As("inconsistent"),
            page(PageFault::BrokenRows),
        ),
        case(
            "offset-ignored",
            As("inconsistent"),
            page(PageFault::IgnoreOffset),
        ),
    ];
    for (name, body) in [
        ("200-object", ErrorBody::Object),
        ("200-text", ErrorBody::Text),
        ("200-generic", ErrorBody::Generic),
        ("200-status-message", ErrorBody::StatusMessage),
    ] {
        cases.push(case(name, As("malformed"), [Fault::error(200, body)]));
    }
    cases
}

/// Lists that are whole and not to be believed at once, or not to be doubted at all.
fn glitches() -> Vec<Case> {
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
            Passing("server_error"),
            [
                unregistered().times(PAGES),
                // The next walk, and its only retry.
                Fault::status(500).after(PAGES).times(2),
            ],
        ),
        case(
            "content-type-html",
            NotAtAll,
            effect(Effect::ContentType(Some("text/html".to_owned()))),
        ),
        case(
            "content-type-none",
            NotAtAll,
            effect(Effect::ContentType(None)),
        ),
        case(
            "count-as-text",
            NotAtAll,
            [Fault::page(PageFault::TotalCount(Count::Text))],
        ),
    ]
}

/// Redirects to another host and to this one.
fn redirects(elsewhere: SocketAddr) -> Vec<Case> {
    let location = |host: &str| format!("{host}/api/v1/Account/MA_X/Endpoint");
    let redirect = |status, location| effect(Effect::Redirect { status, location });
    let mut cases = vec![case(
        "308-to-the-same-host",
        As("redirect"),
        redirect(308, location("")),
    )];
    for status in [301, 302, 303, 307, 308] {
        let name = format!("{status}-to-another-host");
        let there = location(&format!("http://{elsewhere}"));
        cases.push(case(name, As("redirect"), redirect(status, there)));
    }
    cases
}

/// All of them; redirects lead `elsewhere`.
pub fn all(elsewhere: SocketAddr) -> Vec<Case> {
    let mut cases = refusals();
    cases.extend(throttles());
    cases.extend(carriage());
    cases.extend(confusing_responses());
    cases.extend(glitches());
    cases.extend(redirects(elsewhere));
    cases
}
