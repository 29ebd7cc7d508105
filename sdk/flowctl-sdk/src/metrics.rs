//! Figures for the operator.
//!
//! Natively they go to
//! [`testing::Host::counter`](crate::testing::Host::counter) while a test host
//! lives on the thread, and nowhere otherwise.

/// Adds `by` to the node's counter `name`, which starts at 0 with each instance.
///
/// A name is `[a-z][a-z0-9_]*`; the host ignores others. It crosses the sandbox,
/// so once per batch is cheaper than once per event.
///
/// ```
/// flowctl_sdk::metrics::counter("orders_without_currency", 2);
/// ```
pub fn counter(name: &str, by: u64) {
    crate::host::counter(name, by);
}
