//! The control plane over a real store and a real port, with a planner and components in
//! memory. What is waited for is a condition; limits are only there so that a test that
//! would hang fails.
#![allow(clippy::unwrap_used, missing_docs)]

mod access;
mod changes;
mod components;
mod limits;
mod pages;
mod port;
mod restarts;
mod runs;
mod support;
mod watches;
