//! Events that time brings.

use crate::{Emitter, Failure, Processor};

/// Lets a processor emit without an input event: implement it beside `process`,
/// in the same module, and the component exports `flowctl:processor/timer`.
/// Both functions do nothing unless written.
///
/// A timer has no event to refuse: a [`Failure::Reject`] from it counts as fatal.
///
/// ```
/// #[flowctl_sdk::processor(input = "example.order.v1", output = "example.order.v1")]
/// mod last_order {
///     /// Passes the very last order.
///     pub struct LastOrder { last: Option<Order> }
///
///     impl LastOrder {
///         fn new() -> Self { LastOrder { last: None } }
///         fn process(&mut self, order: Order, _out: &mut Emitter<Order>) { self.last = Some(order); }
///     }
///
///     impl Timer for LastOrder {
///         fn end(&mut self, out: &mut Emitter<Order>) -> Result<(), Failure> {
///             if let Some(order) = self.last.take() {
///                 out.emit(order);
///             }
///             Ok(())
///         }
///     }
/// }
/// # fn main() {}
/// ```
pub trait Timer: Processor {
    /// Called between two batches at the node's configured interval, with the
    /// wall clock in nanoseconds since the Unix epoch.
    ///
    /// # Errors
    ///
    /// [`Failure::Retry`] to be called again soon, [`Failure::Fatal`] to give up.
    fn tick(&mut self, now: u64, out: &mut Emitter<'_, Self::Output>) -> Result<(), Failure> {
        let _ = (now, out);
        Ok(())
    }

    /// Called once, after the last event, when every source has finished for
    /// good; never on stop, drain or swap.
    ///
    /// # Errors
    ///
    /// As for [`Timer::tick`].
    fn end(&mut self, out: &mut Emitter<'_, Self::Output>) -> Result<(), Failure> {
        let _ = out;
        Ok(())
    }
}
