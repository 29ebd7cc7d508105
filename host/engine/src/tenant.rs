//! Whoever shares a cap on memory and a share of the CPU.
//!
//! Invariant: what a tenant's instances execute beyond its share is a debt that they wait
//! for, all of them, before they go on. So over any time a tenant executes its share of
//! it, and at most what one instance did between two looks at the clock more.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flowctl_runtime::Usage;

use crate::meter::Meter;
use crate::ticker;

/// Ticks whose share may be saved up.
const BURST_TICKS: f64 = 100.0;
/// The least share: a tenth of a percent of one core.
const MIN_SHARE: f64 = 0.001;
/// How long a tenant waits before it looks again whether it is within its share.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Whoever shares a cap on memory and an account of CPU. It belongs to one engine, whose
/// clock measures its share.
#[derive(Debug)]
pub struct Tenant {
    name: String,
    limits: TenantLimits,
    memory_bytes: AtomicU64,
    cpu_ticks: AtomicU64,
    share: Option<Share>,
}

/// What all instances of a tenant may use together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TenantLimits {
    /// Most bytes of guest memories and tables. Default: no limit.
    pub memory_bytes: u64,
    /// How much of one core they may execute, over about a tenth of a second: 0.5 is half
    /// of one, 2 are two cores. Less than 0.001 counts as 0.001. Default: no limit.
    pub cpu_share: Option<f64>,
}

/// A bucket of ticks that fills while the clock goes on.
#[derive(Debug)]
struct Share {
    per_tick: f64,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    /// Ticks that may be executed; a debt where it is less than 0.
    level: f64,
    /// What the clock showed when it was filled last.
    filled_at: u64,
}

impl Default for TenantLimits {
    fn default() -> Self {
        Self { memory_bytes: u64::MAX, cpu_share: None }
    }
}

impl Tenant {
    /// A tenant whose instances may use `max_memory_bytes` of guest memory together.
    #[must_use]
    pub fn new(name: impl Into<String>, max_memory_bytes: u64) -> Arc<Self> {
        Self::with_limits(name, TenantLimits { memory_bytes: max_memory_bytes, ..TenantLimits::default() })
    }

    /// A tenant whose instances are held to `limits` together.
    #[must_use]
    pub fn with_limits(name: impl Into<String>, limits: TenantLimits) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            limits,
            memory_bytes: AtomicU64::new(0),
            cpu_ticks: AtomicU64::new(0),
            share: limits.cpu_share.map(Share::new),
        })
    }

    /// The tenant's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its instances are held to together.
    #[must_use]
    pub const fn limits(&self) -> TenantLimits {
        self.limits
    }

    /// What its instances hold now, and what they have executed so far, those that are
    /// gone included.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage { memory_bytes: self.memory_bytes(), cpu: ticker::time(self.cpu_ticks()) }
    }

    /// Bytes of guest memories and tables that its instances hold now.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.memory_bytes.load(Ordering::Relaxed)
    }

    /// Ticks of about a millisecond for which its guests have kept threads of the host
    /// so far, with what the host did for them. Calls shorter than a tick are charged by
    /// chance, right on average.
    #[must_use]
    pub fn cpu_ticks(&self) -> u64 {
        self.cpu_ticks.load(Ordering::Relaxed)
    }

    /// Waits while the tenant is beyond its share of CPU, by the clock of `meter`, whose
    /// calls are held back for that long. Cancel-safe.
    pub(crate) async fn admit(&self, meter: &Meter) {
        while let Some(wait) = self.debt(meter.now()) {
            meter.hold(wait);
            tokio::time::sleep(wait).await;
        }
    }

    /// How long to wait until it is within its share; none where it is.
    pub(crate) fn debt(&self, now: u64) -> Option<Duration> {
        self.share.as_ref()?.debt(now)
    }

    pub(crate) fn charge(&self, n_ticks: u64, now: u64) {
        self.cpu_ticks.fetch_add(n_ticks, Ordering::Relaxed);
        if let Some(share) = &self.share
            && n_ticks > 0
        {
            share.charge(n_ticks, now);
        }
    }

    pub(crate) fn max_memory_bytes(&self) -> u64 {
        self.limits.memory_bytes
    }

    pub(crate) fn take_memory(&self, bytes: u64) -> bool {
        let take = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.limits.memory_bytes);
        self.memory_bytes.try_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    pub(crate) fn give_back_memory(&self, bytes: u64) {
        self.memory_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Share {
    fn new(share: f64) -> Self {
        let per_tick = share.max(MIN_SHARE);
        Self { per_tick, bucket: Mutex::new(Bucket { level: per_tick * BURST_TICKS, filled_at: 0 }) }
    }

    fn charge(&self, n_ticks: u64, now: u64) {
        self.filled(now).level -= n_ticks as f64;
    }

    fn debt(&self, now: u64) -> Option<Duration> {
        let level = self.filled(now).level;
        if level >= 0.0 {
            return None;
        }
        let n_ticks = (-level / self.per_tick).ceil();
        Some(ticker::time(n_ticks as u64).min(LONGEST_WAIT))
    }

    fn filled(&self, now: u64) -> MutexGuard<'_, Bucket> {
        // no code that can panic runs while the lock is held
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let n_ticks = now.saturating_sub(bucket.filled_at) as f64;
        bucket.level = (bucket.level + n_ticks * self.per_tick).min(self.per_tick * BURST_TICKS);
        // also where it goes back, as with the clock of another engine
        bucket.filled_at = now;
        bucket
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ticker::Clock;

    fn tenant(cpu_share: f64) -> Arc<Tenant> {
        Tenant::with_limits("t", TenantLimits { cpu_share: Some(cpu_share), ..TenantLimits::default() })
    }

    fn debt_ms(tenant: &Tenant, now: u64) -> u128 {
        tenant.debt(now).map_or(0, |debt| debt.as_millis())
    }

    #[test]
    fn debt_is_waited_for_at_the_share() {
        let tenant = tenant(0.25);
        tenant.charge(25, 0);
        assert_eq!(debt_ms(&tenant, 0), 0, "a share of 100 ticks may be used at once");
        tenant.charge(1, 0);
        assert_eq!(debt_ms(&tenant, 0), 4);
        assert_eq!(debt_ms(&tenant, 3), 1);
        assert_eq!(debt_ms(&tenant, 4), 0);
        tenant.charge(1_000, 4);
        assert_eq!(debt_ms(&tenant, 4), LONGEST_WAIT.as_millis());
        assert_eq!(debt_ms(&tenant, 4_003), 1, "four ticks a tick");
    }

    #[test]
    fn no_more_than_the_share_of_100_ticks_is_saved_up() {
        let tenant = tenant(0.1);
        tenant.charge(11, 1_000_000);
        assert_eq!(debt_ms(&tenant, 1_000_000), 10);
    }

    #[test]
    fn shares_of_more_than_a_core_and_of_nothing_hold_too() {
        let two = tenant(2.0);
        two.charge(202, 0);
        assert_eq!(debt_ms(&two, 0), 1);
        for none in [0.0, -1.0, f64::NAN] {
            let tenant = tenant(none);
            tenant.charge(1, 0);
            assert!(debt_ms(&tenant, 0) > 800, "{none}");
            assert_eq!(debt_ms(&tenant, 901), 0, "{none}");
        }
    }

    #[test]
    fn a_clock_that_is_behind_starves_nobody() {
        let tenant = tenant(0.1);
        tenant.charge(11, 1_000_000);
        assert_eq!(debt_ms(&tenant, 5), 10);
        assert_eq!(debt_ms(&tenant, 15), 0);
    }

    #[test]
    fn without_a_share_nothing_is_owed() {
        let tenant = Tenant::new("t", 0);
        tenant.charge(1_000_000, 0);
        assert_eq!((debt_ms(&tenant, 0), tenant.usage().cpu), (0, Duration::from_secs(1_000)));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_holds_the_call_back() {
        let (tenant, clock) = (tenant(0.1), Clock::default());
        let meter = Meter::new(clock.clone());
        tenant.charge(20, 0);
        let go_on = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            // the engine's clock is late, so it is waited for again
            clock.advance(50);
            tokio::time::sleep(Duration::from_millis(51)).await;
            clock.advance(50);
        };
        let ((), ()) = tokio::join!(tenant.admit(&meter), go_on);
        assert_eq!(meter.held(), Duration::from_millis(150));
    }
}
