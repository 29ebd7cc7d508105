//! How long calls take, counted in buckets.
//!
//! Invariant: counting takes three additions to atomics, and neither lock nor memory.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::Serialize;

/// Upper bounds of the buckets, microseconds.
const BOUNDS_US: [u64; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

/// How long calls took.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct LatencyFigures {
    /// Upper bounds in seconds, from 0.0001 to 10, and how many calls took at most that
    /// long and longer than the bound before. Calls beyond the last are in `count` alone.
    pub buckets: Vec<(f64, u64)>,
    /// Time of all calls together.
    pub sum_seconds: f64,
    /// How many there were.
    pub count: u64,
}

/// The buckets of one node.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    buckets: [AtomicU64; BOUNDS_US.len()],
    sum_ns: AtomicU64,
    count: AtomicU64,
}

impl Latency {
    pub(crate) fn record(&self, took: Duration) {
        let took_us = took.as_nanos().div_ceil(1_000);
        let bucket = BOUNDS_US.partition_point(|bound| u128::from(*bound) < took_us);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Relaxed);
        }
        self.sum_ns.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        self.count.fetch_add(1, Relaxed);
    }

    pub(crate) fn figures(&self) -> LatencyFigures {
        let bucket = |(bound, bucket): (&u64, &AtomicU64)| (*bound as f64 / 1e6, bucket.load(Relaxed));
        let buckets: Vec<_> = BOUNDS_US.iter().zip(&self.buckets).map(bucket).collect();
        // calls that end while this reads are in a bucket before they are in the count
        let n_within = buckets.iter().map(|(_, count)| count).sum();
        let count = self.count.load(Relaxed).max(n_within);
        LatencyFigures { buckets, sum_seconds: self.sum_ns.load(Relaxed) as f64 / 1e9, count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_in_the_bucket_whose_bound_it_does_not_pass() {
        let latency = Latency::default();
        for micros in [0, 100, 101, 10_000_000, 10_000_001] {
            latency.record(Duration::from_micros(micros));
        }
        latency.record(Duration::from_nanos(100_001));
        let figures = latency.figures();
        let filled: Vec<_> = figures.buckets.iter().filter(|(_, count)| *count > 0).copied().collect();
        assert_eq!(filled, [(0.0001, 2), (0.00025, 2), (10.0, 1)]);
        assert_eq!((figures.buckets.len(), figures.count), (16, 6));
        assert!((figures.sum_seconds - 20.000_302_001).abs() < 1e-9, "{}", figures.sum_seconds);
    }
}
