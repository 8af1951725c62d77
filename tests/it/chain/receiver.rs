//! A receiver for the messages of Alertmanager.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::message::Message;

/// The path to which the example configuration of Alertmanager sends Slack messages.
const SLACK: &str = "/slack";

/// Receives webhooks. All clones share the received messages.
#[derive(Clone)]
pub struct Receiver {
    address: String,
    messages: Arc<Mutex<Vec<Message>>>,
}

impl Receiver {
    /// Starts a receiver on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let messages = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&messages);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Some((path, body)) = request(stream).await else {
                    continue;
                };
                let body: Value = serde_json::from_slice(&body).expect("it is JSON");
                if path != SLACK {
                    shared.lock().unwrap().push(Message::read(&path, &body));
                }
            }
        });
        Self { address, messages }
    }

    /// The address of the receiver as `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// All received messages, in order.
    pub fn messages(&self) -> Vec<Message> {
        self.messages.lock().unwrap().clone()
    }
}

/// Reads a request with its body, and responds with success.
async fn request(mut stream: TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length?.trim().parse().ok()?;
            if bytes.len() >= end + 4 + length {
                let path = head.split_whitespace().nth(1)?.to_owned();
                // Slack's successful response has the body `ok`.
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
                stream.write_all(answer.as_bytes()).await.ok()?;
                return Some((path, bytes[end + 4..].to_vec()));
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
