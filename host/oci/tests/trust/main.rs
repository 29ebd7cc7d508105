//! Who is trusted, and whom one is to a registry: signatures, policies and logins, by the
//! crate's public API.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod auth;
mod exchange;
mod helpers;
mod keys;
mod memory;
mod policy;
mod signatures;
