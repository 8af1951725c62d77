//! A receiver for the messages of Alertmanager.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{message::Message, post::Post};
use crate::harness::until;

/// The path to which the example configuration of Alertmanager sends Slack messages.
const SLACK: &str = "/slack";

/// Receives webhooks and Slack messages. All clones share the received messages.
#[derive(Clone)]
pub struct Receiver {
    address: String,
    received: Arc<Mutex<Received>>,
}

#[derive(Default)]
struct Received {
    messages: Vec<Message>,
    posts: Vec<Post>,
}

impl Receiver {
    /// Starts a receiver on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let received = Arc::new(Mutex::new(Received::default()));
        let shared = Arc::clone(&received);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Some((path, body)) = request(stream).await else {
                    continue;
                };
                let body: Value = serde_json::from_slice(&body).expect("it is JSON");
                shared.lock().unwrap().take(&path, &body);
            }
        });
        Self { address, received }
    }

    /// The address of the receiver as `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// All received webhook messages, in order.
    pub fn messages(&self) -> Vec<Message> {
        self.received.lock().unwrap().messages.clone()
    }

    /// Waits for the first Slack message with this title.
    pub async fn post(&self, title: &str) -> Post {
        until(title, || async {
            let received = self.received.lock().unwrap();
            let mut posts = received.posts.iter();
            posts.find(|post| post.title == title).cloned()
        })
        .await
    }
}

impl Received {
    fn take(&mut self, path: &str, body: &Value) {
        if path != SLACK {
            self.messages.push(Message::read(path, body));
            return;
        }
        self.posts.push(Post::read(body));
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
