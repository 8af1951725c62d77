//! The bodies of responses. A response is in progress until the stream has accepted its last byte.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use http_body_util::{Either, Empty, StreamBody};
use hyper::{
    Method, Response, StatusCode, Version, body::Frame, header::CONTENT_LENGTH,
    http::request::Parts,
};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::activity::Activity;
use crate::exposition::EncodedBody;

/// The error of a body that ends early.
pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The parts of a body that is made while the client reads it.
pub(super) type Parted = BoxStream<'static, Result<Bytes, BoxError>>;

/// The body of a response.
pub(super) enum Body {
    /// A body of known length.
    Whole(EncodedBody),
    /// A body that is made while the client reads it, of about `estimate` bytes.
    Parted { parts: Parted, estimate: u64 },
}

type Frames = Box<dyn Iterator<Item = Result<Frame<Bytes>, Infallible>> + Send>;
type PartedBody = StreamBody<BoxStream<'static, Result<Frame<Bytes>, BoxError>>>;

/// The body of a response, as hyper reads it.
pub(super) type ResponseBody =
    Either<StreamBody<stream::Iter<Frames>>, Either<PartedBody, Empty<Bytes>>>;

/// A response in progress.
pub(super) struct InProgress {
    pub(super) activity: Arc<Activity>,
    /// The number of the answer, once it is sent.
    answer: Option<u64>,
    /// The permit of a probe or of an answer for a program, which is free again at the end of its response.
    pub(super) permit: Option<OwnedSemaphorePermit>,
    /// The start of a scrape that is answered with metrics.
    pub(super) scrape: Option<Instant>,
}

impl InProgress {
    pub(super) fn begin(activity: &Arc<Activity>) -> Self {
        activity.begin_response();
        Self {
            activity: Arc::clone(activity),
            answer: None,
            permit: None,
            scrape: None,
        }
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        if let Some(start) = self.scrape {
            self.activity.end_scrape(start);
        }
        self.activity.end_response(self.answer);
    }
}

/// A piece of a response in progress. hyper drops a piece after the stream has accepted its bytes, or when the
/// connection ends. So the response stays in progress until the stream has accepted the last byte.
struct ResponseBytes {
    bytes: Bytes,
    _response: Arc<InProgress>,
}

impl AsRef<[u8]> for ResponseBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl ResponseBytes {
    fn frame(bytes: Bytes, response: &Arc<InProgress>) -> Frame<Bytes> {
        Frame::data(Bytes::from_owner(Self {
            bytes,
            _response: Arc::clone(response),
        }))
    }
}

/// The response as hyper sends it, which begins now and is in progress until its last byte. Sets its length, if it is
/// known.
pub(super) fn in_progress(
    mut response: Response<Body>,
    request: &Parts,
    mut in_progress: InProgress,
) -> Response<ResponseBody> {
    let (length, estimate) = match response.body() {
        Body::Whole(body) => (Some(body.length), body.length),
        Body::Parted { estimate, .. } => (None, *estimate),
    };
    // The length of a response with status 304 would be that of another one.
    let length = length.filter(|_| response.status() != StatusCode::NOT_MODIFIED);
    if let Some(length) = length {
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    in_progress.answer = Some(in_progress.activity.begin_answer(estimate));
    if request.method == Method::HEAD && request.version >= Version::HTTP_2 {
        // hyper drops the body of a response to HEAD only for HTTP/1.
        return response.map(|_| Either::Right(Either::Right(Empty::new())));
    }
    let in_progress = Arc::new(in_progress);
    response.map(|body| match body {
        Body::Whole(body) => {
            let frames = body.pieces;
            let frames = frames.map(move |bytes| Ok(ResponseBytes::frame(bytes, &in_progress)));
            Either::Left(StreamBody::new(stream::iter(Box::new(frames) as Frames)))
        }
        Body::Parted { parts, .. } => {
            let frame = move |part: Result<_, _>| {
                part.map(|bytes| ResponseBytes::frame(bytes, &in_progress))
            };
            Either::Right(Either::Left(StreamBody::new(parts.map(frame).boxed())))
        }
    })
}
