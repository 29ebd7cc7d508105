//! The control plane's database: what is stored is found again, by any process, and stays
//! within its bounds.
#![allow(clippy::unwrap_used, missing_docs)]

mod components;
mod credentials;
mod events;
mod hosts;
mod opening;
mod pipelines;
mod retention;
mod revisions;
mod runs;
mod support;
