//! The host's database, called from tasks: every call is on a thread that may block.

use std::path::PathBuf;

use flowctl_store::{HostStore, StateError};
use jiff::Timestamp;

/// The host's database. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Records(HostStore);

impl Records {
    pub(crate) const fn new(store: HostStore) -> Self {
        Self(store)
    }

    /// Runs `act` where it may block.
    ///
    /// # Errors
    ///
    /// What `act` answers, or that the process ends.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        act: impl FnOnce(&HostStore) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        let store = self.0.clone();
        match tokio::task::spawn_blocking(move || act(&store)).await {
            Ok(answer) => answer,
            Err(error) => Err(StateError::File {
                action: "use",
                path: PathBuf::from("host.db"),
                source: std::io::Error::other(error),
            }),
        }
    }

    pub(crate) fn host_id(&self) -> &str {
        self.0.host_id()
    }
}

/// A moment as the database has it: milliseconds since the Unix epoch.
pub(crate) fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

/// The moment that the database has as `millis`.
pub(crate) fn moment(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or_default()
}
