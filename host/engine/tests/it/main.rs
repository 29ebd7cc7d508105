//! The engine with guests that misbehave, and with some that do not.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod capabilities;
mod hostile;
mod isolation;
mod load;
mod shares;
mod state;
mod used;
