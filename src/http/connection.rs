//! One connection, from its first byte to its end.

use std::{
    convert::Infallible,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use futures_util::FutureExt;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{body::Ticket, front::Front, pages::Pages, patience::Patient, settings::Limits};
use crate::shutdown::CancellationToken;

/// What a connection is doing, for those who may end it: requests read, and answers that have left.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    asked: AtomicU32,
    answered: AtomicU32,
}

impl Pulse {
    pub(super) fn asked(&self) {
        self.asked.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn answered(&self) {
        self.answered.fetch_add(1, Ordering::AcqRel);
    }

    /// Requests read so far (it may wrap around).
    pub(super) fn requests(&self) -> u32 {
        self.asked.load(Ordering::Acquire)
    }

    /// Has a request been read whose answer has not left completely?
    pub(super) fn is_answering(&self) -> bool {
        self.requests() != self.answered.load(Ordering::Acquire)
    }
}

/// Serves one connection until either side ends it. When it is asked to `leave`, the answer under
/// way is finished first; a request that has not come completely is not waited for.
pub(super) async fn tend<P: Pages>(
    stream: TcpStream,
    front: Arc<Front<P>>,
    limits: Arc<Limits>,
    pulse: Arc<Pulse>,
    leave: CancellationToken,
) {
    // Without it, the end of an answer may wait for the reader's acknowledgement. A socket that
    // refuses is already broken, which the first read will tell.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let answer = front.answer(&request, Ticket::new(&pulse));
        answer.map(Ok::<_, Infallible>)
    });
    let mut protocol = http1::Builder::new();
    protocol
        .writev(true)
        .half_close(true)
        .max_header_size(limits.head_bytes)
        .header_read_timeout(None);
    let stream = Patient::new(stream, Arc::clone(&pulse), limits);
    let mut connection = pin!(protocol.serve_connection(TokioIo::new(stream), service));

    // A connection's own errors (a reset, a broken head, lost patience) concern only its client. The
    // connection comes first: what has already arrived is answered before anyone leaves.
    tokio::select! {
        biased;
        _ = connection.as_mut() => return,
        () = leave.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    let at_once = connection.as_mut().now_or_never();
    if at_once.is_none() && pulse.is_answering() {
        let _ = connection.await;
    }
}
