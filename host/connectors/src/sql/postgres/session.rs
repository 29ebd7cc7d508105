//! A connection, and the errors that come over it.
//!
//! Invariant: whoever gets an error other than a row's drops the session with it. The
//! server rolls back what was open then, and the next session starts from nothing.

use flowctl_runtime::Fault;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::{Client, Error};

use super::address::Address;
use super::fault::{self, Meaning};

/// An open connection.
pub(super) struct Session {
    pub(super) client: Client,
    driver: JoinHandle<Result<(), Error>>,
}

/// What went wrong, what it means, and what has to be said of it.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) meaning: Meaning,
    pub(super) text: String,
}

impl Session {
    /// Connects.
    ///
    /// # Errors
    ///
    /// [`Fault::Retry`] where the server cannot be reached or is not ready, else
    /// [`Fault::Fatal`].
    pub(super) async fn open(address: &Address) -> Result<Self, Fault> {
        let connecting = timeout(address.patience(), address.config.connect(address.tls.clone()));
        let unreachable = |text: &str| Fault::Retry(format!("cannot reach PostgreSQL at `{address}`: {text}"));
        let connected = connecting.await.map_err(|_| unreachable("it does not answer"))?;
        let (client, connection) = connected.map_err(|error| {
            let text = fault::text(&error);
            match Meaning::of_refusal(&error) {
                Meaning::Broken | Meaning::Passing => unreachable(&text),
                Meaning::Row | Meaning::Lasting => {
                    Fault::Fatal(format!("PostgreSQL at `{address}` cannot be used: {text}"))
                }
            }
        })?;
        Ok(Self { client, driver: tokio::spawn(connection) })
    }

    /// Whether the connection has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// What an error of this session comes to, while `doing` something.
    pub(super) async fn failure(&mut self, doing: &str, error: Error) -> Failure {
        let mut meaning = Meaning::of(&error);
        let mut text = fault::text(&error);
        if error.is_closed() {
            meaning = Meaning::Broken;
            // why it was closed is known to who read from it
            if let Ok(Err(reason)) = (&mut self.driver).await {
                text = fault::text(&reason);
            }
        }
        Failure { meaning, text: format!("cannot {doing}: {text}") }
    }
}

impl Failure {
    /// A failure of a statement that can be repeated: nothing was to be kept yet.
    pub(super) fn again(self) -> Fault {
        match self.meaning {
            Meaning::Broken | Meaning::Passing => Fault::Retry(self.text),
            Meaning::Row | Meaning::Lasting => Fault::Fatal(self.text),
        }
    }

    /// A failure that takes with it what was written since the last flush.
    pub(super) fn lost(self) -> Fault {
        match self.meaning {
            Meaning::Broken | Meaning::Passing => Fault::Lost(self.text),
            Meaning::Row | Meaning::Lasting => Fault::Fatal(self.text),
        }
    }
}
