//! The index of plugins: its form, what is found in it, and writers beside each other.
#![allow(clippy::unwrap_used)]

mod between;
mod format;
mod registry;
mod search;
mod shelf;
mod update;
