//! Handles a request: records it, applies latency and faults, and responds.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::Method;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use tokio::time::{Instant, sleep_until};
use url::form_urlencoded;

use super::body::{StepBody, Transfer};
use super::credentials::{self, PresentedCredentials};
use super::error_body::http_date;
use super::fault::{Decision, Effect, Subject};
use super::request_log::{RequestLog, RequestRecord};
use super::routes::{Request, Response, Route};
use super::vendor_state::State;

/// Tokio's timer rounds up to whole milliseconds, so [`handle`] subtracts this time from a sleep.
/// This makes the average latency accurate to a third of a millisecond. The measurement of walks in
/// scripts/perf.sh needs this accuracy.
const ROUNDING: Duration = Duration::from_millis(1);

/// Counts a request as in flight until the guard is dropped.
pub(super) struct InFlightGuard(Arc<State>);

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.note(RequestLog::done);
    }
}

/// Handles one request. If this function fails, hyper ends the connection without a response.
pub(super) async fn handle(
    state: Arc<State>,
    connection: u64,
    reset: Arc<AtomicBool>,
    request: hyper::Request<Incoming>,
) -> io::Result<hyper::Response<StepBody<InFlightGuard>>> {
    let arrival = Instant::now();
    let asked = read(&request);
    let (number, decision) = record_request(&state, connection, &request, &asked);
    let guard = InFlightGuard(Arc::clone(&state));

    let wait = state.latency() + decision.delay();
    if !wait.is_zero() {
        sleep_until(arrival + wait.saturating_sub(ROUNDING)).await;
    }
    match decision.replacement() {
        Some(Effect::Hang) => return pending().await,
        Some(Effect::Reset) => {
            reset.store(true, Ordering::Relaxed);
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        _ => {}
    }

    let (response, now) = state.with_world(|world| {
        let response = match decision.replacement() {
            Some(instead) => replacement_response(instead, world.now()),
            None => Response::to(&asked, world, &decision.page_faults()),
        };
        for effect in decision.effects() {
            if let Effect::Edit(edit) = effect {
                edit.apply(world);
            }
        }
        (response, world.now())
    });
    state.note(|log| log.answered(number, response.status));
    Ok(respond(
        &state, &request, response, &decision, now, reset, guard,
    ))
}

fn read(request: &hyper::Request<Incoming>) -> Request {
    let headers = request.headers();
    Request {
        get: request.method() == Method::GET,
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        auth_id: text(headers, "x-auth-id"),
        token: text(headers, "x-auth-token"),
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Adds the request to the log, and selects the faults that apply to it.
fn record_request(
    state: &State,
    connection: u64,
    request: &hyper::Request<Incoming>,
    asked: &Request,
) -> (u64, Decision) {
    let route = Route::of(&asked.path);
    let (auth_id, token) = (asked.auth_id.as_deref(), asked.token.as_deref());
    let (time, accepted) = state.with_world(|world| {
        let path_account = route.account().unwrap_or_default();
        (
            world.now(),
            credentials::check(world, path_account, auth_id, token).is_ok(),
        )
    });
    let headers = request.headers();
    let record = RequestRecord {
        number: 0,
        connection,
        time,
        since_start: state.since_start(),
        operation: route.operation(),
        method: request.method().to_string(),
        path: asked.path.clone(),
        query: asked.query.clone(),
        account: route.account().map(ToOwned::to_owned),
        user_agent: text(headers, "user-agent"),
        accept: text(headers, "accept"),
        accept_encoding: text(headers, "accept-encoding"),
        authorization: headers.contains_key(header::AUTHORIZATION),
        presented: PresentedCredentials {
            auth_id: auth_id.is_some(),
            token: token.is_some(),
            accepted,
        },
        status: None,
    };
    let number = state.note(|log| log.arrive(record));
    let mut parameters = form_urlencoded::parse(asked.query.as_bytes());
    let offset = parameters.find(|(name, _)| name == "offset");
    let subject = Subject {
        operation: route.operation(),
        account: route.account(),
        endpoint: match &route {
            Route::Retrieve { endpoint, .. } => Some(endpoint),
            _ => None,
        },
        offset: offset
            .and_then(|(_, value)| value.parse().ok())
            .unwrap_or(0),
    };
    let decision = state.plan().decide(&subject);
    (number, decision)
}

/// Builds the response that replaces the usual response.
fn replacement_response(instead: &Effect, now: Timestamp) -> Response {
    let mut response = Response::json(200, Vec::new());
    match instead {
        Effect::Error {
            status,
            body,
            retry_after,
        } => {
            let (content_type, body) = body.render(*status, now);
            response.status = *status;
            response.content_type = content_type.map(ToOwned::to_owned);
            response.body = body;
            let value = retry_after
                .as_ref()
                .map(|retry_after| retry_after.render(now));
            response
                .headers
                .extend(value.map(|value| ("retry-after".to_owned(), value)));
        }
        Effect::Reply(reply) => {
            response.status = reply.status;
            response.content_type.clone_from(&reply.content_type);
            response.headers.clone_from(&reply.headers);
            response.body.clone_from(&reply.body);
        }
        Effect::Redirect { status, location } => {
            response.status = *status;
            response.content_type = None;
            response
                .headers
                .push(("location".to_owned(), location.clone()));
        }
        _ => {}
    }
    response
}

fn respond(
    state: &State,
    request: &hyper::Request<Incoming>,
    mut response: Response,
    decision: &Decision,
    now: Timestamp,
    reset: Arc<AtomicBool>,
    guard: InFlightGuard,
) -> hyper::Response<StepBody<InFlightGuard>> {
    let (gzip, date, skew) = {
        let options = state.options();
        (options.gzip, options.date, options.clock_skew)
    };
    for effect in decision.effects() {
        if let Effect::ContentType(content_type) = effect {
            response.content_type.clone_from(content_type);
        }
    }
    let accepted = text(request.headers(), "accept-encoding");
    let accepted = accepted.is_some_and(|codings| codings.to_ascii_lowercase().contains("gzip"));
    let transfer = Transfer::of(response.body, gzip && accepted, decision.transfer());
    let body = StepBody::new(transfer.steps, transfer.length, reset, guard);
    let mut http_response = hyper::Response::new(body);
    // If a test plans a status that HTTP does not allow, the response has status 200.
    *http_response.status_mut() = response.status.try_into().unwrap_or_default();
    if date {
        let skew = skew.saturating_add(decision.clock());
        let shown = now.saturating_add(skew).unwrap_or(now);
        response.headers.push(("date".to_owned(), http_date(shown)));
    }
    if transfer.gzip {
        response
            .headers
            .push(("content-encoding".to_owned(), "gzip".to_owned()));
    }
    let content_type = response
        .content_type
        .map(|value| ("content-type".to_owned(), value));
    for (name, value) in response.headers.into_iter().chain(content_type) {
        let name = HeaderName::try_from(name);
        let value = HeaderValue::try_from(value);
        if let (Ok(name), Ok(value)) = (name, value) {
            http_response.headers_mut().append(name, value);
        }
    }
    http_response
}
