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
    /// Listing the endpoints.
    ListEndpoints,
    /// Retrieving one endpoint.
    RetrieveEndpoint,
    /// A request of any other path.
    Other,
}

/// A complete response that replaces the vendor's response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// `Content-Type`; `None` sends no such header.
    pub content_type: Option<String>,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// The bytes of the body.
    pub body: Vec<u8>,
}

/// The effect of a fault.
#[derive(Debug)]
pub enum Effect {
    /// An error response. With status 200, an error body has a success status.
    Error {
        /// The HTTP status.
        status: u16,
        /// The form of the body.
        body: ErrorBody,
        /// The value of the `Retry-After` header, if any.
        retry_after: Option<RetryAfter>,
    },
    /// This response is sent.
    Reply(Reply),
    /// A redirect is sent.
    Redirect {
        /// The HTTP status, a 3xx.
        status: u16,
        /// The `Location` header.
        location: String,
    },
    /// No response is sent, and the connection stays open.
    Hang,
    /// The connection is reset before the first byte of a response.
    Reset,
    /// The connection is reset after the headers and this many bytes of the body.
    ResetAfter(usize),
    /// `Content-Length` has the full length, but the connection is closed after this many bytes.
    Truncate(usize),
    /// The body stops after this many bytes; the connection stays open.
    StallAfter(usize),
    /// The body is sent in parts of this many bytes, with this delay before each.
    Drip(usize, Duration),
    /// The JSON ends after this many bytes, and the response is complete in HTTP.
    Partial(usize),
    /// This many bytes of white space precede the body, without a `Content-Length`.
    Oversized(u64),
    /// This many bytes of white space precede the body, compressed by gzip to a thousandth.
    GzipBomb(u64),
    /// The body is correct, but `Content-Type` has this value, or is missing for `None`.
    ContentType(Option<String>),
    /// The `Date` header is wrong by this duration.
    Clock(SignedDuration),
    /// The response is delayed by this duration.
    Delay(Duration),
    /// The list page has this fault.
    Page(PageFault),
    /// The world is changed after this response is built and before the next response is built.
    Edit(Edit),
}

/// A change of the world between two responses.
pub struct Edit(Mutex<Box<Change>>);

type Change = dyn FnMut(&mut World) + Send;

/// An effect, the requests that it matches, and the number of times that it applies.
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

/// The properties of a request that decide whether a fault matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subject<'a> {
    pub(super) operation: Operation,
    pub(super) account: Option<&'a str>,
    pub(super) endpoint: Option<&'a str>,
    pub(super) offset: usize,
}

impl Fault {
    /// Creates a fault that applies this effect to every request, without end.
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

    /// Creates a fault of the list pages.
    pub fn page(fault: PageFault) -> Self {
        Self::new(Effect::Page(fault)).on(Operation::ListEndpoints)
    }

    /// Creates a fault that changes the world after each response to a matching request.
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

    /// Skips this many matching requests before the effect applies.
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

/// The kind of an effect. A request has at most one `Replacement` and one `Transfer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The effect replaces the response.
    Replacement,
    /// The effect changes how the body is sent.
    Transfer,
    /// Any other effect; a request may have several.
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
