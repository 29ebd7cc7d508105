//! How a run treats faults and time: the knobs that a pipeline's author does not see.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use flowctl_topology::Retry;

use crate::checkpoint::{CheckpointStore, MemoryStore};
use crate::observer::{Nobody, Observer};
use crate::throttle::Throttle;

/// How a run treats faults and time.
#[derive(Clone)]
pub struct Options {
    /// The run's id; none = a random one.
    pub run_id: Option<String>,
    /// What the jitter of all waits comes from: equal seeds give equal waits. How often,
    /// and how far apart, calls are repeated is the topology's to say.
    pub seed: u64,
    /// How long a sink that lost its connection is tried again. Default: for about five
    /// minutes.
    pub reconnect: Backoff,
    /// Calls of one node that may fail in a row with no event processed between them,
    /// before the run fails. Default 16.
    pub max_crashes: u32,
    /// Times the run may go back to the same barrier without finding the event that
    /// is to blame. Default 3.
    pub max_rewinds: u32,
    /// Events of one epoch that may be isolated by going back. Default 64.
    pub max_isolated: usize,
    /// An input that sent nothing for this long does not hold the watermark back.
    /// Default 30 s.
    pub idle_after: Duration,
    /// Time that a sink gets to finish its call when the run goes back. Default 30 s.
    pub patience: Duration,
    /// Bytes of dead letters that may wait; one node's letters of one batch always fit.
    /// Default 16 MiB.
    pub letter_bytes: usize,
    /// Where checkpoints are kept. Default: in memory.
    pub store: Arc<dyn CheckpointStore>,
    /// What becomes of positions and states in the last checkpoint whose nodes the
    /// topology does not have. Default: the run is refused.
    pub orphans: Orphans,
    /// Who hears what happens to the run. Default: nobody.
    pub observer: Arc<dyn Observer>,
    /// What holds its sources back, shared with other runs. Default: nothing.
    pub throttle: Option<Arc<Throttle>>,
    /// Of so many batches of a node, one is processed within a span of its own, which is
    /// named `batch` and has the target `flowctl::batch`. Default 0: none is.
    pub trace_every: u32,
}

/// What becomes of positions and states whose nodes the topology does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orphans {
    /// The run does not start: they would be lost.
    Refuse,
    /// They are dropped with the next checkpoint.
    Discard,
}

/// Waits that double, with jitter.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// The first wait. Default 100 ms.
    pub first: Duration,
    /// The longest wait. Default 10 s.
    pub longest: Duration,
    /// Calls in all, the first included. Default 8.
    pub attempts: u32,
    /// What the jitter comes from: equal seeds give equal waits.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            run_id: None,
            seed: Backoff::default().seed,
            reconnect: Backoff { attempts: 40, ..Backoff::default() },
            max_crashes: 16,
            max_rewinds: 3,
            max_isolated: 64,
            idle_after: Duration::from_secs(30),
            patience: Duration::from_secs(30),
            letter_bytes: 16 << 20,
            store: Arc::new(MemoryStore::default()),
            orphans: Orphans::Refuse,
            observer: Arc::new(Nobody),
            throttle: None,
            trace_every: 0,
        }
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(100),
            longest: Duration::from_secs(10),
            attempts: 8,
            seed: RandomState::new().build_hasher().finish(),
        }
    }
}

impl Options {
    /// The waits between the calls of a node.
    pub(crate) fn backoff(&self, retry: &Retry, node: &str) -> Backoff {
        let Retry { max_attempts, first_wait, longest_wait, .. } = *retry;
        let backoff =
            Backoff { first: first_wait, longest: longest_wait, attempts: max_attempts.max(1), seed: self.seed };
        backoff.reseeded(node)
    }
}

impl Backoff {
    /// How long to wait after `attempt` calls failed: between half and all of the
    /// doubled wait. None when it is time to give up.
    #[must_use]
    pub fn wait(&self, attempt: u32) -> Option<Duration> {
        if attempt >= self.attempts {
            return None;
        }
        let doubled = self.first.saturating_mul(1 << attempt.saturating_sub(1).min(20)).min(self.longest);
        let jitter = mix(self.seed ^ u64::from(attempt)) % 512;
        Some(doubled.mul_f64(0.5 + f64::from(u16::try_from(jitter).unwrap_or(0)) / 1024.0))
    }

    /// The same waits with another jitter.
    pub(crate) fn reseeded(mut self, salt: &str) -> Self {
        self.seed = salt.bytes().fold(self.seed, |seed, byte| mix(seed ^ u64::from(byte)));
        self
    }
}

/// A step of splitmix64.
fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_within_their_jitter_and_end() {
        let backoff = Backoff {
            first: Duration::from_millis(100),
            longest: Duration::from_millis(300),
            attempts: 4,
            ..Backoff::default()
        };
        for (attempt, longest) in [(1, 100), (2, 200), (3, 300)] {
            let wait = backoff.wait(attempt).unwrap();
            let longest = Duration::from_millis(longest);
            assert!(wait >= longest / 2 && wait <= longest, "{attempt}: {wait:?}");
        }
        assert_eq!(backoff.wait(4), None);
    }

    #[test]
    fn equal_seeds_give_equal_waits() {
        let backoff = Backoff { seed: 7, ..Backoff::default() };
        assert_eq!(backoff.reseeded("a").wait(1), backoff.reseeded("a").wait(1));
        assert_ne!(backoff.reseeded("a").wait(1), backoff.reseeded("b").wait(1));
    }
}
