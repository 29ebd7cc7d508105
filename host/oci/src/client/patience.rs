//! How often a registry is asked again, and after which wait.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, SystemTime};

use crate::OciError;

/// How often one asks again what may go away by itself: a registry that answers 429 or
/// 5xx, a connection that cannot be made or breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How often it is tried in all without getting any further.
    pub attempts: u32,
    /// The first wait; each is twice the one before. Half of it is random, so that many
    /// clients do not come back together.
    pub first_wait: Duration,
    /// The longest wait, also where the registry asks for more: then one gives up.
    pub longest_wait: Duration,
}

/// Attempts that are left.
pub(super) struct Attempts {
    patience: Patience,
    n_failed: u32,
    /// Most attempts, however far each gets.
    n_left: u32,
}

/// What went wrong, and whether asking again may help.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) error: OciError,
    pub(super) may_pass: bool,
    pub(super) retry_after: Option<Duration>,
}

impl Default for Patience {
    fn default() -> Self {
        Self { attempts: 6, first_wait: Duration::from_millis(250), longest_wait: Duration::from_secs(60) }
    }
}

impl Patience {
    pub(super) fn attempts(self) -> Attempts {
        Attempts { patience: self, n_failed: 0, n_left: self.attempts.saturating_mul(16) }
    }
}

impl Attempts {
    /// Begins to count anew: the last attempt got further.
    pub(super) fn advanced(&mut self) {
        self.n_failed = 0;
    }

    /// Waits until it may be tried again.
    ///
    /// # Errors
    ///
    /// The trouble itself, when it is not tried again.
    pub(super) async fn wait(&mut self, trouble: Trouble) -> Result<(), OciError> {
        let Trouble { error, may_pass, retry_after } = trouble;
        self.n_failed += 1;
        self.n_left = self.n_left.saturating_sub(1);
        let asked = retry_after.unwrap_or_default();
        if !may_pass
            || self.n_failed >= self.patience.attempts
            || self.n_left == 0
            || asked > self.patience.longest_wait
        {
            return Err(error);
        }
        let doubled = self.patience.first_wait.saturating_mul(1 << (self.n_failed - 1).min(16));
        let wait = jittered(doubled.min(self.patience.longest_wait)).max(asked);
        tracing::debug!(error = %error, wait_ms = wait.as_millis() as u64, "asking the registry again");
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

impl Trouble {
    pub(super) fn passing(error: OciError) -> Self {
        Self { error, may_pass: true, retry_after: None }
    }
}

impl From<OciError> for Trouble {
    fn from(error: OciError) -> Self {
        Self { error, may_pass: false, retry_after: None }
    }
}

/// Between half of `wait` and all of it.
fn jittered(wait: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish();
    wait / 2 + (wait / 2).mul_f64((random >> 11) as f64 / (1_u64 << 53) as f64)
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

    #[test]
    fn a_wait_is_at_least_half_of_what_it_may_be() {
        let whole = Duration::from_millis(100);
        for _ in 0..100 {
            let wait = jittered(whole);
            assert!(wait >= whole / 2 && wait <= whole, "{wait:?}");
        }
    }

    #[test]
    fn what_a_registry_asks_for_is_read_as_seconds_or_date() {
        assert_eq!(retry_after("3"), Some(Duration::from_secs(3)));
        assert_eq!(retry_after("Thu, 01 Jan 1970 00:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(retry_after("soon"), None);
    }
}
