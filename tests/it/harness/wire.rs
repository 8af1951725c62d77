//! A wire that can be listened to.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// Hands every connection on to another address and remembers how each piece begins: enough to
/// read the heads of requests and answers.
pub struct Wire {
    address: String,
    heard: Arc<Mutex<String>>,
}

impl Wire {
    /// A wire whose other end is `target`.
    pub async fn to(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let heard = Arc::new(Mutex::new(String::new()));
        let (target, ears) = (target.to_owned(), Arc::clone(&heard));
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(&target).await else {
                    continue;
                };
                let (near, far) = (near.into_split(), far.into_split());
                tokio::spawn(carry(near.0, far.1, Arc::clone(&ears)));
                tokio::spawn(carry(far.0, near.1, Arc::clone(&ears)));
            }
        });
        Self { address, heard }
    }

    /// Its near end, as `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What was heard so far, in small letters.
    pub fn heard(&self) -> String {
        self.heard.lock().unwrap().to_lowercase()
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, heard: Arc<Mutex<String>>) {
    let mut piece = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        let begin = String::from_utf8_lossy(&piece[..read.min(1024)]).into_owned();
        heard.lock().unwrap().push_str(&begin);
        if to.write_all(&piece[..read]).await.is_err() {
            return;
        }
    }
}
