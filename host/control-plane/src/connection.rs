//! One connection: its handshake, the protocol that it speaks, and its end.
//!
//! Invariants: a client that does not finish its handshake or a head in time is cut
//! off, and so is one that was never let through; nothing that a client sends grows
//! without bound.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use flowctl_types::Digest;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::Watcher;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tonic::codegen::Service as _;

use crate::access::Peer;
use crate::tls::Tls;

/// How HTTP/2 begins. No method of HTTP/1 does.
const PREFACE: &[u8] = b"PRI ";
/// Between two looks at a client that sent less than that.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// For the names and values of a request's headers.
const HEADER_BYTES: u32 = 16 << 10;
/// Calls at once on one connection.
const MAX_STREAMS: u32 = 256;
/// Between two pings of a connection that is silent, and for the answer.
const PING: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(20));
/// What may lie in memory for a client that reads slowly, per call.
const SEND_BYTES: usize = 256 << 10;

/// How long clients may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For the handshake, and for the head of a request over HTTP/1.
    pub(crate) head: Duration,
    /// Until it was let through once.
    pub(crate) stranger: Duration,
}

enum Protocol {
    Http1,
    Http2,
}

/// Serves a connection to its end.
pub(crate) async fn serve(stream: TcpStream, tls: Option<Tls>, routes: Router, patience: Patience, watcher: Watcher) {
    let _ = stream.set_nodelay(true);
    let Ok(address) = stream.peer_addr() else { return };
    let mut peer = Peer { address, certificate: None, has_called: Arc::new(AtomicBool::new(false)) };
    // how a client leaves is no concern of ours
    match tls {
        None => {
            let Ok(Ok(protocol)) = timeout(patience.head, spoken(&stream)).await else { return };
            http(stream, &protocol, peer, routes, patience, watcher).await;
        }
        Some(tls) => {
            let accepted = timeout(patience.head, TlsAcceptor::from(tls.0).accept(stream)).await;
            let Ok(Ok(stream)) = accepted else { return };
            let (_, session) = stream.get_ref();
            let certificate = session.peer_certificates().and_then(<[_]>::first);
            peer.certificate = certificate.map(|certificate| Digest::of(certificate).to_hex().into());
            let protocol = if session.alpn_protocol() == Some(b"h2") { Protocol::Http2 } else { Protocol::Http1 };
            http(stream, &protocol, peer, routes, patience, watcher).await;
        }
    }
}

/// What a client begins to speak, read without taking it.
async fn spoken(stream: &TcpStream) -> io::Result<Protocol> {
    let mut start = [0; PREFACE.len()];
    loop {
        let n_bytes = stream.peek(&mut start).await?;
        match start.get(..n_bytes) {
            None | Some([]) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Some(read) if read == PREFACE => return Ok(Protocol::Http2),
            Some(read) if !PREFACE.starts_with(read) => return Ok(Protocol::Http1),
            Some(_) => sleep(LOOK_AGAIN).await,
        }
    }
}

async fn http<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    protocol: &Protocol,
    peer: Peer,
    routes: Router,
    patience: Patience,
    watcher: Watcher,
) {
    let has_called = Arc::clone(&peer.has_called);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        let mut routes = routes.clone();
        async move {
            let answer: Result<Response, Infallible> = routes.call(request.map(Body::new)).await;
            answer
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(patience.head).max_buf_size(64 << 10);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING.0)
        .keep_alive_timeout(PING.1)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(HEADER_BYTES)
        .max_send_buf_size(SEND_BYTES);
    let builder = match protocol {
        Protocol::Http1 => builder.http1_only(),
        Protocol::Http2 => builder.http2_only(),
    };
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    let mut connection = pin!(watcher.watch(connection));
    let stranger_until = Instant::now() + patience.stranger;
    tokio::select! {
        _ = &mut connection => return,
        () = tokio::time::sleep_until(stranger_until) => {}
    }
    if has_called.load(Ordering::Relaxed) {
        let _ = connection.await;
    }
}
