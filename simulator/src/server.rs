//! The listener and its connections.

use std::convert::identity;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use super::connection::Connection;
use super::handler::handle;
use super::state::State;

/// The pause after a failed accept, for example when no file descriptor is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until the returned sender sends or is dropped.
pub(super) fn start(
    listener: TcpListener,
    state: Arc<State>,
) -> (oneshot::Sender<()>, JoinHandle<()>) {
    let (stop, stopped) = oneshot::channel();
    (stop, tokio::spawn(serve(listener, state, stopped)))
}

/// Accepts connections until `stopped` completes, then ends all connections.
async fn serve(listener: TcpListener, state: Arc<State>, mut stopped: oneshot::Receiver<()>) {
    let tls = state.options().tls.clone().map(TlsAcceptor::from);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_connection(stream, tls.clone(), Arc::clone(&state)));
                }
                Err(_) => sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    connections.shutdown().await;
}

/// Serves one connection until it ends. It ignores errors of the connection.
async fn serve_connection(stream: TcpStream, tls: Option<TlsAcceptor>, state: Arc<State>) {
    let number = state.note(|log| {
        log.counts.connections += 1;
        log.counts.connections
    });
    // Without this option, a small response can wait for the acknowledgement of an earlier packet.
    let _ = stream.set_nodelay(true);
    let reset = Arc::new(AtomicBool::new(false));
    let stream = match tls {
        None => Connection::plain(stream, Arc::clone(&reset)),
        Some(acceptor) => match acceptor.accept(stream).await {
            Ok(stream) => Connection::tls(stream, Arc::clone(&reset)),
            Err(_) => return,
        },
    };
    let keep_alive = state.options().keep_alive;
    let service =
        service_fn(move |request| handle(Arc::clone(&state), number, Arc::clone(&reset), request));
    let served = http1::Builder::new()
        .auto_date_header(false)
        .keep_alive(keep_alive)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    served.map_or_else(drop, identity);
}
