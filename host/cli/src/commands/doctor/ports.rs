//! Ports of this machine: free, or who answers there.
//!
//! Invariant: whoever answers is shown no credential.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use flowctl_client::{Client, Target};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::check::Check;
use super::within;
use crate::plane::{DEFAULT_ADDRESS, is_credential};

/// How long a server that was asked in HTTP may take.
const GREETING: Duration = Duration::from_secs(1);
/// Most bytes that are read of what it answers.
const MAX_GREETING_BYTES: usize = 8 << 10;

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

pub(super) async fn check(ports: &[u16]) -> Vec<Check> {
    let default: SocketAddr = DEFAULT_ADDRESS.parse().expect("the default address is one");
    let own = (!ports.contains(&default.port())).then_some((default, false));
    let asked = ports.iter().map(|port| (SocketAddr::from((Ipv4Addr::LOCALHOST, *port)), true));
    let all = own.into_iter().chain(asked).map(|(address, is_asked_for)| of(address, is_asked_for));
    futures_util::future::join_all(all).await
}

/// Whether the port is free; one that was asked for must be.
async fn of(address: SocketAddr, is_asked_for: bool) -> Check {
    let name = format!("port {}", address.port());
    let remedy = || match is_asked_for {
        true => format!("end what listens there (`ss -ltnp 'sport = :{}'`), or take another port", address.port()),
        false => "flowctl serve --listen 127.0.0.1:0".to_owned(),
    };
    match (owner(address).await, is_asked_for) {
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
    match asked.await.ok()? {
        Ok(host) => Some(format!("a control plane of flowctl {} answers", host.version)),
        Err(error) if is_credential(&error) => Some("a control plane answers, which wants credentials".to_owned()),
        Err(_) => None,
    }
}

/// What answers at `address`, in words.
async fn server(address: SocketAddr) -> String {
    let mut answer = Vec::new();
    // what came until then tells enough
    let _ = tokio::time::timeout(GREETING, greet(address, &mut answer)).await;
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
