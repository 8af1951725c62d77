//! A server of connections without sockets. Only the tests and the fuzz targets have it.

use std::sync::Arc;

use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
};

use super::{
    access::Access,
    connection::{Answering, serve_http1, serve_http2},
    connections::Connections,
    lifecycle::Peer,
    limits_and_timeouts::Settings,
    router::{Handlers, ProbeHandler, Router},
    timeout_stream::TimeoutStream,
};
use crate::{
    exposition::DataSource, shutdown::CancellationToken, telemetry::Instruments,
    web_config::WebConfig,
};

/// A server that answers like [`Bound`](super::Bound), but has no sockets.
pub struct InMemoryServer {
    router: Arc<Router>,
    settings: Arc<Settings>,
    connections: Arc<Connections>,
}

impl InMemoryServer {
    /// A server with `/probe`. The TLS settings of `web_config` have no effect.
    pub fn new(
        settings: Settings,
        web_config: Option<WebConfig>,
        data: Arc<dyn DataSource>,
        probe_handler: Arc<dyn ProbeHandler>,
    ) -> Self {
        let instruments = Instruments::new();
        let connections = Arc::new(Connections::new(&settings, instruments.clone()));
        let access = Access {
            allowed_hosts: settings.allowed_hosts.clone(),
            web_config,
        };
        let handlers = Handlers {
            probe: watch::Sender::new(Some(probe_handler)).subscribe(),
            ..Handlers::default()
        };
        let table = Arc::clone(&connections);
        let router = Router::new(&settings, access, data, handlers, instruments, table);
        Self {
            router: Arc::new(router),
            settings: Arc::new(settings),
            connections,
        }
    }

    /// Serves one connection to its end. With `is_http2`, the connection speaks HTTP/2, as if a client had chosen it in
    /// the TLS handshake.
    pub async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin, is_http2: bool) {
        let activity = self.connections.add();
        let service = Answering {
            router: Arc::clone(&self.router),
            activity: Arc::clone(&activity),
            peer: Peer::default(),
        };
        let settings = Arc::clone(&self.settings);
        let mut stream = TimeoutStream::new(stream, Arc::clone(&activity), settings);
        stream.end_handshake(is_http2);
        let (max_head_bytes, shutdown) = (self.settings.max_head_bytes, CancellationToken::new());
        if is_http2 {
            serve_http2(stream, service, max_head_bytes, shutdown).await;
        } else {
            serve_http1(stream, service, max_head_bytes, shutdown).await;
        }
        self.connections.remove(&activity);
    }
}
