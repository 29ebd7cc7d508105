//! Components behind gRPC on the loopback interface, as nodes of real runs.
#![allow(clippy::unwrap_used, reason = "a test may fail by a panic")]

mod child;
mod cuts;
mod ends;
mod health;
mod processors;
mod sinks;
mod sources;
mod support;
