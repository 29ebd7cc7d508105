//! Stands between a sink and its server, and cuts the connection where a test wants.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What happens to the next `COMMIT`, and to connections.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Rule {
    /// Everything passes.
    Pass,
    /// The connection is cut when a commit comes, which the server never sees.
    CutBefore,
    /// The connection is cut when the server has answered a commit.
    CutBehind,
    /// The connection is cut when a commit was passed on, and before it is carried out.
    CutWithin,
    /// As `CutBefore`, and no other connection is let through.
    CutAndRefuse,
}

const RULES: [Rule; 5] = [Rule::Pass, Rule::CutBefore, Rule::CutBehind, Rule::CutWithin, Rule::CutAndRefuse];

/// A proxy to a server on loopback.
pub(crate) struct Proxy {
    address: SocketAddr,
    rule: Arc<AtomicU8>,
}

impl Proxy {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let rule = Arc::new(AtomicU8::new(Rule::Pass as u8));
        let shared = Arc::clone(&rule);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if current(&shared) != Rule::CutAndRefuse {
                    let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                    tokio::spawn(relay(client, server, Arc::clone(&shared)));
                }
            }
        });
        Self { address, rule }
    }

    /// The URL of a server, led through here.
    pub(crate) fn url(&self, url: &str, port: u16) -> String {
        url.replace(&format!(":{port}/"), &format!(":{}/", self.address.port()))
    }

    pub(crate) fn set(&self, rule: Rule) {
        self.rule.store(rule as u8, Ordering::SeqCst);
    }
}

fn current(rule: &AtomicU8) -> Rule {
    RULES[usize::from(rule.load(Ordering::SeqCst))]
}

async fn relay(client: TcpStream, server: TcpStream, rule: Arc<AtomicU8>) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let is_mute = Arc::new(Notify::new());
    // whichever ends first takes the other with it: both connections are closed
    tokio::select! {
        () = requests(from_client, to_server, &rule, &is_mute) => {}
        () = answers(from_server, to_client, &is_mute) => {}
    }
}

async fn requests(mut client: OwnedReadHalf, mut server: OwnedWriteHalf, rule: &AtomicU8, is_mute: &Notify) {
    let mut bytes = vec![0; 1 << 16];
    loop {
        let Ok(n @ 1..) = client.read(&mut bytes).await else { return };
        let is_commit = bytes[..n].windows(6).any(|window| window == b"COMMIT");
        if is_commit {
            match current(rule) {
                Rule::Pass => {}
                Rule::CutBehind => {
                    rule.store(Rule::Pass as u8, Ordering::SeqCst);
                    is_mute.notify_one();
                }
                Rule::CutWithin => {
                    let _ = server.write_all(&bytes[..n]).await;
                    return rule.store(Rule::Pass as u8, Ordering::SeqCst);
                }
                Rule::CutBefore => return rule.store(Rule::Pass as u8, Ordering::SeqCst),
                Rule::CutAndRefuse => return,
            }
        }
        if server.write_all(&bytes[..n]).await.is_err() {
            return;
        }
    }
}

async fn answers(mut server: OwnedReadHalf, mut client: OwnedWriteHalf, is_mute: &Notify) {
    let mut bytes = vec![0; 1 << 16];
    loop {
        tokio::select! {
            // the commit's answer may be there as soon as the word that it must not pass
            biased;
            () = is_mute.notified() => {
                // the answer to the commit is read, and kept
                let _ = server.read(&mut bytes).await;
                return;
            }
            read = server.read(&mut bytes) => {
                let Ok(n @ 1..) = read else { return };
                if client.write_all(&bytes[..n]).await.is_err() {
                    return;
                }
            }
        }
    }
}
