//! The client of `--healthcheck`: sends one request to an exporter on this host.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use hyper::StatusCode;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::listen::ListenAddress;

/// The number of bytes of a status line up to the end of its code: `HTTP/1.0 200`.
const STATUS_LENGTH: usize = 12;

/// The status of the response to `path` of the exporter at `listen`.
///
/// # Errors
/// The exporter is not reachable, requires a client certificate, or does not respond with HTTP.
pub async fn health_status(
    listen: &ListenAddress,
    path: &str,
    with_tls: bool,
) -> io::Result<StatusCode> {
    let stream = match listen {
        // `:PORT` includes the loopback IP addresses. In a container, `localhost` may not resolve.
        ListenAddress::Everywhere(port) => {
            let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            let loopback = loopback.map(|address: IpAddr| SocketAddr::from((address, *port)));
            TcpStream::connect(&loopback[..]).await?
        }
        ListenAddress::Host(host, port) => TcpStream::connect((host.as_str(), *port)).await?,
    };
    if !with_tls {
        return status(stream, path).await;
    }
    let connector = TlsConnector::from(Arc::new(unverified()?));
    let name = ServerName::from(IpAddr::from(Ipv4Addr::LOCALHOST));
    let failed = |error| {
        let advice =
            "an exporter that requires client certificates needs --web.probe-listen-address";
        io::Error::other(format!("{error}; {advice}"))
    };
    let stream = connector.connect(name, stream).await.map_err(failed)?;
    status(stream, path).await.map_err(failed)
}

async fn status(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    path: &str,
) -> io::Result<StatusCode> {
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut line = [0; STATUS_LENGTH];
    stream.read_exact(&mut line).await?;
    let code = line.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..));
    let status = code.and_then(|code| StatusCode::from_bytes(code).ok());
    let start = String::from_utf8_lossy(&line);
    status.ok_or_else(|| io::Error::other(format!("the response starts with {start:?}")))
}

/// A client that accepts every certificate. The request has no secret, and the certificate need not be for a loopback
/// address.
fn unverified() -> io::Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.map_err(io::Error::other)?.dangerous();
    let builder = builder.with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)));
    Ok(builder.with_no_client_auth())
}

#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
