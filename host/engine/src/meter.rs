//! Measures for how long the calls of an instance keep a thread of the host.
//!
//! Invariant: time counts while the call is being polled, whether the guest executes or
//! the host works for it, and never while it waits. So a guest cannot hide work behind
//! calls of the host, and pays for no sleep. Ticks are whole: a poll shorter than a tick
//! costs one or nothing by chance, right on average.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::error::Elapsed;
use tokio::time::timeout;

use crate::ticker::{self, Clock};

/// The meter of one instance. Its clones are the same meter.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    clock: Clock,
    shared: Arc<Shared>,
}

/// Atomic only to be shared: nothing but the poll that goes on at the time uses it.
#[derive(Debug, Default)]
struct Shared {
    /// Up to where time has been measured.
    measured_to: AtomicU64,
    n_unpaid: AtomicU64,
    n_total: AtomicU64,
    /// For how long calls were to be held back.
    held_ms: AtomicU64,
}

impl Meter {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, shared: Arc::default() }
    }

    /// Waits for `call`, and measures every poll of it.
    pub(crate) async fn run<F: Future>(&self, call: F) -> F::Output {
        let mut call = pin!(call);
        poll_fn(|context| {
            self.shared.measured_to.store(self.clock.now(), Ordering::Relaxed);
            let answer = call.as_mut().poll(context);
            self.measure();
            answer
        })
        .await
    }

    /// Waits for `call` as [`Meter::run`] does, for as long as `limit`. The time for which
    /// it is held back does not count.
    pub(crate) async fn run_within<F: Future>(&self, limit: Duration, call: F) -> Result<F::Output, Elapsed> {
        let mut call = pin!(self.run(call));
        let mut held = self.held();
        let mut left = limit;
        loop {
            match timeout(left, &mut call).await {
                Ok(answer) => return Ok(answer),
                Err(elapsed) if self.held() == held => return Err(elapsed),
                Err(_) => {
                    left = self.held() - held;
                    held += left;
                }
            }
        }
    }

    /// Notes that a call is about to be held back for `wait`.
    pub(crate) fn hold(&self, wait: Duration) {
        self.shared.held_ms.fetch_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// For how long calls were to be held back so far.
    pub(crate) fn held(&self) -> Duration {
        Duration::from_millis(self.shared.held_ms.load(Ordering::Relaxed))
    }

    /// What its clock shows.
    pub(crate) fn now(&self) -> u64 {
        self.clock.now()
    }

    /// All that was measured so far.
    pub(crate) fn total(&self) -> Duration {
        ticker::time(self.shared.n_total.load(Ordering::Relaxed))
    }

    /// The ticks measured since this was last asked.
    pub(crate) fn take(&self) -> u64 {
        self.shared.n_unpaid.swap(0, Ordering::Relaxed)
    }

    /// Measures up to now, within a poll.
    pub(crate) fn measure(&self) {
        let now = self.clock.now();
        let n_ticks = now - self.shared.measured_to.swap(now, Ordering::Relaxed);
        self.shared.n_unpaid.fetch_add(n_ticks, Ordering::Relaxed);
        self.shared.n_total.fetch_add(n_ticks, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn time_counts_within_polls_and_not_between_them() {
        let clock = Clock::default();
        let meter = Meter::new(clock.clone());
        let mut n_polls = 0;
        let waiting = poll_fn(|context| {
            clock.advance(10);
            n_polls += 1;
            if n_polls == 3 {
                return std::task::Poll::Ready(());
            }
            context.waker().wake_by_ref();
            std::task::Poll::Pending
        });
        let beside = async {
            for _ in 0..3 {
                clock.advance(1000);
                tokio::task::yield_now().await;
            }
        };
        tokio::join!(meter.run(waiting), beside);
        assert_eq!(meter.take(), 30);
        assert_eq!(meter.take(), 0);
        assert_eq!(meter.total(), Duration::from_millis(30));
    }

    #[tokio::test]
    async fn what_was_measured_within_a_poll_is_not_measured_twice() {
        let clock = Clock::default();
        let meter = Meter::new(clock.clone());
        meter
            .run(async {
                clock.advance(3);
                meter.measure();
                assert_eq!(meter.take(), 3);
                clock.advance(4);
            })
            .await;
        assert_eq!(meter.take(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn time_for_which_a_call_is_held_back_is_none_of_its_limit() {
        let meter = Meter::new(Clock::default());
        let held = async |wait| {
            let wait = Duration::from_millis(wait);
            meter.hold(wait);
            tokio::time::sleep(wait).await;
        };
        let works = |n_ms| tokio::time::sleep(Duration::from_millis(n_ms));
        let limit = Duration::from_millis(100);
        let within = meter.run_within(limit, async {
            held(500).await;
            works(50).await;
            held(5_000).await;
            works(49).await;
        });
        assert!(within.await.is_ok());
        let start = tokio::time::Instant::now();
        let beyond = meter.run_within(limit, async {
            held(500).await;
            works(101).await;
        });
        assert!(beyond.await.is_err());
        assert_eq!(start.elapsed(), Duration::from_millis(600));
    }
}
