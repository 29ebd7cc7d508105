//! Calls a database from async code, on threads that may block.
//!
//! The database travels to a blocking thread and back. Invariant: a call that is given
//! up goes on to its end, and the next one waits for it.

use flowctl_runtime::Fault;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};

use super::database::Database;

/// A database, and the call that has it.
pub(super) struct Worker {
    state: State,
}

enum State {
    Idle(Box<Database>),
    Busy(JoinHandle<Box<Database>>),
    Gone,
}

impl Worker {
    /// Opens a database.
    pub(super) async fn start<T: Send + 'static>(
        open: impl FnOnce() -> Result<(Database, T), Fault> + Send + 'static,
    ) -> Result<(Self, T), Fault> {
        let (database, answer) = spawn_blocking(open).await.map_err(|_| gone())??;
        Ok((Self { state: State::Idle(Box::new(database)) }, answer))
    }

    /// Calls `act` with the database.
    pub(super) async fn run<T: Send + 'static>(
        &mut self,
        act: impl FnOnce(&mut Database) -> T + Send + 'static,
    ) -> Result<T, Fault> {
        self.settle().await;
        let State::Idle(mut database) = std::mem::replace(&mut self.state, State::Gone) else { return Err(gone()) };
        let (sender, receiver) = oneshot::channel();
        self.state = State::Busy(spawn_blocking(move || {
            // nobody listens any more where the call was given up
            let _ = sender.send(act(&mut database));
            database
        }));
        self.settle().await;
        receiver.await.map_err(|_| gone())
    }

    /// Waits for the call under way, and closes the database.
    pub(super) async fn end(mut self) {
        self.settle().await;
    }

    async fn settle(&mut self) {
        let State::Busy(call) = &mut self.state else { return };
        self.state = match call.await {
            Ok(database) => State::Idle(database),
            Err(_) => State::Gone,
        };
    }
}

fn gone() -> Fault {
    Fault::Fatal("the database was lost in a call that panicked".to_owned())
}
