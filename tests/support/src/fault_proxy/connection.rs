//! A client's connection, which tells when all was sent, and may end in a reset.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::lock;

/// What a connection and the bodies sent over it tell each other.
#[derive(Debug, Default)]
pub(super) struct Line {
    is_flushed: AtomicBool,
    waits: Mutex<Option<Waker>>,
    ends_in_reset: AtomicBool,
}

impl Line {
    /// Makes the connection end in a reset, when it ends.
    pub(super) fn reset(&self) {
        self.ends_in_reset.store(true, Ordering::SeqCst);
    }

    /// Says that what was sent up to now is to be waited for.
    pub(super) fn begin_flush(&self) {
        self.is_flushed.store(false, Ordering::SeqCst);
    }

    /// Waits until the system has all that was sent.
    pub(super) fn poll_flushed(&self, context: &Context<'_>) -> Poll<()> {
        *lock(&self.waits) = Some(context.waker().clone());
        if self.is_flushed.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
    }

    fn flushed(&self) {
        self.is_flushed.store(true, Ordering::SeqCst);
        if let Some(waker) = lock(&self.waits).take() {
            waker.wake();
        }
    }
}

/// A connection.
pub(super) struct Connection {
    stream: TcpStream,
    line: Arc<Line>,
}

impl Connection {
    pub(super) const fn new(stream: TcpStream, line: Arc<Line>) -> Self {
        Self { stream, line }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.line.ends_in_reset.load(Ordering::SeqCst) {
            // the system resets a connection that may not linger
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Is asked for when nothing is left to be written.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.line.flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.line.ends_in_reset.load(Ordering::SeqCst) {
            // the client would take it for an orderly end
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
