//! Lets a source that reads with blocking calls run beside the runtime.
//!
//! The reader has a thread of its own, which answers one request at a time; the next
//! request is sent as soon as a piece was taken, so that reading and processing overlap
//! by one piece. Invariant: at most one piece waits here, so memory is bounded by it;
//! `open` and `next` lose nothing when their future is dropped, since what was asked for
//! stays in the channel.

use async_trait::async_trait;
use flowctl_runtime::{Bounds, Fault, Piece, Position, Source};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;

/// Stack of a thread that decodes; reserved, not used: decoding XDR recurses.
const STACK_BYTES: usize = 16 << 20;

/// A source whose calls block.
pub(crate) trait Reader: Send + 'static {
    /// Starts at `position`, or at the beginning.
    fn open(&mut self, position: Option<&[u8]>) -> Result<(), Fault>;

    /// Reads the next piece. Called again after [`Fault::Retry`] only.
    fn read(&mut self, bounds: &Bounds) -> Result<Piece, Fault>;
}

/// Does `work` on a thread of its own, whose stack is deep enough to decode XDR. Where
/// nobody waits for it any more, it goes on to its end.
///
/// # Errors
///
/// [`Fault`] when there can be no thread, or `work` panicked.
pub(crate) async fn on_deep_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
    let (outbox, answer) = oneshot::channel();
    std::thread::Builder::new()
        .name("flowctl-decoder".to_owned())
        .stack_size(STACK_BYTES)
        // nobody waits any more where this fails
        .spawn(move || drop(outbox.send(work())))
        .map_err(|error| Fault::Fatal(format!("cannot start a thread to decode with: {error}")))?;
    answer.await.map_err(|_| Fault::Fatal("the decoder ended without an answer".to_owned()))
}

/// Runs a [`Reader`] on a thread of its own.
pub(crate) struct Background<R> {
    state: State<R>,
}

enum State<R> {
    Ready(R),
    Running(Link),
    Over,
}

struct Link {
    requests: Sender<Request>,
    answers: Receiver<Answer>,
    /// Whether an answer is still to come.
    is_asked: bool,
}

enum Request {
    Open(Option<Position>),
    Read(Bounds),
}

enum Answer {
    Opened(Result<(), Fault>),
    Piece(Result<Piece, Fault>),
}

impl<R: Reader> Background<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { state: State::Ready(reader) }
    }

    fn start(&mut self) -> Result<&mut Link, Fault> {
        if matches!(self.state, State::Ready(_)) {
            let State::Ready(reader) = std::mem::replace(&mut self.state, State::Over) else {
                unreachable!("matched above")
            };
            let (requests, inbox) = channel(1);
            let (outbox, answers) = channel(1);
            std::thread::Builder::new()
                .name("flowctl-reader".to_owned())
                .stack_size(STACK_BYTES)
                .spawn(move || serve(reader, inbox, &outbox))
                .map_err(|error| Fault::Retry(format!("cannot start a thread to read with: {error}")))?;
            self.state = State::Running(Link { requests, answers, is_asked: false });
        }
        match &mut self.state {
            State::Running(link) => Ok(link),
            State::Ready(_) | State::Over => Err(Fault::Fatal("the reader has ended".to_owned())),
        }
    }
}

impl Link {
    async fn ask(&mut self, request: impl FnOnce() -> Request) -> Result<Answer, Fault> {
        let gone = || Fault::Fatal("the reader ended without an answer".to_owned());
        if !self.is_asked {
            self.requests.try_send(request()).map_err(|_| gone())?;
            self.is_asked = true;
        }
        let answer = self.answers.recv().await.ok_or_else(gone)?;
        self.is_asked = false;
        Ok(answer)
    }
}

#[async_trait]
impl<R: Reader> Source for Background<R> {
    async fn open(&mut self, position: Option<&[u8]>) -> Result<(), Fault> {
        let link = self.start()?;
        match link.ask(|| Request::Open(position.map(<[u8]>::to_vec))).await? {
            Answer::Opened(result) => result,
            Answer::Piece(_) => Err(Fault::Fatal("the reader was opened twice".to_owned())),
        }
    }

    async fn next(&mut self, bounds: &Bounds) -> Result<Piece, Fault> {
        let link = self.start()?;
        loop {
            match link.ask(|| Request::Read(bounds.clone())).await? {
                // left over from an `open` that was given up
                Answer::Opened(result) => result?,
                Answer::Piece(result) => {
                    // a piece that is asked for ahead must not keep to a place that is reached by then
                    let is_free = bounds.until.is_none();
                    let is_more = is_free && result.as_ref().is_ok_and(|piece| !piece.is_finished);
                    if is_more && link.requests.try_send(Request::Read(bounds.clone())).is_ok() {
                        link.is_asked = true;
                    }
                    return result;
                }
            }
        }
    }
}

fn serve<R: Reader>(mut reader: R, mut inbox: Receiver<Request>, outbox: &Sender<Answer>) {
    while let Some(request) = inbox.blocking_recv() {
        let answer = match request {
            Request::Open(position) => Answer::Opened(reader.open(position.as_deref())),
            Request::Read(bounds) => Answer::Piece(reader.read(&bounds)),
        };
        if outbox.blocking_send(answer).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    struct Counter(u8);

    impl Reader for Counter {
        fn open(&mut self, position: Option<&[u8]>) -> Result<(), Fault> {
            self.0 = position.map_or(0, |bytes| bytes[0]);
            Ok(())
        }

        fn read(&mut self, _: &Bounds) -> Result<Piece, Fault> {
            assert!(self.0 < 100, "read past the end");
            self.0 += 1;
            Ok(Piece { batch: None, rejected: Vec::new(), position: vec![self.0], is_finished: self.0 == 100 })
        }
    }

    const BOUNDS: Bounds = Bounds { max_events: 1, max_bytes: 1, until: None };

    #[tokio::test]
    async fn calls_that_are_given_up_lose_nothing() {
        let mut source = Background::new(Counter(0));
        for _ in 0..3 {
            let mut given_up = source.open(Some(&[10]));
            let _ = given_up.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
        let mut want = 10;
        while want < 100 {
            let mut call = source.next(&BOUNDS);
            let answer = match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(answer) => answer,
                Poll::Pending => {
                    drop(call);
                    source.next(&BOUNDS).await
                }
            };
            want += 1;
            assert_eq!(answer.unwrap().position, [want]);
        }
    }

    #[tokio::test]
    async fn work_that_panics_is_a_fault() {
        assert_eq!(on_deep_stack(|| 7).await, Ok(7));
        let fault = on_deep_stack::<()>(|| panic!("on purpose")).await.unwrap_err();
        assert_eq!(fault, Fault::Fatal("the decoder ended without an answer".to_owned()));
    }

    #[tokio::test]
    async fn a_reader_that_panics_is_a_fault() {
        let mut source = Background::new(Counter(0));
        source.open(Some(&[100])).await.unwrap();
        let fault = source.next(&BOUNDS).await.unwrap_err();
        assert_eq!(fault, Fault::Fatal("the reader ended without an answer".to_owned()));
    }
}
