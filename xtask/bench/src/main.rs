//! The data path against native functions in the same binary.
//!
//! A benchmark makes contenders (a native function, a pipeline of plugins, parts of it),
//! which take turns on one thread; the report says by how much they differ. It judges
//! no build: benchmarks are not tests.

mod checkpoints;
mod cli;
mod control_plane;
mod identity;
mod json_filter;
mod ledger_sets;
mod ledgers;
mod measure;
mod memory;
mod neighbours;
mod orders;
mod pipeline;
mod report;
mod start;
mod swap;

fn main() -> anyhow::Result<()> {
    cli::run()
}
