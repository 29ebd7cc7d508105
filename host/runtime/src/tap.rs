//! Shows the batches of a node to whoever asks, beside the stream.
//!
//! Invariant: the stream never waits for a tap. What a tap has no room for is left out,
//! and counted. Without a tap a batch costs one load of an atomic.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowctl_schema::Schema;
use flowctl_types::Batch;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, Receiver, Sender};

/// The batches of one node, from when it was made until the run ends. Dropping it ends
/// it.
#[derive(Debug)]
pub struct Tap {
    batches: Receiver<Tapped>,
    n_skipped: Arc<AtomicU64>,
}

/// A batch as it left its node, or as it reached its node where that is a sink. After the
/// run went back to a barrier, batches come again.
#[derive(Debug, Clone)]
pub struct Tapped {
    /// The events. Their kind need not be that of the node's own list of types.
    pub batch: Arc<Batch>,
    /// What describes their payloads.
    pub schema: Schema,
    /// Events that were left out before these, since those before.
    pub n_skipped: u64,
}

impl Tap {
    /// Waits for the next batch; none when the run has ended. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Tapped> {
        self.batches.recv().await
    }

    /// Events that were left out since the newest batch that is received, or waits to be.
    #[must_use]
    pub fn n_skipped(&self) -> u64 {
        self.n_skipped.load(Ordering::Relaxed)
    }
}

/// The place of a node where taps are put.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    is_tapped: AtomicBool,
    taps: Mutex<Taps>,
}

#[derive(Debug, Default)]
struct Taps {
    ends: Vec<End>,
    is_over: bool,
}

/// Where a tap is fed.
#[derive(Debug)]
struct End {
    batches: Sender<Tapped>,
    n_skipped: Arc<AtomicU64>,
}

impl Probe {
    /// Puts a tap here that holds `capacity` batches, one at least; none when the run is
    /// over.
    pub(crate) fn tap(&self, capacity: usize) -> Option<Tap> {
        let mut taps = self.taps();
        if taps.is_over {
            return None;
        }
        let (sender, batches) = mpsc::channel(capacity.clamp(1, tokio::sync::Semaphore::MAX_PERMITS));
        let n_skipped = Arc::<AtomicU64>::default();
        taps.ends.push(End { batches: sender, n_skipped: Arc::clone(&n_skipped) });
        self.is_tapped.store(true, Ordering::Relaxed);
        Some(Tap { batches, n_skipped })
    }

    /// Shows a batch whose payloads are described by the schema of `kind`.
    #[inline]
    pub(crate) fn show(&self, batch: &Arc<Batch>, schemas: &[Schema], kind: u32) {
        if self.is_tapped.load(Ordering::Relaxed)
            && let Some(schema) = schemas.get(kind as usize)
        {
            self.offer(batch, schema);
        }
    }

    #[cold]
    fn offer(&self, batch: &Arc<Batch>, schema: &Schema) {
        let mut taps = self.taps();
        taps.ends.retain(|end| end.offer(batch, schema));
        self.is_tapped.store(!taps.ends.is_empty(), Ordering::Relaxed);
    }

    /// Ends all taps, and lets none be put here any more.
    pub(crate) fn close(&self) {
        let mut taps = self.taps();
        taps.is_over = true;
        taps.ends.clear();
        self.is_tapped.store(false, Ordering::Relaxed);
    }

    fn taps(&self) -> MutexGuard<'_, Taps> {
        // no code that can panic runs while the lock is held
        self.taps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl End {
    /// Hands a batch over if there is room; whether anybody is there still.
    fn offer(&self, batch: &Arc<Batch>, schema: &Schema) -> bool {
        match self.batches.try_reserve() {
            Ok(room) => {
                let n_skipped = self.n_skipped.swap(0, Ordering::Relaxed);
                room.send(Tapped { batch: Arc::clone(batch), schema: schema.clone(), n_skipped });
                true
            }
            Err(TrySendError::Full(())) => {
                self.n_skipped.fetch_add(batch.len() as u64, Ordering::Relaxed);
                true
            }
            Err(TrySendError::Closed(())) => false,
        }
    }
}
