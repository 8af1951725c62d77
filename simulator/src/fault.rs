//! Planned faults: which requests they match, and their effects.

use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::SignedDuration;

use super::error_body::{ErrorBody, RetryAfter};
use super::page_fault::PageFault;
use super::world::World;

/// The operation of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// The list of endpoints.
    ListEndpoints,
    /// One endpoint.
    RetrieveEndpoint,
    /// Any other path.
    Other,
}

/// A complete response that replaces the vendor's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// `Content-Type`; `None` sends no such header.
    pub content_type: Option<String>,
    /// More headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// The effect of a fault.
#[derive(Debug)]
pub enum Effect {
    /// An error response; with status 200, an error body with a success status.
    Error {
        /// The status.
        status: u16,
        /// The form of the body.
        body: ErrorBody,
        /// The `Retry-After` header.
        retry_after: Option<RetryAfter>,
    },
    /// This response.
    Reply(Reply),
    /// A redirect.
    Redirect {
        /// A 3xx status.
        status: u16,
        /// `Location`.
        location: String,
    },
    /// No response; the connection stays open.
    Hang,
    /// The connection is reset before the first byte of a response.
    Reset,
    /// The connection is reset after the headers and this many bytes of the body.
    ResetAfter(usize),
    /// `Content-Length` is the one of the whole body; the connection is closed after this many bytes.
    Truncate(usize),
    /// The body stops after this many bytes; the connection stays open.
    StallAfter(usize),
    /// The body is sent in parts of this many bytes, with this delay before each.
    Drip(usize, Duration),
    /// A complete response whose JSON is cut after this many bytes.
    Partial(usize),
    /// This many bytes of white space before the body, without a `Content-Length`.
    Oversized(u64),
    /// The same, gzip-compressed to a thousandth.
    GzipBomb(u64),
    /// The correct body with another `Content-Type`, or none.
    ContentType(Option<String>),
    /// The `Date` header is wrong by this much.
    Clock(SignedDuration),
    /// The response is delayed by this much.
    Delay(Duration),
    /// A page of the list is wrong.
    Page(PageFault),
    /// The world is changed after the response is built, and before the next one is.
    Edit(Edit),
}

/// A change of the world between two requests.
pub struct Edit(Mutex<Box<Change>>);

type Change = dyn FnMut(&mut World) + Send;

/// An effect, the requests that it matches, and how often it applies.
#[derive(Debug)]
pub struct Fault {
    pub(super) effect: Effect,
    operation: Option<Operation>,
    account: Option<String>,
    endpoint: Option<String>,
    offsets: (Bound<usize>, Bound<usize>),
    pub(super) skip: u64,
    pub(super) times: u64,
}

/// The properties of a request that a fault matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subject<'a> {
    pub(super) operation: Operation,
    pub(super) account: Option<&'a str>,
    pub(super) endpoint: Option<&'a str>,
    pub(super) offset: usize,
}

impl Fault {
    /// This effect on every request, without end.
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

    /// An error response with [`ErrorBody::Object`].
    pub fn status(status: u16) -> Self {
        Self::error(status, ErrorBody::Object)
    }

    /// An error response with this body.
    pub fn error(status: u16, body: ErrorBody) -> Self {
        Self::new(Effect::Error {
            status,
            body,
            retry_after: None,
        })
    }

    /// Status 429 with this header.
    pub fn throttled(retry_after: RetryAfter) -> Self {
        let body = ErrorBody::Object;
        Self::new(Effect::Error {
            status: 429,
            body,
            retry_after: Some(retry_after),
        })
    }

    /// Status 200 with these bytes and the content type of JSON.
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

    /// Wrong pages of the list.
    pub fn page(fault: PageFault) -> Self {
        Self::new(Effect::Page(fault)).on(Operation::ListEndpoints)
    }

    /// The world is changed after each response to a matching request.
    pub fn edit(change: impl FnMut(&mut World) + Send + 'static) -> Self {
        Self::new(Effect::Edit(Edit(Mutex::new(Box::new(change)))))
    }

    /// Only requests of this operation.
    #[must_use]
    pub fn on(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self
    }

    /// Only requests whose path names this auth id.
    #[must_use]
    pub fn for_account(mut self, auth_id: impl Into<String>) -> Self {
        self.account = Some(auth_id.into());
        self
    }

    /// Only retrieve requests of this endpoint.
    #[must_use]
    pub fn for_endpoint(mut self, id: impl Into<String>) -> Self {
        self.endpoint = Some(id.into());
        self.on(Operation::RetrieveEndpoint)
    }

    /// Only list requests with an `offset` in this range.
    #[must_use]
    pub fn at_offsets(mut self, offsets: impl RangeBounds<usize>) -> Self {
        self.offsets = (offsets.start_bound().cloned(), offsets.end_bound().cloned());
        self.on(Operation::ListEndpoints)
    }

    /// Only after this many matching requests without the effect.
    #[must_use]
    pub fn after(mut self, requests: u64) -> Self {
        self.skip = requests;
        self
    }

    /// At most this many times.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    /// Once.
    #[must_use]
    pub fn once(self) -> Self {
        self.times(1)
    }

    pub(super) fn matches(&self, subject: &Subject<'_>) -> bool {
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

/// A request has at most one effect of each of the first two kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Replaces the response.
    Replacement,
    /// Changes how the body is sent.
    Transfer,
    /// Anything else; any number of these apply.
    Other,
}

impl Effect {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Error { .. }
            | Self::Reply(_)
            | Self::Redirect { .. }
            | Self::Hang
            | Self::Reset => Kind::Replacement,
            Self::ResetAfter(_)
            | Self::Truncate(_)
            | Self::StallAfter(_)
            | Self::Drip(..)
            | Self::Partial(_)
            | Self::Oversized(_)
            | Self::GzipBomb(_) => Kind::Transfer,
            Self::ContentType(_)
            | Self::Clock(_)
            | Self::Delay(_)
            | Self::Page(_)
            | Self::Edit(_) => Kind::Other,
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
