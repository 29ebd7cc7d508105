//! Hosts.

use super::{HostStore, RunRecord};
use crate::StateError;

impl HostStore {
    /// The id of this host, new with each [`HostStore::open`].
    #[must_use]
    pub fn host_id(&self) -> &str {
        &self.inner
    }

    /// Fails the runs that have not ended and whose host is gone.
    pub fn fail_orphans(&self, reason: &str) -> Result<Vec<RunRecord>, StateError> {
        todo!()
    }
}
