//! An answer's body on its way to the client: counted, and interrupted where it must be.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Bytes, Frame, SizeHint};

use super::connection::Line;
use super::rules::Gate;
use super::{Book, Broken, broken};

/// What happens to a body at some place.
pub(super) enum Interruption {
    End { after: u64, end: End, line: Arc<Line>, is_begun: bool },
    Stall { after: u64, passing: Pin<Box<dyn Future<Output = ()> + Send + Sync>> },
    Replace { at: u64, with: Vec<u8> },
}

/// How a connection ends before its time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Closed,
    Reset,
}

impl Interruption {
    pub(super) const fn cut(after: u64, line: Arc<Line>) -> Self {
        Self::End { after, end: End::Closed, line, is_begun: false }
    }

    pub(super) const fn reset(after: u64, line: Arc<Line>) -> Self {
        Self::End { after, end: End::Reset, line, is_begun: false }
    }

    pub(super) fn stall(after: u64, gate: Gate) -> Self {
        Self::Stall { after, passing: Box::pin(async move { gate.pass().await }) }
    }

    pub(super) const fn replace(at: u64, with: Vec<u8>) -> Self {
        Self::Replace { at, with }
    }

    /// Where the body stops; none where it does not.
    const fn place(&self) -> Option<u64> {
        match self {
            Self::End { after, .. } | Self::Stall { after, .. } => Some(*after),
            Self::Replace { .. } => None,
        }
    }

    /// Waits at the place; the body goes on after `Ok`.
    fn poll_at_place(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        match self {
            Self::End { end, line, is_begun, .. } => {
                if !*is_begun {
                    *is_begun = true;
                    line.begin_flush();
                }
                // what is before the place has to reach the client
                ready!(line.poll_flushed(context));
                if *end == End::Reset {
                    line.reset();
                }
                Poll::Ready(Err(broken("the body is cut")))
            }
            Self::Stall { passing, .. } => passing.as_mut().poll(context).map(Ok),
            Self::Replace { .. } => Poll::Ready(Ok(())),
        }
    }
}

/// A body that comes from a server, or from a rule.
pub(super) struct Answered<B> {
    inner: B,
    /// What has come, and is not sent yet.
    rest: Bytes,
    n_bytes: u64,
    interruption: Option<Interruption>,
    index: usize,
    book: Arc<Book>,
}

impl<B> Answered<B> {
    pub(super) const fn new(inner: B, index: usize, book: Arc<Book>, interruption: Option<Interruption>) -> Self {
        Self { inner, rest: Bytes::new(), n_bytes: 0, interruption, index, book }
    }

    /// Hands on what has come, up to the place where the body stops.
    fn send(&mut self, mut bytes: Bytes) -> Frame<Bytes> {
        if let Some(place) = self.interruption.as_ref().and_then(Interruption::place) {
            let left = usize::try_from(place - self.n_bytes).unwrap_or(usize::MAX);
            self.rest = bytes.split_off(left.min(bytes.len()));
        }
        if let Some(Interruption::Replace { at, with }) = &self.interruption {
            bytes = replaced(bytes, self.n_bytes, *at, with);
        }
        self.n_bytes += bytes.len() as u64;
        self.book.note(self.index, |passage| passage.n_body_bytes = self.n_bytes);
        Frame::data(bytes)
    }
}

impl<B> Body for Answered<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Broken>,
{
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        if let Some(interruption) = &mut this.interruption
            && interruption.place() == Some(this.n_bytes)
        {
            if let Err(error) = ready!(interruption.poll_at_place(context)) {
                return Poll::Ready(Some(Err(error)));
            }
            this.interruption = None;
        }
        if !this.rest.is_empty() {
            let rest = std::mem::take(&mut this.rest);
            return Poll::Ready(Some(Ok(this.send(rest))));
        }
        Poll::Ready(match ready!(Pin::new(&mut this.inner).poll_frame(context)) {
            Some(Ok(frame)) => Some(Ok(match frame.into_data() {
                Ok(bytes) => this.send(bytes),
                Err(trailers) => trailers,
            })),
            Some(Err(error)) => Some(Err(error.into())),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.interruption.is_none() && self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.rest.is_empty() { self.inner.size_hint() } else { SizeHint::default() }
    }
}

/// `bytes`, which begin at `start` of their body, with those from `at` on exchanged.
fn replaced(bytes: Bytes, start: u64, at: u64, with: &[u8]) -> Bytes {
    let end = start + bytes.len() as u64;
    let (from, to) = (at.max(start), (at + with.len() as u64).min(end));
    if from >= to {
        return bytes;
    }
    let index = |place: u64, origin: u64| usize::try_from(place - origin).expect("it is within the bytes");
    let mut bytes = bytes.to_vec();
    bytes[index(from, start)..index(to, start)].copy_from_slice(&with[index(from, at)..index(to, at)]);
    bytes.into()
}
