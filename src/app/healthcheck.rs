//! Asking the exporter of this host whether it lives, for a container without a shell.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{ExitError, end::Print};
use crate::cli::{ListenAddress, Web};

/// A process that lives answers within this time, name look-up included.
const PATIENCE: Duration = Duration::from_secs(2);
const REQUEST: &[u8] = b"GET /-/healthy HTTP/1.0\r\nHost: localhost\r\n\r\n";
/// The beginning of an answer up to its status.
const STATUS: usize = "HTTP/1.x 200".len();

/// Asks the exporter that serves at the first of these addresses.
///
/// # Errors
/// Code 1 when it cannot be reached, does not answer in time, or is not well.
pub(super) async fn healthcheck(web: &Web, out: &mut Print<'_>) -> Result<(), ExitError> {
    let Some(listen) = web.listen_addresses.first() else {
        return Err(ExitError::at_run_time("not healthy: it listens nowhere"));
    };
    let ill = |why: String| ExitError::at_run_time(format!("not healthy at {listen}: {why}"));
    let answer = timeout(PATIENCE, ask(listen)).await;
    let answer = answer.map_err(|_| ill(format!("no answer within {} s", PATIENCE.as_secs())))?;
    let status = answer.map_err(|error| ill(error.to_string()))?;
    if status.starts_with(b"HTTP/1.") && status.ends_with(b" 200") {
        return writeln!(out, "healthy");
    }
    let status = String::from_utf8_lossy(&status);
    Err(ill(format!("it answered {status:?}")))
}

/// The first bytes of the answer.
async fn ask(listen: &ListenAddress) -> io::Result<[u8; STATUS]> {
    let mut stream = match listen {
        // Who listens everywhere listens on loopback, and an empty container may know no names.
        ListenAddress::Everywhere(port) => {
            let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            let loopback = loopback.map(|address: IpAddr| SocketAddr::from((address, *port)));
            TcpStream::connect(&loopback[..]).await?
        }
        ListenAddress::Host(host, port) => TcpStream::connect((host.as_str(), *port)).await?,
    };
    stream.write_all(REQUEST).await?;
    let mut status = [0; STATUS];
    stream.read_exact(&mut status).await?;
    Ok(status)
}
