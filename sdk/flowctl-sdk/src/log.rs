//! Lines for the operator, in the node's log.
//!
//! Natively they go to [`testing::Host::logs`](crate::testing::Host::logs) while a
//! test host lives on the thread, and nowhere otherwise.
//!
//! ```
//! use flowctl_sdk::log;
//!
//! let n_orders = 3;
//! log::info!("{n_orders} orders passed");
//! ```

/// How much a line matters, least first.
///
/// ```
/// use flowctl_sdk::log::Level;
///
/// assert!(Level::Debug < Level::Error);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// For the processor's author.
    Debug,
    /// Ordinary events in the life of the processor.
    Info,
    /// Something that an operator should look at.
    Warn,
    /// Something that went wrong.
    Error,
}

#[doc(inline)]
pub use crate::__log_debug as debug;
#[doc(inline)]
pub use crate::__log_error as error;
#[doc(inline)]
pub use crate::__log_info as info;
#[doc(inline)]
pub use crate::__log_warn as warn;

/// Writes one line. The host may cut a long one, and may drop lines that come
/// too fast.
///
/// ```
/// flowctl_sdk::log::log(flowctl_sdk::log::Level::Warn, "no rate for today");
/// ```
pub fn log(level: Level, message: &str) {
    crate::host::log(level, message);
}

/// Writes a line for the processor's author, formatted as by `format!`.
///
/// ```
/// flowctl_sdk::log::debug!("window {} to {}", 1, 2);
/// ```
#[macro_export]
#[doc(hidden)]
macro_rules! __log_debug {
    ($($part:tt)*) => { $crate::log::log($crate::log::Level::Debug, &::std::format!($($part)*)) };
}

/// Writes a line about an ordinary event, formatted as by `format!`.
///
/// ```
/// flowctl_sdk::log::info!("ready");
/// ```
#[macro_export]
#[doc(hidden)]
macro_rules! __log_info {
    ($($part:tt)*) => { $crate::log::log($crate::log::Level::Info, &::std::format!($($part)*)) };
}

/// Writes a line that an operator should look at, formatted as by `format!`.
///
/// ```
/// flowctl_sdk::log::warn!("{} orders without a currency", 2);
/// ```
#[macro_export]
#[doc(hidden)]
macro_rules! __log_warn {
    ($($part:tt)*) => { $crate::log::log($crate::log::Level::Warn, &::std::format!($($part)*)) };
}

/// Writes a line about something that went wrong, formatted as by `format!`.
///
/// ```
/// flowctl_sdk::log::error!("the table is damaged");
/// ```
#[macro_export]
#[doc(hidden)]
macro_rules! __log_error {
    ($($part:tt)*) => { $crate::log::log($crate::log::Level::Error, &::std::format!($($part)*)) };
}
