//! Ports of this machine: free, or who answers there.
//!
//! Invariant: whoever answers is shown no credential.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use flowctl_client::{Client, Target};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::check::Check;
use super::plane::{Answered, words};
use super::within;
use crate::plane::DEFAULT_ADDRESS;

/// How long a server that was asked in HTTP may take.
const GREETING: Duration = Duration::from_secs(1);
/// Most bytes that are read of what it answers.
const MAX_GREETING_BYTES: usize = 8 << 10;
/// How an alert of TLS begins: its type, and the major version.
const TLS_ALERT: [u8; 2] = [0x15, 0x03];

/// Who has a port.
enum Owner {
    Nobody,
    /// The system does not let us have it.
    Forbidden(std::io::Error),
    /// The words say which version, or that it wants credentials.
    ControlPlane(String),
    /// The words say what it is.
    Other(String),
}

/// A port that was looked at.
pub(super) struct Port {
    number: u16,
    is_asked_for: bool,
    owner: Owner,
}

/// Looks at the default port of a control plane, and at those that were asked for.
pub(super) async fn look(asked_for: &[u16]) -> Vec<Port> {
    let default: SocketAddr = DEFAULT_ADDRESS.parse().expect("the default address is one");
    let own = (!asked_for.contains(&default.port())).then_some((default, false));
    let asked_for = asked_for.iter().map(|port| (SocketAddr::from((Ipv4Addr::LOCALHOST, *port)), true));
    let all = own.into_iter().chain(asked_for).map(|(address, is_asked_for)| async move {
        Port { number: address.port(), is_asked_for, owner: owner(address).await }
    });
    futures_util::future::join_all(all).await
}

impl Port {
    /// Whether it is free; one that was asked for must be. `plane` is the control plane that
    /// answered its caller, perhaps at this port, and perhaps over TLS.
    pub(super) fn check(self, plane: Option<&Answered>) -> Check {
        let Self { number, is_asked_for, owner } = self;
        let name = format!("port {number}");
        let remedy = || match is_asked_for {
            true => format!("end what listens there (`ss -ltnp 'sport = :{number}'`), or take another port"),
            false => "flowctl serve --listen 127.0.0.1:0".to_owned(),
        };
        let owner = match (owner, plane) {
            (Owner::Other(_), Some(plane)) if plane.is_at(number) => Owner::ControlPlane(plane.words.clone()),
            (owner, _) => owner,
        };
        match (owner, is_asked_for) {
            (Owner::Nobody, _) => Check::ok(name, "free"),
            (Owner::Forbidden(error), _) => {
                Check::failed(name, format!("cannot be listened at: {error}"), "take a port above 1023")
            }
            (Owner::ControlPlane(words), false) => Check::ok(name, words),
            (Owner::ControlPlane(words), true) => Check::failed(name, words, remedy()),
            (Owner::Other(words), false) => Check::warning(name, format!("taken by {words}"), remedy()),
            (Owner::Other(words), true) => Check::failed(name, format!("taken by {words}"), remedy()),
        }
    }
}

async fn owner(address: SocketAddr) -> Owner {
    match TcpListener::bind(address).await {
        Ok(_) => Owner::Nobody,
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            let asked = within(async { tokio::join!(control_plane(address), server(address)) }).await;
            match asked {
                Some((Some(words), _)) => Owner::ControlPlane(words),
                Some((None, words)) => Owner::Other(words),
                None => Owner::Other("something that does not answer".to_owned()),
            }
        }
        Err(error) => Owner::Forbidden(error),
    }
}

/// The control plane at `address`, in words; none where none answers in plain text.
async fn control_plane(address: SocketAddr) -> Option<String> {
    let asked = tokio::time::timeout(GREETING * 2, async {
        let client = Client::connect(&Target::plain(address.to_string())).await?;
        client.host().await
    });
    words(&asked.await.ok()?)
}

/// What answers at `address`, in words.
async fn server(address: SocketAddr) -> String {
    let mut answer = Vec::new();
    // what came until then tells enough
    let _ = tokio::time::timeout(GREETING, greet(address, &mut answer)).await;
    if answer.starts_with(&TLS_ALERT) {
        return "something that does not speak plain text, perhaps TLS".to_owned();
    }
    let answer = String::from_utf8_lossy(&answer);
    if !answer.starts_with("HTTP/") {
        return "something that is no control plane".to_owned();
    }
    let is_server = |line: &&str| line.to_ascii_lowercase().starts_with("server:");
    match answer.lines().find(is_server).and_then(|line| line.split_once(':')) {
        Some((_, name)) => format!("an HTTP server, `{}`", name.trim()),
        None => "an HTTP server that is no control plane".to_owned(),
    }
}

/// Asks in HTTP, and reads the head of the answer.
async fn greet(address: SocketAddr, answer: &mut Vec<u8>) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
    let is_head = |answer: &[u8]| answer.windows(4).any(|end| end == b"\r\n\r\n");
    while !is_head(answer) && answer.len() < MAX_GREETING_BYTES && stream.read_buf(answer).await? > 0 {}
    Ok(())
}
