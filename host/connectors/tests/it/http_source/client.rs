//! A client that writes requests byte by byte, so that tests can send what no library
//! would.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

pub(super) const JSON: &str = "application/json";
pub(super) const LINES: &str = "application/x-ndjson";

/// A connection that is kept open.
pub(super) struct Client(BufReader<TcpStream>);

/// What was answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Value,
}

impl Reply {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

impl Client {
    pub(super) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    /// Posts `body` to `/`.
    pub(super) async fn post(&mut self, content_type: &str, body: impl AsRef<[u8]>) -> Reply {
        self.send("POST", "/", &[("content-type", content_type)], body).await
    }

    /// Sends a request with a body, and reads the answer.
    pub(super) async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Reply {
        let length = body.as_ref().len().to_string();
        let headers = [headers, &[("content-length", &length)]].concat();
        self.write(&head(method, path, &headers)).await;
        self.write(body.as_ref()).await;
        self.reply().await.expect("an answer")
    }

    /// Writes raw bytes. A server that has closed the connection is no error here.
    pub(super) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.0.get_mut().write_all(bytes.as_ref()).await;
    }

    /// Reads an answer; none when the connection is closed without one.
    pub(super) async fn reply(&mut self) -> Option<Reply> {
        let mut line = String::new();
        if self.0.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        loop {
            line.clear();
            self.0.read_line(&mut line).await.ok()?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.push((name.to_lowercase(), value.to_owned()));
        }
        let mut reply = Reply { status, headers, body: Value::Null };
        let mut body = vec![0; reply.header("content-length").map_or(0, |length| length.parse().unwrap())];
        self.0.read_exact(&mut body).await.ok()?;
        reply.body = serde_json::from_slice(&body).unwrap_or_default();
        Some(reply)
    }
}

/// The head of a request, with its empty line.
pub(super) fn head(method: &str, path: &str, headers: &[(&str, &str)]) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{method} {path} HTTP/1.1\r\nhost: test\r\n{headers}\r\n")
}
