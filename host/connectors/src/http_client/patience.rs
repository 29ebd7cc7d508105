//! When a server that fails is asked again, and when no more.

use std::time::{Duration, SystemTime};

use flowctl_runtime::Backoff;
use tokio::time::Instant;

/// The first wait, with jitter: between half of it and all.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait of its own accord.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The longest wait that a server can ask for.
const LONGEST_ASKED_WAIT: Duration = Duration::from_secs(300);

/// Counts failures in a row.
pub(crate) struct Patience {
    backoff: Backoff,
    give_up_after: Duration,
    failing_since: Option<Instant>,
    n_failures: u32,
}

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patient {
    /// Ask again after this wait; it was failure number `attempt` in a row.
    Wait { wait: Duration, attempt: u32 },
    /// It has failed for as long as it may.
    GiveUp { attempts: u32 },
}

impl Patience {
    /// Gives up with the first failure that comes `give_up_after` or longer after the
    /// first of its row.
    pub(crate) fn new(give_up_after: Duration) -> Self {
        let backoff = Backoff { first: FIRST_WAIT, longest: LONGEST_WAIT, attempts: u32::MAX, ..Backoff::default() };
        Self { backoff, give_up_after, failing_since: None, n_failures: 0 }
    }

    /// Ends the row of failures, and answers how many there were.
    pub(crate) fn succeeded(&mut self) -> u32 {
        self.failing_since = None;
        std::mem::take(&mut self.n_failures)
    }

    /// Counts a failure, with the wait that the server asks for.
    pub(crate) fn failed(&mut self, retry_after: Option<Duration>) -> Patient {
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        self.n_failures = self.n_failures.saturating_add(1);
        let attempt = self.n_failures;
        match self.backoff.wait(attempt) {
            Some(wait) if since.elapsed() < self.give_up_after => {
                let asked = retry_after.unwrap_or_default().min(LONGEST_ASKED_WAIT);
                Patient::Wait { wait: wait.max(asked), attempt }
            }
            _ => Patient::GiveUp { attempts: attempt },
        }
    }
}

/// Reads the value of `Retry-After`: seconds, or a date.
pub(super) fn retry_after(value: &str) -> Option<Duration> {
    match value.trim().parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let date = httpdate::parse_http_date(value.trim()).ok()?;
            Some(date.duration_since(SystemTime::now()).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_grow_to_a_limit_until_it_gives_up() {
        let mut patience = Patience::new(Duration::from_secs(600));
        let start = Instant::now();
        let mut waits = Vec::new();
        while let Patient::Wait { wait, .. } = patience.failed(None) {
            waits.push(wait);
            tokio::time::sleep(wait).await;
        }
        assert!(waits[0] >= FIRST_WAIT / 2 && waits[0] <= FIRST_WAIT, "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= LONGEST_WAIT), "{waits:?}");
        assert!(waits.last().unwrap() >= &(LONGEST_WAIT / 2), "{waits:?}");
        assert!(start.elapsed() >= Duration::from_secs(600) && start.elapsed() < Duration::from_secs(631));
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_starts_anew() {
        let mut patience = Patience::new(Duration::from_secs(1));
        assert!(matches!(patience.failed(None), Patient::Wait { attempt: 1, .. }));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(patience.succeeded(), 1);
        assert!(matches!(patience.failed(None), Patient::Wait { attempt: 1, .. }));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(patience.failed(None), Patient::GiveUp { attempts: 2 });
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_is_left_alone_as_long_as_it_asks_within_reason() {
        let mut patience = Patience::new(Duration::from_secs(600));
        let mut check = |asked: u64, want: u64| {
            let Patient::Wait { wait, .. } = patience.failed(Some(Duration::from_secs(asked))) else { panic!("waits") };
            assert_eq!(wait, Duration::from_secs(want));
        };
        check(7, 7);
        check(1_000_000, 300);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after(" 120 "), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("soon"), None);
        assert_eq!(retry_after("-1"), None);
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        let later = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100));
        assert!(retry_after(&later).is_some_and(|wait| wait > Duration::from_secs(90)));
    }
}
