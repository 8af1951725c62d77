//! A TCP proxy that records requests and responses.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// Forwards every connection to another address. Records at most 1 KiB from each call of `read`,
/// which is enough for the heads of requests and responses.
pub struct RecordingProxy {
    address: String,
    recorded: Arc<Mutex<String>>,
}

impl RecordingProxy {
    /// Starts a proxy that forwards to `target`.
    pub async fn to(target: &str) -> Self {
        Self::replacing(target, "", "").await
    }

    /// Starts a proxy that forwards to `target`, and replaces a text in responses by another one of the same length.
    pub async fn replacing(target: &str, old: &str, new: &str) -> Self {
        assert_eq!(old.len(), new.len(), "the length of a response stays");
        let replaced = (old.to_owned(), new.to_owned());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let recorded = Arc::new(Mutex::new(String::new()));
        let (target, shared) = (target.to_owned(), Arc::clone(&recorded));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&target).await else {
                    continue;
                };
                let (client, server) = (client.into_split(), server.into_split());
                let nothing = Default::default();
                tokio::spawn(forward(client.0, server.1, Arc::clone(&shared), nothing));
                let replaced = replaced.clone();
                tokio::spawn(forward(server.0, client.1, Arc::clone(&shared), replaced));
            }
        });
        Self { address, recorded }
    }

    /// The address of the proxy as `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// All recorded text in lower case.
    pub fn recorded(&self) -> String {
        self.recorded.lock().unwrap().to_lowercase()
    }
}

async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    recorded: Arc<Mutex<String>>,
    (old, new): (String, String),
) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        let start = String::from_utf8_lossy(&bytes[..read.min(1024)]).into_owned();
        recorded.lock().unwrap().push_str(&start);
        replace(&mut bytes[..read], old.as_bytes(), new.as_bytes());
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

/// Replaces each `old` in `bytes` by `new`, which has the same length.
fn replace(bytes: &mut [u8], old: &[u8], new: &[u8]) {
    if old.is_empty() {
        return;
    }
    for at in 0..bytes.len().saturating_sub(old.len() - 1) {
        let part = &mut bytes[at..at + old.len()];
        if part == old {
            part.copy_from_slice(new);
        }
    }
}
