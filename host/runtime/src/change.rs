//! What changes from one topology to another.
//!
//! A change is the only way to a running topology: a start is the change from the
//! empty one.

use flowctl_topology::{Retry, Topology};
use flowctl_types::Digest;

use crate::difference::{Difference, Fixed};
use crate::error::ApplyError;

/// What changes from one topology to another.
#[derive(Debug, Clone)]
pub struct Change {
    /// The digest of what it is a change of; none for the empty topology.
    pub(crate) base: Option<Digest>,
    pub(crate) topology: Topology,
}

impl Change {
    /// The change from the empty topology to `topology`: everything is added.
    #[must_use]
    pub fn from_empty(topology: &Topology) -> Self {
        Self { base: None, topology: topology.clone() }
    }

    /// The change that makes `new` of `old`. A run makes it only while `old` is what it runs.
    #[must_use]
    pub fn between(old: &Topology, new: &Topology) -> Self {
        Self { base: Some(old.digest()), topology: new.clone() }
    }
}

impl Change {
    /// Whether the change from `old` to `new` takes effect at the barrier of a checkpoint:
    /// where sources or sinks go or are others, or where there are several sinks. All other
    /// changes have a mark of their own, at which nothing is flushed.
    ///
    /// # Errors
    ///
    /// [`ApplyError`] when it cannot be made while a pipeline runs.
    pub fn is_at_barrier(old: &Topology, new: &Topology) -> Result<bool, ApplyError> {
        Ok(Difference::of(old, new).map_err(Fixed::into_error)?.is_at_barrier)
    }
}

/// How calls of a topology's dead-letter sink are repeated.
pub(crate) fn letters_retry(topology: &Topology) -> Retry {
    topology.dead_letter.as_ref().map_or(topology.settings.retry, |node| node.settings.retry)
}
