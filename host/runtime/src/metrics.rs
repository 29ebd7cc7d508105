//! What each node did, counted while it runs.
//!
//! Invariant: every figure was measured in this run. Where the run went back to a
//! barrier, figures go back with it, so that a replayed event counts once.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use flowctl_types::Batch;
use serde::Serialize;

use crate::Usage;
use crate::edge::weight;
use crate::latency::Latency;
use crate::tap::Probe;

/// What a node did since the run started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Events it received; for a source, what it read, the unreadable included.
    pub events_in: u64,
    /// Events it emitted; for a sink, what it took.
    pub events_out: u64,
    /// Events that went to the dead-letter sink.
    pub rejected: u64,
    /// Bytes it received.
    pub bytes_in: u64,
    /// Bytes it emitted.
    pub bytes_out: u64,
    /// Batches it received.
    pub batches_in: u64,
    /// Batches it emitted.
    pub batches_out: u64,
    /// Nanoseconds spent in its component's calls, waiting within them included.
    pub busy_ns: u64,
}

/// What can be seen of one node, while the run goes.
#[derive(Debug, Default)]
pub(crate) struct NodeMetrics {
    pub(crate) latency: Latency,
    pub(crate) probe: Probe,
    events_in: AtomicU64,
    events_out: AtomicU64,
    rejected: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    batches_in: AtomicU64,
    batches_out: AtomicU64,
    busy_ns: AtomicU64,
    restarts: AtomicU64,
    memory_bytes: AtomicU64,
    cpu_ns: AtomicU64,
    held_ns: AtomicU64,
}

/// Measures a call of a component.
pub(crate) struct Stopwatch(Instant);

impl NodeMetrics {
    pub(crate) fn received(&self, batch: &Batch) {
        self.events_in.fetch_add(batch.len() as u64, Relaxed);
        self.bytes_in.fetch_add(weight(batch) as u64, Relaxed);
        self.batches_in.fetch_add(1, Relaxed);
    }

    pub(crate) fn emitted(&self, batch: &Batch) {
        self.events_out.fetch_add(batch.len() as u64, Relaxed);
        self.bytes_out.fetch_add(weight(batch) as u64, Relaxed);
        self.batches_out.fetch_add(1, Relaxed);
    }

    /// Counts events that a source read.
    pub(crate) fn read(&self, n_events: usize) {
        self.events_in.fetch_add(n_events as u64, Relaxed);
    }

    /// Counts events that a sink took out of a batch.
    pub(crate) fn took(&self, n_events: usize) {
        self.events_out.fetch_add(n_events as u64, Relaxed);
        self.batches_out.fetch_add(1, Relaxed);
    }

    pub(crate) fn rejected(&self, n_events: usize) {
        self.rejected.fetch_add(n_events as u64, Relaxed);
    }

    pub(crate) fn busy(&self, since: &Stopwatch) {
        self.busy_ns.fetch_add(nanos(since.elapsed()), Relaxed);
    }

    /// Counts that its component was made anew because it broke.
    pub(crate) fn restarted(&self) {
        self.restarts.fetch_add(1, Relaxed);
    }

    /// Takes what one instance uses now in place of what it used `before`.
    pub(crate) fn uses(&self, before: Usage, now: Usage) {
        // sums over instances: what is taken off was added before, so wrapping ends right
        self.memory_bytes.fetch_add(now.memory_bytes.wrapping_sub(before.memory_bytes), Relaxed);
        self.cpu_ns.fetch_add(nanos(now.cpu.saturating_sub(before.cpu)), Relaxed);
    }

    /// Counts the time for which a change of the topology held it up.
    pub(crate) fn held(&self, time: Duration) {
        self.held_ns.fetch_add(nanos(time), Relaxed);
    }

    pub(crate) fn held_ns(&self) -> u64 {
        self.held_ns.load(Relaxed)
    }

    /// Restarts, and what the instances use: bytes that they hold, nanoseconds that they
    /// executed.
    pub(crate) fn upkeep(&self) -> (u64, u64, u64) {
        (self.restarts.load(Relaxed), self.memory_bytes.load(Relaxed), self.cpu_ns.load(Relaxed))
    }

    pub(crate) fn counters(&self) -> Counters {
        Counters {
            events_in: self.events_in.load(Relaxed),
            events_out: self.events_out.load(Relaxed),
            rejected: self.rejected.load(Relaxed),
            bytes_in: self.bytes_in.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
            batches_in: self.batches_in.load(Relaxed),
            batches_out: self.batches_out.load(Relaxed),
            busy_ns: self.busy_ns.load(Relaxed),
        }
    }

    /// Goes back to what a barrier recorded. The time spent stays spent.
    pub(crate) fn rewind(&self, to: &Counters) {
        self.events_in.store(to.events_in, Relaxed);
        self.events_out.store(to.events_out, Relaxed);
        self.rejected.store(to.rejected, Relaxed);
        self.bytes_in.store(to.bytes_in, Relaxed);
        self.bytes_out.store(to.bytes_out, Relaxed);
        self.batches_in.store(to.batches_in, Relaxed);
        self.batches_out.store(to.batches_out, Relaxed);
    }
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed().min(Duration::from_secs(u32::MAX.into()))
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
