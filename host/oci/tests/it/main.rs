//! Artifacts, layouts, the store and the client, against a registry in this process.
#![allow(clippy::unwrap_used)]

mod artifact;
mod client;
mod index;
mod layout;
mod plugin;
mod pull;
mod registry;
mod store;
