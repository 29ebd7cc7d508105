//! What an instance may use: memory as a sum over all its memories and tables, and
//! ticks of CPU per call, both also counted for its [`Tenant`].
//!
//! Invariant: what is charged to a tenant is given back when the [`Usage`] is dropped,
//! which happens with the store and with the memories themselves.

use std::pin::Pin;
use std::sync::Arc;

use wasmtime::ResourceLimiter;

use crate::Tenant;
use crate::meter::Meter;

/// Bytes that one entry of a table takes.
const TABLE_ENTRY_BYTES: usize = size_of::<usize>();

/// What one instance uses, and the limits of it.
#[derive(Debug)]
pub(crate) struct Usage {
    tenant: Arc<Tenant>,
    max_memory_bytes: u64,
    max_single_bytes: u64,
    memory_bytes: u64,
    refused: Option<Refusal>,
    meter: Meter,
    ticks_left: u64,
}

/// Memory that was asked for and not given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refusal {
    /// Bytes that there would have been in all.
    pub(crate) asked_bytes: u64,
    /// Bytes that there may be.
    pub(crate) limit_bytes: u64,
    /// Whose limit it is.
    pub(crate) of: LimitOf,
}

/// Whose limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LimitOf {
    /// The instance's own.
    Instance,
    /// That of all instances of the tenant.
    Tenant,
    /// That of a single memory or table: its own maximum, or the host's.
    Single,
}

impl Usage {
    /// `max_memory_bytes` holds for the sum, `max_single_bytes` for each memory.
    pub(crate) fn new(tenant: Arc<Tenant>, max_memory_bytes: u64, max_single_bytes: u64, meter: Meter) -> Self {
        Self { tenant, max_memory_bytes, max_single_bytes, memory_bytes: 0, refused: None, meter, ticks_left: 0 }
    }

    /// What its calls have to run in, to be charged.
    #[cfg(test)]
    fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Starts a call that may execute for `n_ticks`.
    pub(crate) fn begin_call(&mut self, n_ticks: u64) {
        self.ticks_left = n_ticks;
        self.refused = None;
    }

    /// Charges what the call has run until now, from within it; whether it may go on.
    pub(crate) fn charge(&mut self) -> bool {
        self.meter.measure();
        self.settle();
        self.ticks_left > 0
    }

    /// What a call that may go on waits for, so that others get their turn: until the
    /// tenant is within its share of CPU.
    pub(crate) fn pause(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        if self.tenant.debt(self.meter.now()).is_none() {
            return Box::pin(tokio::task::yield_now());
        }
        let (tenant, meter) = (Arc::clone(&self.tenant), self.meter.clone());
        Box::pin(async move { tenant.admit(&meter).await })
    }

    /// Charges what has been measured of a call that is over.
    pub(crate) fn settle(&mut self) {
        let n_ticks = self.meter.take();
        self.tenant.charge(n_ticks, self.meter.now());
        self.ticks_left = self.ticks_left.saturating_sub(n_ticks);
    }

    /// Whether the call has used up its ticks.
    pub(crate) fn is_out_of_ticks(&self) -> bool {
        self.ticks_left == 0
    }

    /// Memory that this call asked for in vain.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.refused
    }

    /// Bytes of memories and tables.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    fn grow(&mut self, current: usize, desired: usize, maximum: u64) -> bool {
        let growth = desired.saturating_sub(current) as u64;
        let total = self.memory_bytes.saturating_add(growth);
        let refused = |asked_bytes, limit_bytes, of| Some(Refusal { asked_bytes, limit_bytes, of });
        if total > self.max_memory_bytes {
            self.refused = refused(total, self.max_memory_bytes, LimitOf::Instance);
        } else if desired as u64 > maximum {
            self.refused = refused(desired as u64, maximum, LimitOf::Single);
        } else if !self.tenant.take_memory(growth) {
            let asked = self.tenant.memory_bytes().saturating_add(growth);
            self.refused = refused(asked, self.tenant.max_memory_bytes(), LimitOf::Tenant);
        } else {
            self.memory_bytes = total;
            return true;
        }
        false
    }
}

/// `memory_grow_failed` and `table_grow_failed` stay without effect: wasmtime calls
/// them also for growths that it never asked about, so giving memory back there would
/// let a guest lower its account at will. A growth that was allowed and then failed in
/// the operating system stays charged.
impl ResourceLimiter for Usage {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let maximum = maximum.map_or(u64::MAX, |maximum| maximum as u64);
        Ok(self.grow(current, desired, maximum.min(self.max_single_bytes)))
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let bytes = |entries: usize| entries.saturating_mul(TABLE_ENTRY_BYTES);
        Ok(self.grow(bytes(current), bytes(desired), bytes(maximum.unwrap_or(usize::MAX)) as u64))
    }

    fn instances(&self) -> usize {
        MAX_CORE_INSTANCES
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }
}

impl Drop for Usage {
    fn drop(&mut self) {
        // a call that was given up has not been settled
        self.settle();
        self.tenant.give_back_memory(self.memory_bytes);
    }
}

/// Most core instances in one component; a Python guest has about forty.
pub(crate) const MAX_CORE_INSTANCES: usize = 256;
/// Most tables in one component.
pub(crate) const MAX_TABLES: usize = 64;
/// Most memories in one component.
pub(crate) const MAX_MEMORIES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ticker::Clock;

    fn usage(tenant: &Arc<Tenant>, max_memory_bytes: u64) -> Usage {
        Usage::new(Arc::clone(tenant), max_memory_bytes, u64::MAX, Meter::new(Clock::default()))
    }

    #[test]
    fn memories_and_tables_count_together() {
        let tenant = Tenant::new("t", 1000);
        let mut usage = usage(&tenant, 600);
        assert!(usage.memory_growing(0, 400, None).unwrap());
        assert!(!usage.table_growing(0, 26, None).unwrap(), "26 entries are 208 bytes");
        assert!(usage.table_growing(0, 25, None).unwrap());
        let refusal = usage.refusal().unwrap();
        assert_eq!((refusal.asked_bytes, refusal.limit_bytes, refusal.of), (608, 600, LimitOf::Instance));
        assert_eq!(tenant.memory_bytes(), 600);
    }

    #[test]
    fn tenant_is_capped_over_instances_and_gets_memory_back() {
        let tenant = Tenant::new("t", 1000);
        let mut first = usage(&tenant, 600);
        let mut second = usage(&tenant, 600);
        assert!(first.memory_growing(0, 600, None).unwrap());
        assert!(!second.memory_growing(0, 500, None).unwrap());
        assert_eq!(second.refusal().unwrap().of, LimitOf::Tenant);
        drop(first);
        assert!(second.memory_growing(0, 500, None).unwrap());
        drop(second);
        assert_eq!(tenant.memory_bytes(), 0);
    }

    #[test]
    fn failed_growth_never_lowers_the_account() {
        let tenant = Tenant::new("t", 1000);
        let mut usage = usage(&tenant, 600);
        assert!(usage.memory_growing(0, 400, None).unwrap());
        usage.memory_grow_failed(wasmtime::Error::msg("beyond the memory's type")).unwrap();
        assert_eq!((usage.memory_bytes(), tenant.memory_bytes()), (400, 400));
    }

    #[test]
    fn single_memory_stays_below_the_hosts_maximum() {
        let tenant = Tenant::new("t", 1000);
        let mut usage = Usage::new(tenant, 600, 300, Meter::new(Clock::default()));
        assert!(!usage.memory_growing(0, 301, None).unwrap());
        assert_eq!(usage.refusal().unwrap().of, LimitOf::Single);
    }

    #[tokio::test]
    async fn all_ticks_that_passed_are_charged_however_seldom_it_is_asked() {
        let (tenant, clock) = (Tenant::new("t", 0), Clock::default());
        let mut usage = Usage::new(Arc::clone(&tenant), 0, 0, Meter::new(clock.clone()));
        usage.begin_call(10);
        let meter = usage.meter().clone();
        meter
            .run(async {
                clock.advance(9);
                assert!(usage.charge());
                clock.advance(25);
                assert!(!usage.charge());
            })
            .await;
        assert!(usage.is_out_of_ticks());
        assert_eq!(tenant.cpu_ticks(), 34);
    }

    #[tokio::test]
    async fn call_that_was_given_up_is_charged() {
        let (tenant, clock) = (Tenant::new("t", 0), Clock::default());
        let usage = Usage::new(Arc::clone(&tenant), 0, 0, Meter::new(clock.clone()));
        usage.meter().run(async { clock.advance(7) }).await;
        drop(usage);
        assert_eq!(tenant.cpu_ticks(), 7);
    }
}
