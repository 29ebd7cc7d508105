//! Connectors as the runtime uses them, with files made by the tests themselves.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod base_dir;
mod catalogue;
mod generated_ledgers;
mod http_sink;
mod http_source;
mod json_lines;
mod ledger_files;
mod live_components;
mod load;
mod reach;
mod sinks;
mod stellar_rpc;
