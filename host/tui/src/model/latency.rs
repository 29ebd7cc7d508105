//! How long calls take of late: the difference of two histograms.

use std::collections::VecDeque;
use std::time::Duration;

use flowctl_client::admin::Latency;

/// Histograms that are compared: the latest with one this many before.
const KEPT: usize = 8;

/// A node's histograms.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latencies(VecDeque<Latency>);

impl Latencies {
    /// Takes in what the histogram is now.
    pub(crate) fn see(&mut self, now: &Latency) {
        if self.0.back().is_some_and(|before| now.count < before.count) {
            self.0.clear();
        }
        self.0.push_back(now.clone());
        if self.0.len() > KEPT {
            self.0.pop_front();
        }
    }

    /// The mean of the calls of late; none where there were none.
    #[must_use]
    pub(crate) fn mean(&self) -> Option<Duration> {
        let (first, last) = self.ends()?;
        let calls = last.count - first.map_or(0, |first| first.count);
        let nanos = last.sum_ns.saturating_sub(first.map_or(0, |first| first.sum_ns));
        Some(Duration::from_nanos(nanos.checked_div(calls)?))
    }

    /// What this share of the calls of late took at most, as the bucket's bound; none where there were none, or
    /// where it is beyond all bounds.
    #[must_use]
    pub(crate) fn at_most(&self, share: f64) -> Option<Duration> {
        let (first, last) = self.ends()?;
        let calls = last.count - first.map_or(0, |first| first.count);
        let wanted = (calls as f64 * share).ceil().max(1.0) as u64;
        let mut n_within = 0;
        for (index, bucket) in last.buckets.iter().enumerate() {
            let before = first.and_then(|first| first.buckets.get(index)).map_or(0, |bucket| bucket.count);
            n_within += bucket.count.saturating_sub(before);
            if n_within >= wanted {
                return Some(Duration::from_micros(bucket.up_to_us));
            }
        }
        None
    }

    /// The histograms to compare; the whole of the first one where it is all there is.
    fn ends(&self) -> Option<(Option<&Latency>, &Latency)> {
        let last = self.0.back()?;
        let first = (self.0.len() > 1).then(|| &self.0[0]);
        (last.count > first.map_or(0, |first| first.count)).then_some((first, last))
    }
}

#[cfg(test)]
mod tests {
    use flowctl_client::admin::LatencyBucket;

    use super::*;

    fn histogram(counts: [u64; 3], sum_us: u64) -> Latency {
        let buckets = [100, 1_000, 10_000].into_iter().zip(counts);
        let buckets = buckets.map(|(up_to_us, count)| LatencyBucket { up_to_us, count }).collect();
        Latency { buckets, sum_ns: sum_us * 1_000, count: counts.iter().sum() }
    }

    #[test]
    fn only_calls_of_late_count() {
        let mut latencies = Latencies::default();
        assert_eq!((latencies.mean(), latencies.at_most(0.5)), (None, None));
        latencies.see(&histogram([0, 0, 100], 900_000));
        assert_eq!(latencies.at_most(0.5), Some(Duration::from_millis(10)));
        latencies.see(&histogram([98, 2, 100], 909_000));
        assert_eq!(latencies.mean(), Some(Duration::from_micros(90)));
        assert_eq!(latencies.at_most(0.5), Some(Duration::from_micros(100)));
        assert_eq!(latencies.at_most(0.99), Some(Duration::from_millis(1)));
        (0..KEPT).for_each(|_| latencies.see(&histogram([98, 2, 100], 909_000)));
        assert_eq!((latencies.mean(), latencies.at_most(0.5)), (None, None), "nothing was called of late");
    }
}
