//! The command line: which benchmarks, over which components, and where the figures go.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Parser;

use crate::control_plane::Latency;
use crate::pipeline::Sandbox;
use crate::report::{self, Measured, Row};
use crate::swap::Swaps;
use crate::{checkpoints, control_plane, identity, json_filter, ledgers, neighbours, start, swap};

/// Measure the data path against native functions
#[derive(Debug, Parser)]
struct Args {
    /// Folder of the first-party plugins, as NAME.wasm
    #[arg(long, value_name = "DIR")]
    plugins: PathBuf,
    /// Folder of the test guests, as NAME.wasm
    #[arg(long, value_name = "DIR")]
    guests: PathBuf,
    /// The program `flowctl`, for the benchmark of its start
    #[arg(long, value_name = "FILE")]
    flowctl: Option<PathBuf>,
    /// Also write the figures here, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only the benchmarks whose name contains this
    filter: Option<String>,
}

/// A benchmark: its name and what makes its rows.
type Benchmark = (&'static str, Measure);

/// What makes rows.
#[derive(Debug, Clone, Copy)]
enum Measure {
    /// Of the data path, against a native function.
    Path(fn(&Sandbox) -> Result<Row>),
    /// Of how long answers take.
    Answers(fn(&Sandbox) -> Result<Vec<Latency>>),
    /// Of what changes of a running topology cost.
    Swaps(fn(&Sandbox) -> Result<Vec<Swaps>>),
}

const BENCHMARKS: [Benchmark; 8] = [
    (json_filter::NAME, Measure::Path(json_filter::run)),
    (ledgers::NAME, Measure::Path(ledgers::run)),
    (identity::NAME, Measure::Path(identity::run)),
    (checkpoints::NAME, Measure::Path(checkpoints::run)),
    (neighbours::NAME, Measure::Path(neighbours::run)),
    (start::NAME, Measure::Path(start::run)),
    (control_plane::NAME, Measure::Answers(control_plane::run)),
    (swap::NAME, Measure::Swaps(swap::run)),
];

/// Runs what the command line asks for.
pub(crate) fn run() -> Result<()> {
    let args = Args::parse();
    let wanted = wanted(args.filter.as_deref())?;
    let sandbox = Sandbox::start(args.plugins, args.guests, args.flowctl)?;
    let mut measured = Measured::default();
    for (name, benchmark) in wanted {
        report::progress(name)?;
        let what = || format!("benchmark `{name}` failed");
        match benchmark {
            Measure::Path(run) => measured.rows.push(run(&sandbox).with_context(what)?),
            Measure::Answers(run) => measured.latencies.extend(run(&sandbox).with_context(what)?),
            Measure::Swaps(run) => measured.swaps.extend(run(&sandbox).with_context(what)?),
        }
    }
    report::print(&measured)?;
    match args.json {
        Some(path) => report::write_json(&path, &measured),
        None => Ok(()),
    }
}

fn wanted(filter: Option<&str>) -> Result<Vec<Benchmark>> {
    let matches = |name: &str| filter.is_none_or(|filter| name.contains(filter));
    let wanted: Vec<_> = BENCHMARKS.into_iter().filter(|(name, _)| matches(name)).collect();
    if wanted.is_empty() {
        let names = BENCHMARKS.map(|(name, _)| format!("`{name}`")).join(", ");
        bail!("no benchmark is named like `{}`, there are {names}", filter.unwrap_or_default());
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(filter: &str) -> Vec<&'static str> {
        wanted(Some(filter)).unwrap().into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn a_filter_takes_the_benchmarks_that_contain_it() {
        assert_eq!(names("json"), ["json-filter"]);
        assert_eq!(
            names("-"),
            [
                "json-filter",
                "ledger-to-transfers",
                "identity-chain-3",
                "checkpoint-each-second",
                "hostile-neighbours",
                "warm-start",
                "control-plane"
            ]
        );
    }

    #[test]
    fn a_filter_that_takes_none_lists_all() {
        let error = wanted(Some("nothing")).unwrap_err().to_string();
        let names = "`json-filter`, `ledger-to-transfers`, `identity-chain-3`, `checkpoint-each-second`, \
                     `hostile-neighbours`, `warm-start`, `control-plane`, `swap`";
        assert_eq!(error, format!("no benchmark is named like `nothing`, there are {names}"));
    }
}
