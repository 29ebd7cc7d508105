//! Whole runs, with components in memory and tokio's clock paused: time passes only when
//! every task waits, so nothing here depends on how fast the machine is.
#![allow(clippy::unwrap_used, missing_docs)]

mod changes;
mod changes_at_random;
mod checkpoints;
mod delivery;
mod faults;
mod figures;
mod limits;
mod observers;
mod properties;
mod resumes;
mod rewinds;
mod spans;
mod stops;
mod support;
mod taps;
mod timers;
