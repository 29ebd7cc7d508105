//! Holds sources back to a number of events a second, over all runs that share it.
//!
//! Invariant: within any time, no more events pass than the rate allows for it and for
//! one second, or one batch, more. Who waits is served in the order in which it came.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// How much may be saved up.
const BURST: Duration = Duration::from_secs(1);

/// A bucket of events that fills at a rate. Shared by all runs that it is to hold
/// back together.
#[derive(Debug)]
pub struct Throttle {
    events_per_second: u64,
    /// When the bucket is full again. Whoever waits for events holds the lock, so that
    /// others wait behind it.
    full_at: Mutex<Instant>,
}

impl Throttle {
    /// Lets `events_per_second` pass, and at most one second's events, or one batch, at
    /// once. A rate of 0 counts as 1.
    #[must_use]
    pub fn new(events_per_second: u64) -> Self {
        Self { events_per_second: events_per_second.max(1), full_at: Mutex::new(Instant::now()) }
    }

    /// The rate.
    #[must_use]
    pub fn events_per_second(&self) -> u64 {
        self.events_per_second
    }

    /// Waits until `n_events` may pass, and takes them out of the bucket. More than one
    /// second's events wait for a full bucket, and leave it in debt.
    ///
    /// Cancel-safe: nothing is taken before it returns.
    pub async fn admit(&self, n_events: usize) {
        let cost = self.cost(n_events);
        let mut full_at = self.full_at.lock().await;
        // what the bucket may lack for that
        let lack = BURST - cost.min(BURST);
        if let Some(enough_at) = full_at.checked_sub(lack)
            && enough_at > Instant::now()
        {
            sleep_until(enough_at).await;
        }
        *full_at = (*full_at).max(Instant::now()) + cost;
    }

    /// Time in which the bucket fills by `n_events`.
    fn cost(&self, n_events: usize) -> Duration {
        let nanos = u128::from(n_events as u64) * BURST.as_nanos() / u128::from(self.events_per_second);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Lets batches pass one after another; answers when each did, in milliseconds.
    async fn passed(throttle: &Throttle, batches: &[usize]) -> Vec<u128> {
        let started = Instant::now();
        let mut times = Vec::new();
        for n_events in batches {
            throttle.admit(*n_events).await;
            times.push(started.elapsed().as_millis());
        }
        times
    }

    #[tokio::test(start_paused = true)]
    async fn a_seconds_events_pass_at_once_and_then_the_rate_holds() {
        let throttle = Throttle::new(100);
        assert_eq!(passed(&throttle, &[50, 50, 50, 50, 1]).await, [0, 0, 500, 1_000, 1_010]);
        tokio::time::advance(Duration::from_secs(3_600)).await;
        assert_eq!(passed(&throttle, &[100, 100]).await, [0, 1_000], "no more than a second's is saved up");
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_of_more_than_a_second_passes_whole_and_is_paid_for() {
        assert_eq!(passed(&Throttle::new(10), &[35, 5, 100, 1]).await, [0, 3_000, 4_000, 13_100]);
        assert_eq!(passed(&Throttle::new(0), &[1, 1]).await, [0, 1_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_share_it_get_its_rate_together_and_in_turn() {
        let throttle = Arc::new(Throttle::new(100));
        throttle.admit(100).await;
        let started = Instant::now();
        let wait = |n_events: usize| {
            let throttle = Arc::clone(&throttle);
            async move {
                throttle.admit(n_events).await;
                started.elapsed().as_millis()
            }
        };
        // the small one came last, and does not overtake
        assert_eq!(tokio::join!(wait(50), wait(50), wait(1)), (500, 1_000, 1_010));
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_takes_nothing() {
        let throttle = Throttle::new(100);
        throttle.admit(100).await;
        let given_up = tokio::time::timeout(Duration::from_millis(10), throttle.admit(100)).await;
        assert!(given_up.is_err());
        assert_eq!(passed(&throttle, &[1]).await, [0], "ten milliseconds make one event");
    }
}
