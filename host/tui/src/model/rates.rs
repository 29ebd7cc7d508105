//! How fast something goes, and how fast it went: from counts that are seen now and then.
//!
//! Invariant: what is kept has a limit. A count that goes back begins anew: another run counts from zero.

use std::collections::VecDeque;
use std::time::Duration;

/// Rates are those of this time: the server's own figures move in steps, and a shorter one would jump.
const WINDOW: Duration = Duration::from_secs(4);

/// Rates that are kept.
const KEPT: usize = 240;

/// A count that is seen now and then.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rate {
    seen: VecDeque<(Duration, u64)>,
    history: VecDeque<f64>,
}

impl Rate {
    /// Takes in the count at `now`.
    pub(crate) fn see(&mut self, now: Duration, count: u64) {
        if self.seen.back().is_some_and(|&(at, before)| count < before || now < at) {
            self.seen.clear();
        }
        self.seen.push_back((now, count));
        // two at least, however seldom they come
        while self.seen.len() > 2 && now.saturating_sub(self.seen[1].0) >= WINDOW {
            self.seen.pop_front();
        }
        if let Some(rate) = self.per_second() {
            self.history.push_back(rate);
            if self.history.len() > KEPT {
                self.history.pop_front();
            }
        }
    }

    /// How fast it goes; none before it was seen twice.
    #[must_use]
    pub(crate) fn per_second(&self) -> Option<f64> {
        let (&(from, before), &(to, count)) = (self.seen.front()?, self.seen.back()?);
        let time = to.saturating_sub(from);
        (!time.is_zero()).then(|| (count - before) as f64 / time.as_secs_f64())
    }

    /// How fast it went, the latest last: at most the last `n`.
    pub(crate) fn last(&self, n: usize) -> impl Iterator<Item = f64> {
        self.history.iter().skip(self.history.len().saturating_sub(n)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_rate_is_that_of_the_last_seconds() {
        let mut rate = Rate::default();
        assert_eq!(rate.per_second(), None);
        for second in 0..10 {
            rate.see(SECOND * second, u64::from(second) * 100);
        }
        assert_eq!(rate.per_second(), Some(100.0));
        for second in 10..14 {
            rate.see(SECOND * second, 900);
        }
        assert_eq!(rate.per_second(), Some(0.0));
        assert_eq!(rate.last(2).collect::<Vec<_>>(), [25.0, 0.0]);
    }

    #[test]
    fn a_count_that_goes_back_begins_anew() {
        let mut rate = Rate::default();
        rate.see(SECOND, 1_000);
        rate.see(SECOND * 2, 0);
        assert_eq!(rate.per_second(), None);
        rate.see(SECOND * 3, 5);
        assert_eq!(rate.per_second(), Some(5.0));
    }

    #[test]
    fn the_history_has_a_limit() {
        let mut rate = Rate::default();
        (0..1_000).for_each(|second| rate.see(SECOND * second, 0));
        assert_eq!(rate.last(usize::MAX).count(), KEPT);
    }
}
