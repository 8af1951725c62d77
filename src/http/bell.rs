//! What `/probe` asks, as a trait, so that a test can put anything behind it.

use std::{fmt::Debug, sync::Arc};

use futures_util::future::{BoxFuture, FutureExt};
use hyper::{HeaderMap, Request, header::HeaderName};

use super::negotiation::{self, MediaType};
use crate::{
    exposition::Encoding,
    probe::{ProbeRequest, ProbeResponse, Prober, Retrieve},
};

/// The scraper's own patience, in seconds.
const TIMEOUT: HeaderName = HeaderName::from_static("x-prometheus-scrape-timeout-seconds");

/// Whoever answers probes. The only one behind the door that may take its time, within the time
/// that the request allows.
pub trait Bell: Debug + Send + Sync + 'static {
    /// The answer to one request.
    fn ring(self: Arc<Self>, asked: ProbeRequest) -> BoxFuture<'static, ProbeResponse>;
}

impl<R: Retrieve> Bell for Prober<R> {
    fn ring(self: Arc<Self>, asked: ProbeRequest) -> BoxFuture<'static, ProbeResponse> {
        async move { self.probe(&asked).await }.boxed()
    }
}

/// What a request asks, and how it wants its samples.
pub(super) fn asked<B>(request: &Request<B>) -> (ProbeRequest, MediaType, Encoding) {
    let wanted = request.headers();
    let media_type = negotiation::media_type(wanted);
    let encoding = negotiation::encoding(wanted);
    let asked = ProbeRequest {
        query: request.uri().query().unwrap_or_default().to_owned(),
        timeout: timeout(wanted),
        format: media_type.format(),
        encoding,
    };
    (asked, media_type, encoding)
}

/// The header's value; several headers are one list, which nobody takes for a number.
fn timeout(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(TIMEOUT).into_iter();
    let values: Vec<_> = values
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    (!values.is_empty()).then(|| values.join(","))
}
