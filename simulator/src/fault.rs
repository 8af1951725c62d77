//! Faults on order: which requests are concerned, and what goes wrong with them.

use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::SignedDuration;

use super::error_body::{ErrorBody, RetryAfter};
use super::page_fault::PageFault;
use super::world::World;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// The list of endpoints.
    ListEndpoints,
    /// One endpoint.
    RetrieveEndpoint,
    /// A path that is neither.
    Other,
}

/// A complete answer that replaces the vendor's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// `Content-Type`; `None`: without.
    pub content_type: Option<String>,
    /// More headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What goes wrong.
#[derive(Debug)]
pub enum Effect {
    /// An error answer, or, with status 200, an error posing as success.
    Error {
        /// The status.
        status: u16,
        /// The body's form.
        body: ErrorBody,
        /// The `Retry-After` header.
        retry_after: Option<RetryAfter>,
    },
    /// This answer and no other.
    Reply(Reply),
    /// A redirect.
    Redirect {
        /// A status of the 300s.
        status: u16,
        /// `Location`.
        location: String,
    },
    /// No answer, and the connection stays open.
    Hang,
    /// The connection is reset before the first byte of an answer.
    Reset,
    /// The connection is reset after the headers and so many bytes of the body.
    ResetAfter(usize),
    /// `Content-Length` promises the whole body; the connection is closed after so many bytes.
    Truncate(usize),
    /// The body stops after so many bytes and the connection stays open.
    StallAfter(usize),
    /// The body comes in pieces of so many bytes, each this long after the one before.
    Drip(usize, Duration),
    /// A whole answer whose body ends after so many bytes of its JSON.
    Partial(usize),
    /// So many bytes of white space, of unannounced length, before the body.
    Oversized(u64),
    /// The same, compressed to a thousandth, announced as gzip.
    GzipBomb(u64),
    /// The right body under another `Content-Type`, or none.
    ContentType(Option<String>),
    /// The `Date` header is off by this much.
    Clock(SignedDuration),
    /// The answer comes this much later.
    Delay(Duration),
    /// Something is wrong with a page of the list.
    Page(PageFault),
    /// Once the answer is written down, and before any later request is, the world is changed.
    Edit(Edit),
}

/// A change of the world that happens between two requests.
pub struct Edit(Mutex<Box<Change>>);

type Change = dyn FnMut(&mut World) + Send;

/// A rule: what goes wrong, with which requests, how often.
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

/// What a rule looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subject<'a> {
    pub(super) operation: Operation,
    pub(super) account: Option<&'a str>,
    pub(super) endpoint: Option<&'a str>,
    pub(super) offset: usize,
}

impl Fault {
    /// This effect on every request, for ever.
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

    /// An error answer in the object form.
    pub fn status(status: u16) -> Self {
        Self::error(status, ErrorBody::Object)
    }

    /// An error answer in this form.
    pub fn error(status: u16, body: ErrorBody) -> Self {
        Self::new(Effect::Error {
            status,
            body,
            retry_after: None,
        })
    }

    /// 429 with this header.
    pub fn throttled(retry_after: RetryAfter) -> Self {
        let body = ErrorBody::Object;
        Self::new(Effect::Error {
            status: 429,
            body,
            retry_after: Some(retry_after),
        })
    }

    /// 200 with these bytes, announced as JSON.
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

    /// Something wrong with pages of the list.
    pub fn page(fault: PageFault) -> Self {
        Self::new(Effect::Page(fault)).on(Operation::ListEndpoints)
    }

    /// The world is changed each time such a request was answered.
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

    /// Only retrieves of this endpoint.
    #[must_use]
    pub fn for_endpoint(mut self, id: impl Into<String>) -> Self {
        self.endpoint = Some(id.into());
        self.on(Operation::RetrieveEndpoint)
    }

    /// Only list requests whose `offset` lies in this range.
    #[must_use]
    pub fn at_offsets(mut self, offsets: impl RangeBounds<usize>) -> Self {
        self.offsets = (offsets.start_bound().cloned(), offsets.end_bound().cloned());
        self.on(Operation::ListEndpoints)
    }

    /// Only after so many matching requests went well.
    #[must_use]
    pub fn after(mut self, requests: u64) -> Self {
        self.skip = requests;
        self
    }

    /// So many times, and never again.
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

    pub(super) fn concerns(&self, subject: &Subject<'_>) -> bool {
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

/// One request suffers at most one effect of each of the first two kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Something comes instead of the answer.
    Instead,
    /// The answer is carried badly.
    Carriage,
    /// Anything else; these add up.
    Other,
}

impl Effect {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Error { .. }
            | Self::Reply(_)
            | Self::Redirect { .. }
            | Self::Hang
            | Self::Reset => Kind::Instead,
            Self::ResetAfter(_)
            | Self::Truncate(_)
            | Self::StallAfter(_)
            | Self::Drip(..)
            | Self::Partial(_)
            | Self::Oversized(_)
            | Self::GzipBomb(_) => Kind::Carriage,
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
