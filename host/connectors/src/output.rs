//! Writes with blocking calls from async code.
//!
//! The writer travels to a blocking thread and back. Invariant: a call that is given up
//! goes on to its end, and the next call waits for it; so writes never overlap and none
//! is cut short.

use std::io;

use tokio::task::JoinHandle;

/// A writer and the buffer that goes with it.
pub(crate) struct Output<W> {
    state: State<W>,
}

enum State<W> {
    Idle(Box<(W, Vec<u8>)>),
    Busy(JoinHandle<Done<W>>),
    Lost,
}

struct Done<W> {
    idle: Box<(W, Vec<u8>)>,
    result: io::Result<()>,
}

impl<W: Send + 'static> Output<W> {
    pub(crate) fn new(writer: W) -> Self {
        Self { state: State::Idle(Box::new((writer, Vec::new()))) }
    }

    /// The buffer, empty, once the call before is done.
    ///
    /// # Errors
    ///
    /// That of a call before this one that was given up.
    pub(crate) async fn buffer(&mut self) -> io::Result<&mut Vec<u8>> {
        self.settle().await?;
        match &mut self.state {
            State::Idle(idle) => {
                idle.1.clear();
                Ok(&mut idle.1)
            }
            State::Busy(_) | State::Lost => Err(lost()),
        }
    }

    /// Calls `act` with the writer and the buffer, on a thread that may block.
    pub(crate) async fn run(
        &mut self,
        act: impl FnOnce(&mut W, &[u8]) -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        self.settle().await?;
        let State::Idle(mut idle) = std::mem::replace(&mut self.state, State::Lost) else { return Err(lost()) };
        self.state = State::Busy(tokio::task::spawn_blocking(move || {
            let result = act(&mut idle.0, &idle.1);
            Done { idle, result }
        }));
        self.settle().await
    }

    async fn settle(&mut self) -> io::Result<()> {
        let State::Busy(call) = &mut self.state else { return Ok(()) };
        let done = call.await;
        self.state = State::Lost;
        let Done { idle, result } = done.map_err(io::Error::other)?;
        self.state = State::Idle(idle);
        result
    }
}

fn lost() -> io::Error {
    io::Error::other("the writer was lost in a call that panicked")
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::task::{Context, Waker};

    use super::*;

    #[tokio::test]
    async fn a_call_that_is_given_up_is_waited_for() {
        let mut output = Output::new(Vec::new());
        for number in 0..100 {
            output.buffer().await.unwrap().push(number);
            let mut call = Box::pin(output.run(|written, text| {
                written.extend_from_slice(text);
                Ok(())
            }));
            let _ = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
        output.buffer().await.unwrap();
        let State::Idle(idle) = output.state else { panic!("every call is done") };
        assert_eq!(idle.0, (0..100).collect::<Vec<u8>>());
    }

    #[tokio::test]
    async fn a_call_that_panics_loses_the_writer_and_says_so() {
        let mut output = Output::new(());
        assert!(output.run(|(), _| panic!("on purpose")).await.is_err());
        assert_eq!(output.run(|(), _| Ok(())).await.unwrap_err().to_string(), lost().to_string());
    }
}
