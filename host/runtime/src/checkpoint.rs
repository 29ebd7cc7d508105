//! Checkpoints: how far a run got, and what its nodes knew there.
//!
//! # The protocol
//!
//! An *epoch* is what lies between two barriers. Epochs count up from 1; one barrier
//! is under way at a time.
//!
//! 1. **Barrier.** Every checkpoint interval, if anything moved since the last one, the
//!    coordinator asks each source for barrier N. A source finishes the batch at hand,
//!    reports its position as *passed N*, and sends the barrier along its edges, in band.
//! 2. **Align.** A node with several inputs reads none further that has delivered N,
//!    until all have. Then a processor saves its state, reports *passed N* with it,
//!    and sends N along its edges. Everything a node refused before N is in the
//!    dead-letter queue before it reports.
//! 3. **Arrive.** A sink that has N on all inputs reports *passed N* and waits. It has
//!    written everything of epoch N and nothing of N+1.
//! 4. **Pending.** When all nodes have passed N, positions and states go to the
//!    [`CheckpointStore`] as *pending N*, and then the dead-letter sink flushes. No sink
//!    takes N before that: so a sink that holds N in a transaction of its own never knows
//!    of an epoch that the store does not, and the letters of N are durable by then.
//! 5. **Take.** Each sink flushes N; a transactional one commits its rows and the number
//!    N in one transaction of its own database.
//! 6. **Commit.** When all have, the store makes pending N *committed*.
//! 7. **Ack.** Sources and edges learn that N was taken. This is the only
//!    acknowledgement there is: *ack means that every sink, or the dead-letter sink,
//!    durably took what came before barrier N*.
//!
//! **Ends.** A source that has finished for good sends *finished* behind its events and
//! goes on passing barriers. A node whose inputs have all finished is told the end (once),
//! emits what that yields, and passes *finished* on. When all sources have finished, or
//! the run is drained, the coordinator injects one more barrier, the *last*; every node
//! leaves when it has passed it, sinks when they have taken it. A drain tells no node
//! the end, for the events go on in a later run.
//!
//! **Failure.** A node that fails for good, a sink or dead-letter sink that cannot write,
//! or a store that cannot store ends the run with that node named: nothing is flushed
//! past the last barrier that was pending. `stop(Now)` is the same without an error.
//! What the run leaves is the last committed epoch.
//!
//! **Going back.** All nodes stop; sinks are told to forget what is not flushed
//! ([`crate::Sink::rewind`]); sources are made anew and opened at the positions of the last
//! committed epoch (from the start where there is none); processors are instantiated
//! anew, and the stateful ones restored. Then the run resumes as at a start (below).
//! Replayed events have the ids they had, and a letter that was written is not written
//! again. If a source cannot repeat its events, or going
//! back does not help, the run fails with the faulting node named. A run goes back:
//!
//! - when a stateful instance faulted; it is never called again. If N is pending, its
//!   taking is completed first; otherwise N is forgotten, and no sink has seen it. The
//!   faulting node then steps through events one by one up to its next barrier. If a
//!   single event makes it fault, that event is isolated: the run goes back once more, and
//!   the event goes to the dead-letter sink in place of the node;
//! - when a sink lost what it had taken since its last flush ([`crate::Fault::Lost`]), such
//!   as with a connection. N may be pending then, and other sinks may hold it already.
//!
//! # Starting and resuming
//!
//! What is found decides, with C the committed epoch and N one that is pending behind it:
//!
//! | pending | sinks that hold N | what happens |
//! |---|---|---|
//! | none, or not behind C | | the run goes on from C |
//! | N | none | N is *discarded*: its events are read again from C, in new epochs |
//! | N | all of them | N is *promoted*: it is committed, and the run goes on from N |
//! | N | some of them | N is *replayed*: from C, exactly the events of N, up to the positions that N recorded; sinks that hold N skip them, the others take N; then N is committed |
//!
//! A sink holds an epoch only where it keeps the number in the same transaction as its
//! rows; any other holds none, so it is given the events of N once more (at least once).
//! The letters of a replayed epoch are skipped: they were durable before any sink took
//! it. A sink that holds an epoch which the store does not know is ahead of it: the state
//! directory is older than the sink's rows, and the run is refused. Epochs are numbered
//! on from the highest that is known.
//!
//! # Every point at which the process may die
//!
//! | after | what is found | what happens |
//! |---|---|---|
//! | a barrier was started, or some nodes passed it | C | events since C are read again; transactional sinks had an open transaction, which their database rolled back |
//! | *pending N* was stored | C, N, no sink holds N | N is discarded |
//! | the letters were flushed | the same | the same; these letters come again (at least once) |
//! | some sinks took N | C, N, some sinks hold N | N is replayed |
//! | all sinks took N | C, N, all hold N | N is promoted, or replayed where a sink cannot say |
//! | N was committed | N | the run goes on from N |
//!
//! So rows in transactional sinks are there exactly once, as long as processors are
//! deterministic; other sinks are given events at least once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use flowctl_types::NodeId;

use crate::{Position, State};

/// Where a run stands at a barrier.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// The epoch that the barrier ended.
    pub epoch: u64,
    /// Where each source stood; a source that had read nothing has no entry.
    pub positions: BTreeMap<NodeId, Position>,
    /// Sources that had finished for good before the barrier.
    pub finished: BTreeSet<NodeId>,
    /// What each stateful node saved.
    pub states: BTreeMap<NodeId, SavedState>,
}

/// The state of one node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SavedState {
    /// The version of the component that wrote it; empty where it has none.
    pub version: String,
    /// Its parts by key group.
    pub parts: State,
}

/// Keeps the checkpoints of one run.
#[async_trait]
pub trait CheckpointStore: Send + Sync {
    /// Keeps `checkpoint` as pending, in place of another that was.
    async fn put_pending(&self, checkpoint: Checkpoint) -> Result<(), StoreError>;

    /// Makes the pending checkpoint of `epoch` the committed one.
    async fn commit(&self, epoch: u64) -> Result<(), StoreError>;

    /// The committed checkpoint.
    async fn committed(&self) -> Result<Option<Checkpoint>, StoreError>;

    /// The pending checkpoint, where one is behind the committed one.
    async fn pending(&self) -> Result<Option<Checkpoint>, StoreError>;
}

/// Why a checkpoint could not be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// An epoch was to be committed that is not pending.
    #[error("epoch {epoch} is not pending")]
    NotPending {
        /// The epoch.
        epoch: u64,
    },
    /// What keeps it failed.
    #[error("checkpoint store failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Keeps checkpoints as long as the process lives.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Slots>);

#[derive(Debug, Default)]
struct Slots {
    pending: Option<Checkpoint>,
    committed: Option<Checkpoint>,
}

#[async_trait]
impl CheckpointStore for MemoryStore {
    async fn put_pending(&self, checkpoint: Checkpoint) -> Result<(), StoreError> {
        self.slots().pending = Some(checkpoint);
        Ok(())
    }

    async fn commit(&self, epoch: u64) -> Result<(), StoreError> {
        let mut slots = self.slots();
        let pending = slots.pending.take_if(|pending| pending.epoch == epoch);
        slots.committed = Some(pending.ok_or(StoreError::NotPending { epoch })?);
        Ok(())
    }

    async fn committed(&self) -> Result<Option<Checkpoint>, StoreError> {
        Ok(self.slots().committed.clone())
    }

    async fn pending(&self) -> Result<Option<Checkpoint>, StoreError> {
        Ok(self.slots().pending.clone())
    }
}

impl MemoryStore {
    fn slots(&self) -> std::sync::MutexGuard<'_, Slots> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_is_pending_is_committed() {
        let store = MemoryStore::default();
        store.put_pending(Checkpoint { epoch: 1, ..Checkpoint::default() }).await.unwrap();
        assert_eq!(store.committed().await.unwrap(), None);
        assert!(store.commit(2).await.is_err());
        store.commit(1).await.unwrap();
        assert_eq!(store.committed().await.unwrap().unwrap().epoch, 1);
        assert!(store.commit(1).await.is_err());
    }
}
