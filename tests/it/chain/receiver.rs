//! Somebody who receives what Alertmanager sends.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Listens for webhooks and remembers what is news: an alert that begins or ends. Clones hear the same.
#[derive(Clone)]
pub struct Receiver {
    address: String,
    heard: Arc<Mutex<Heard>>,
}

#[derive(Default)]
struct Heard {
    /// What was last said of each alert to each receiver.
    states: BTreeMap<(String, String), String>,
    news: Vec<String>,
}

impl Receiver {
    /// Starts on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let heard = Arc::new(Mutex::new(Heard::default()));
        let ears = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Some((path, body)) = request(stream).await else {
                    continue;
                };
                let message: Value = serde_json::from_slice(&body).expect("webhooks are JSON");
                ears.lock().unwrap().hear(path.trim_matches('/'), &message);
            }
        });
        Self { address, heard }
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What has been heard so far, in order: receiver, `firing` or `resolved`, alert, account, name.
    pub fn news(&self) -> Vec<String> {
        self.heard.lock().unwrap().news.clone()
    }
}

impl Heard {
    fn hear(&mut self, receiver: &str, message: &Value) {
        for alert in message["alerts"].as_array().expect("it has alerts") {
            let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let labels = &alert["labels"];
            let mut name = word(&labels["alertname"]);
            for label in ["account", "alias"] {
                if let Some(value) = labels[label].as_str() {
                    name.push(' ');
                    name.push_str(value);
                }
            }
            let status = word(&alert["status"]);
            let key = (receiver.to_owned(), word(&alert["fingerprint"]));
            // The whole group is told whenever one of it has changed.
            if self.states.insert(key, status.clone()).as_ref() != Some(&status) {
                self.news.push(format!("{receiver} {status} {name}"));
            }
        }
    }
}

/// Reads a request with its body, and is content with it.
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
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                stream.write_all(answer.as_bytes()).await.ok()?;
                return Some((path, bytes[end + 4..].to_vec()));
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
