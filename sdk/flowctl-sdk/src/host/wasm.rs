//! The contract's imports. The one place, beside what the macro generates, where
//! unsafe code is allowed: it is wit-bindgen's.

use crate::log::Level;

/// Writes one line to the node's log.
pub(crate) fn log(level: Level, message: &str) {
    let level = match level {
        Level::Debug => imports::flowctl::processor::log::Level::Debug,
        Level::Info => imports::flowctl::processor::log::Level::Info,
        Level::Warn => imports::flowctl::processor::log::Level::Warn,
        Level::Error => imports::flowctl::processor::log::Level::Error,
    };
    imports::flowctl::processor::log::log(level, message);
}

/// Adds to one of the node's counters.
pub(crate) fn counter(name: &str, by: u64) {
    imports::flowctl::processor::metrics::counter(name, by);
}

#[allow(unsafe_code, missing_docs, unreachable_pub, dead_code, clippy::all)]
mod imports {
    flowctl_sdk_macros::__imports!();
}
