//! Planned faults: their effects, the requests that they match, and the list of planned faults.

use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::SignedDuration;

use super::error_body::{ErrorBody, RetryAfter};
use super::page_fault::PageFault;
use super::world::World;

/// The operation of a request. The path alone determines the operation, not the method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Listing the endpoints.
    ListEndpoints,
    /// Retrieving one endpoint.
    RetrieveEndpoint,
    /// A request with any other path.
    Other,
}

/// A response instead of the usual response. The vendor can add `Date` to it and compress it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The `Content-Type` header; `None` omits the header.
    pub content_type: Option<String>,
    /// The headers other than `Content-Type`.
    pub headers: Vec<(String, String)>,
    /// The bytes of the body.
    pub body: Vec<u8>,
}

/// The effect of a fault.
#[derive(Debug)]
pub enum Effect {
    /// An error response. Status 200 simulates an error body in a successful response.
    Error {
        /// The HTTP status.
        status: u16,
        /// The form of the body.
        body: ErrorBody,
        /// The value of the `Retry-After` header, if any.
        retry_after: Option<RetryAfter>,
    },
    /// The vendor sends this response.
    Reply(Reply),
    /// The vendor sends a redirect.
    Redirect {
        /// The HTTP status, from 300 to 399.
        status: u16,
        /// The `Location` header.
        location: String,
    },
    /// The vendor sends no response and keeps the connection open.
    Hang,
    /// The vendor resets the connection before the first byte of a response.
    Reset,
    /// The vendor resets the connection after the headers and this many bytes of the body.
    ResetAfter(usize),
    /// The vendor closes the connection after this many bytes of the body. `Content-Length` is the
    /// length of the whole body.
    Truncate(usize),
    /// The body stops after this many bytes; the connection stays open.
    StallAfter(usize),
    /// The body is sent in parts of this many bytes, with this delay before each part.
    Drip(usize, Duration),
    /// The JSON is cut off after this many bytes, but the HTTP response is complete.
    Partial(usize),
    /// The body starts with at least this many spaces. There is no `Content-Length`.
    Oversized(u64),
    /// The body starts with at least this many spaces. The vendor always applies gzip, which makes
    /// the spaces about a thousand times smaller.
    GzipBomb(u64),
    /// The `Content-Type` header has this value; `None` omits the header. The body does not change.
    ContentType(Option<String>),
    /// The vendor adds this duration to the time in the `Date` header.
    Clock(SignedDuration),
    /// The vendor adds this duration to the latency of the response.
    Delay(Duration),
    /// The list page has this fault.
    Page(PageFault),
    /// The vendor applies this edit to the world after it has built the response, and before it
    /// sends the response. With `Hang` or `Reset`, the edit does not apply.
    Edit(Edit),
}

/// A change of the world between two responses.
pub struct Edit(Mutex<Box<Change>>);

type Change = dyn FnMut(&mut World) + Send;

/// An effect, the requests that the fault matches, and how often the effect applies.
#[derive(Debug)]
pub struct Fault {
    effect: Effect,
    operation: Option<Operation>,
    account: Option<String>,
    endpoint: Option<String>,
    offsets: (Bound<usize>, Bound<usize>),
    skip: u64,
    times: u64,
}

/// The properties of a request that decide whether a fault matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subject<'a> {
    pub(super) operation: Operation,
    pub(super) account: Option<&'a str>,
    pub(super) endpoint: Option<&'a str>,
    pub(super) offset: usize,
}

impl Fault {
    /// Creates a fault that has this effect and matches every request.
    pub fn new(effect: Effect) -> Self {
        Self {
            effect,
            operation: None,
            account: None,
            endpoint: None,
            offsets: (Bound::Unbounded, Bound::Unbounded),
            skip: 0,
            times: u64::MAX,
        }
    }

    /// Creates a fault that sends this status with [`ErrorBody::Object`].
    pub fn status(status: u16) -> Self {
        Self::error(status, ErrorBody::Object)
    }

    /// Creates a fault that sends this status and error body.
    pub fn error(status: u16, body: ErrorBody) -> Self {
        Self::new(Effect::Error {
            status,
            body,
            retry_after: None,
        })
    }

    /// Creates a fault that sends status 429 with this `Retry-After` header.
    pub fn throttled(retry_after: RetryAfter) -> Self {
        let body = ErrorBody::Object;
        Self::new(Effect::Error {
            status: 429,
            body,
            retry_after: Some(retry_after),
        })
    }

    /// Creates a fault that sends status 200, these bytes and the content type of JSON.
    pub fn body(body: impl Into<Vec<u8>>) -> Self {
        let content_type = Some("application/json".to_owned());
        let headers = Vec::new();
        Self::new(Effect::Reply(Reply {
            status: 200,
            content_type,
            headers,
            body: body.into(),
        }))
    }

    /// Creates a fault in the content of list pages.
    pub fn page(fault: PageFault) -> Self {
        Self::new(Effect::Page(fault)).on(Operation::ListEndpoints)
    }

    /// Creates a fault that applies this change to the world, as [`Effect::Edit`] describes.
    pub fn edit(change: impl FnMut(&mut World) + Send + 'static) -> Self {
        Self::new(Effect::Edit(Edit(Mutex::new(Box::new(change)))))
    }

    /// Limits the fault to requests of this operation.
    #[must_use]
    pub fn on(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self
    }

    /// Limits the fault to requests whose path has this auth id.
    #[must_use]
    pub fn for_account(mut self, auth_id: impl Into<String>) -> Self {
        self.account = Some(auth_id.into());
        self
    }

    /// Limits the fault to retrieve requests of this endpoint.
    #[must_use]
    pub fn for_endpoint(mut self, id: impl Into<String>) -> Self {
        self.endpoint = Some(id.into());
        self.on(Operation::RetrieveEndpoint)
    }

    /// Limits the fault to list requests with an `offset` in this range.
    #[must_use]
    pub fn at_offsets(mut self, offsets: impl RangeBounds<usize>) -> Self {
        self.offsets = (offsets.start_bound().cloned(), offsets.end_bound().cloned());
        self.on(Operation::ListEndpoints)
    }

    /// Skips this many matching requests before the effect applies. If an earlier planned fault
    /// takes precedence for a request, the request does not count.
    #[must_use]
    pub fn after(mut self, requests: u64) -> Self {
        self.skip = requests;
        self
    }

    /// Applies the effect at most this many times.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    /// Applies the effect once.
    #[must_use]
    pub fn once(self) -> Self {
        self.times(1)
    }

    fn matches(&self, subject: &Subject<'_>) -> bool {
        self.operation
            .is_none_or(|operation| operation == subject.operation)
            && self
                .account
                .as_deref()
                .is_none_or(|account| Some(account) == subject.account)
            && self
                .endpoint
                .as_deref()
                .is_none_or(|endpoint| Some(endpoint) == subject.endpoint)
            && self.offsets.contains(&subject.offset)
    }
}

/// The kind of an effect. At most one `Replacement` and one `Transfer` apply to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EffectKind {
    /// The effect replaces or prevents the response.
    Replacement,
    /// The effect changes how the body is sent.
    Transfer,
    /// Any other effect. Several effects of this kind can apply to one request.
    Other,
}

impl Effect {
    fn kind(&self) -> EffectKind {
        match self {
            Self::Error { .. }
            | Self::Reply(_)
            | Self::Redirect { .. }
            | Self::Hang
            | Self::Reset => EffectKind::Replacement,
            Self::ResetAfter(_)
            | Self::Truncate(_)
            | Self::StallAfter(_)
            | Self::Drip(..)
            | Self::Partial(_)
            | Self::Oversized(_)
            | Self::GzipBomb(_) => EffectKind::Transfer,
            Self::ContentType(_)
            | Self::Clock(_)
            | Self::Delay(_)
            | Self::Page(_)
            | Self::Edit(_) => EffectKind::Other,
        }
    }
}

impl Edit {
    pub(super) fn apply(&self, world: &mut World) {
        let mut change = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(world);
    }
}

impl fmt::Debug for Edit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Edit")
    }
}

/// The id of a planned fault, for [`Vendor::cancel`](super::Vendor::cancel).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultId(u64);

/// All planned faults, in the order of planning.
#[derive(Debug, Default)]
pub(super) struct Plan {
    rules: Vec<Rule>,
    named: u64,
}

#[derive(Debug)]
struct Rule {
    id: FaultId,
    fault: Fault,
    effect: Arc<Effect>,
    seen: u64,
    done: u64,
}

/// The effects that apply to one request.
#[derive(Debug, Default)]
pub(super) struct Decision(Vec<Arc<Effect>>);

impl Plan {
    pub(super) fn add(&mut self, mut fault: Fault) -> FaultId {
        self.named += 1;
        let id = FaultId(self.named);
        // Requests share the effect in the `Arc`. The `Hang` in `fault` is an unused placeholder.
        let effect = std::mem::replace(&mut fault.effect, Effect::Hang);
        self.rules.push(Rule {
            id,
            fault,
            effect: Arc::new(effect),
            seen: 0,
            done: 0,
        });
        id
    }

    /// Removes a fault. Returns false if the fault is not planned.
    pub(super) fn cancel(&mut self, id: FaultId) -> bool {
        let before = self.rules.len();
        self.rules.retain(|rule| rule.id != id);
        self.rules.len() < before
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }

    /// Selects the effects for a request. Removes each fault that has applied as often as planned.
    pub(super) fn decide(&mut self, subject: &Subject<'_>) -> Decision {
        let mut chosen: Vec<Arc<Effect>> = Vec::new();
        for rule in self
            .rules
            .iter_mut()
            .filter(|rule| rule.fault.matches(subject))
        {
            let kind = rule.effect.kind();
            let taken =
                kind != EffectKind::Other && chosen.iter().any(|effect| effect.kind() == kind);
            if taken {
                continue;
            }
            rule.seen += 1;
            if rule.seen > rule.fault.skip && rule.done < rule.fault.times {
                rule.done += 1;
                chosen.push(Arc::clone(&rule.effect));
            }
        }
        self.rules.retain(|rule| rule.done < rule.fault.times);
        Decision(chosen)
    }
}

impl Decision {
    /// The effect that replaces the response, if any.
    pub(super) fn replacement(&self) -> Option<&Effect> {
        self.of(EffectKind::Replacement)
    }

    /// The effect that changes how the body is sent, if any.
    pub(super) fn transfer(&self) -> Option<&Effect> {
        self.of(EffectKind::Transfer)
    }

    fn of(&self, kind: EffectKind) -> Option<&Effect> {
        self.0
            .iter()
            .map(AsRef::as_ref)
            .find(|effect| effect.kind() == kind)
    }

    pub(super) fn effects(&self) -> impl Iterator<Item = &Effect> {
        self.0.iter().map(AsRef::as_ref)
    }

    pub(super) fn page_faults(&self) -> Vec<&PageFault> {
        let mut faults = Vec::new();
        for effect in self.effects() {
            if let Effect::Page(fault) = effect {
                faults.push(fault);
            }
        }
        faults
    }

    /// The sum of the delays that the effects add to the response.
    pub(super) fn delay(&self) -> Duration {
        let delay = |effect: &Effect| match effect {
            Effect::Delay(delay) => *delay,
            _ => Duration::ZERO,
        };
        self.effects().map(delay).sum()
    }

    /// The sum of the durations that the effects add to the time in the `Date` header.
    pub(super) fn clock(&self) -> SignedDuration {
        let clock = |effect: &Effect| match effect {
            Effect::Clock(skew) => *skew,
            _ => SignedDuration::ZERO,
        };
        self.effects()
            .map(clock)
            .fold(SignedDuration::ZERO, SignedDuration::saturating_add)
    }
}
