//! `ledger-to-transfers`: ledgers in memory to token transfers in memory.
//!
//! The pipeline runs the plugin `ttp-processor`; the native function is the same crate
//! linked into this binary, encoding of the transfers included. The row's figures are
//! of the first set of ledgers, its parts those of each.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, anyhow, ensure};
use flowctl_runtime::Fault;
use flowctl_sdk::__private::Instance;
use flowctl_sdk::contract;
use flowctl_types::Columns;
use serde_json::json;
use ttp_processor::plugin::{Config, Mode, TtpProcessor};

use crate::ledger_sets::{self, LedgerSet};
use crate::measure::{self, Figure, timed};
use crate::memory::{Feed, Taken, Use};
use crate::pipeline::{Ends, Pipeline, Sandbox};
use crate::report::{Bound, Row};

/// The row's name.
pub(crate) const NAME: &str = "ledger-to-transfers";

/// What the plugin reaches at least, in parts of the native function.
const RATIO_GOAL: f64 = 0.7;
/// How many times the reference implementation it is at least.
const REFERENCE_GOAL: f64 = 2.0;

/// What was measured of a set.
struct Measured {
    n_ledgers: usize,
    n_bytes: usize,
    n_events: usize,
    native: Figure,
    plugin: Figure,
}

/// Measures it.
pub(crate) fn run(sandbox: &Sandbox) -> Result<Row> {
    let mut row: Option<Row> = None;
    for set in ledger_sets::all()? {
        let measured = measure(sandbox, &set).with_context(|| format!("ledgers of `{}`", set.name))?;
        let Measured { n_events, native, plugin, .. } = &measured;
        let row = row.get_or_insert_with(|| Row::new(NAME, "transfer", *n_events, native, plugin));
        describe(row, &set, &measured);
    }
    row.context("there are no ledgers")
}

fn describe(row: &mut Row, set: &LedgerSet, measured: &Measured) {
    let Measured { n_ledgers, n_bytes, n_events, native, plugin } = measured;
    let seconds = plugin.ns_per_event * 1e-9 * *n_events as f64;
    let (ratio, mb_per_s) = (native.ns_per_event / plugin.ns_per_event, *n_bytes as f64 / 1e6 / seconds);
    let mut part = |what: &str, value: f64| row.part(&format!("{}: {what}", set.name), value);
    part("native_ns_per_event", native.ns_per_event);
    part("plugin_ns_per_event", plugin.ns_per_event);
    part("ledgers_per_s", *n_ledgers as f64 / seconds);
    part("mb_per_s", mb_per_s);
    row.goal(&format!("{}: ratio_to_native", set.name), ratio, Bound::AtLeast(RATIO_GOAL));
    if let Some(reference) = set.reference {
        let times = mb_per_s / reference.mb_per_s;
        row.goal(&format!("{}: times_the_reference", set.name), times, Bound::AtLeast(REFERENCE_GOAL));
    }
}

fn measure(sandbox: &Sandbox, set: &LedgerSet) -> Result<Measured> {
    let batches = Arc::new(set.batches());
    let plugin = sandbox.plugin("ttp-processor", json!({ "network": set.passphrase }))?;
    let ready: Arc<Mutex<Vec<Columns>>> = Arc::default();
    let source = Arc::clone(&ready);
    let feed: Feed = Arc::new(move |batch| {
        let mut ready = source.lock().unwrap_or_else(PoisonError::into_inner);
        ready.get_mut(batch).map(std::mem::take).ok_or_else(|| Fault::Fatal(format!("there is no batch {batch}")))
    });
    let ends = Ends { schema: plugin.input()?, feed, n_batches: batches.len(), purpose: Use::Count };
    let pipeline = Pipeline::new(sandbox, ends, vec![plugin])?;
    let config = Config { network: set.passphrase.to_owned(), mode: Mode::Derive };
    let mut processor: Instance<TtpProcessor> = Instance::new(config).map_err(|error| anyhow!(error))?;

    let native = RefCell::new(process(&mut processor, inputs(&batches))?);
    let n_events = native.borrow().n_events;
    let figures = measure::rounds(
        n_events,
        [
            Box::new(|| {
                let inputs = inputs(&batches);
                timed(|| {
                    native.replace(process(&mut processor, inputs)?);
                    Ok(())
                })
            }),
            Box::new(|| {
                // as for the native function, the ledgers are in memory of their own beforehand
                ready.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&batches);
                pipeline.run()
            }),
        ],
    )?;
    ensure!(*native.borrow() == pipeline.taken(), "the plugin's output is not that of the native function");
    let [native, plugin] = figures;
    let n_ledgers = batches.iter().map(Columns::len).sum();
    let n_bytes = batches.iter().map(|batch| batch.data.len()).sum();
    Ok(Measured { n_ledgers, n_bytes, n_events, native, plugin })
}

/// What the plugin does, without a sandbox.
fn process(processor: &mut Instance<TtpProcessor>, inputs: Vec<contract::Batch>) -> Result<Taken> {
    let mut taken = Taken::default();
    for input in inputs {
        let outcome = processor.process(input).map_err(|fault| anyhow!("{fault:?}"))?;
        ensure!(outcome.rejected.is_empty(), "a ledger was rejected: {:?}", outcome.rejected);
        for output in &outcome.outputs {
            taken.n_events += output.ends.len();
            taken.n_bytes += output.data.len() + output.keys.len();
        }
    }
    Ok(taken)
}

fn inputs(batches: &[Columns]) -> Vec<contract::Batch> {
    let input = |columns: &Columns| contract::Batch {
        timestamps: columns.timestamps.clone(),
        ends: columns.ends.clone(),
        data: columns.data.clone(),
        ..contract::Batch::default()
    };
    batches.iter().map(input).collect()
}
