//! `json-filter`: JSON in memory through a filter to JSON in memory.
//!
//! The pipeline parses natively, filters in the plugin `order-filter`, and writes
//! natively; the native function does the same on structs of Rust with `serde_json`.
//! Its parts are measured beside it: the codec alone, the call of the plugin alone, and
//! the crossing, which is the call of a plugin that gives back what it got.

use std::cell::RefCell;
use std::sync::Arc;

use anyhow::{Result, ensure};
use flowctl_runtime::{Fault, Outcome, Processor};
use flowctl_schema::Schema;
use flowctl_types::{Batch, Columns, Ids};
use serde_json::json;

use crate::measure::{self, timed};
use crate::memory::{Feed, Taken, Use};
use crate::orders::{self, MINIMUM_CENTS, TEXT_BYTES, Texts};
use crate::pipeline::{Ends, Pipeline, Sandbox};
use crate::report::{Bound, Row};

/// The row's name.
pub(crate) const NAME: &str = "json-filter";

const N_BATCHES: usize = 100;
const BATCH_EVENTS: usize = 1_000;
const N_EVENTS: usize = N_BATCHES * BATCH_EVENTS;

/// Measures it.
pub(crate) fn run(sandbox: &Sandbox) -> Result<Row> {
    let plugin = sandbox.plugin("order-filter", json!({ "minimum": MINIMUM_CENTS }))?;
    let schema = plugin.input()?;
    let texts = Arc::new(Texts::generate(N_EVENTS)?);
    let feed = feed(&schema, &texts);
    let purpose = Use::Json(schema);
    let ends =
        Ends { schema: plugin.input()?, feed: Arc::clone(&feed), n_batches: N_BATCHES, purpose: purpose.clone() };
    let mut filter = sandbox.instance(&plugin)?;
    let mut identity = sandbox.instance(&sandbox.guest("identity", "identity")?)?;
    let pipeline = Pipeline::new(sandbox, ends, vec![plugin])?;

    let inputs = batches(&feed)?;
    let mut passed = Vec::new();
    sandbox.wait(call_all(&mut *filter, &inputs, |columns| passed.push(columns)))?;
    let native = RefCell::new(Taken::default());
    let [native_figure, plugin_figure, codec, call, crossing] = measure::rounds(
        N_EVENTS,
        [
            Box::new(|| {
                let mut native = native.borrow_mut();
                *native = Taken::default();
                timed(|| filter_natively(&texts, &mut native))
            }),
            Box::new(|| pipeline.run()),
            Box::new(|| timed(|| code(&feed, &passed, &purpose))),
            Box::new(|| timed(|| sandbox.wait(call_all(&mut *filter, &inputs, drop)))),
            Box::new(|| timed(|| sandbox.wait(call_all(&mut *identity, &inputs, drop)))),
        ],
    )?;
    ensure!(*native.borrow() == pipeline.taken(), "the plugin's output is not that of the native function");

    let host = plugin_figure.ns_per_event - codec.ns_per_event - call.ns_per_event;
    let crossed = host + crossing.ns_per_event;
    let mut row = Row::new(NAME, "order", N_EVENTS, &native_figure, &plugin_figure);
    row.part("json_bytes", TEXT_BYTES as f64);
    row.part("codec_ns_per_event", codec.ns_per_event);
    row.part("guest_ns_per_event", call.ns_per_event - crossing.ns_per_event);
    row.part("crossing_ns_per_event", crossing.ns_per_event);
    row.part("runtime_ns_per_event", host);
    row.part("host_ns_per_event", crossed);
    row.goal("ratio_to_native", row.ratio_to_native, Bound::AtLeast(0.75));
    row.goal("host_ns_per_event", crossed, Bound::AtMost(50.0));
    Ok(row)
}

/// Parses the texts of a batch into columns.
fn feed(schema: &Schema, texts: &Arc<Texts>) -> Feed {
    let (schema, texts) = (schema.clone(), Arc::clone(texts));
    Arc::new(move |batch| {
        let mut columns = Columns::default();
        columns.timestamps.reserve_exact(BATCH_EVENTS);
        columns.ends.reserve_exact(BATCH_EVENTS);
        columns.data.reserve_exact(BATCH_EVENTS * TEXT_BYTES);
        for text in texts.of(batch * BATCH_EVENTS..(batch + 1) * BATCH_EVENTS) {
            let parsed = schema.json_to_payload(text, &mut columns.data);
            parsed.map_err(|error| Fault::Fatal(error.to_string()))?;
            columns.finish_event(0);
        }
        Ok(columns)
    })
}

fn filter_natively(texts: &Texts, taken: &mut Taken) -> Result<()> {
    for batch in 0..N_BATCHES {
        taken.last.clear();
        let texts = texts.of(batch * BATCH_EVENTS..(batch + 1) * BATCH_EVENTS);
        taken.n_events += orders::filter(texts, &mut taken.last)?;
        taken.n_bytes += taken.last.len();
    }
    Ok(())
}

/// What source and sink do: parses everything, and writes what passed.
fn code(feed: &Feed, passed: &[Columns], purpose: &Use) -> Result<()> {
    let mut taken = Taken::default();
    for (batch, passed) in passed.iter().enumerate() {
        std::hint::black_box(feed(batch)?);
        taken.take(purpose, passed)?;
    }
    std::hint::black_box(taken);
    Ok(())
}

fn batches(feed: &Feed) -> Result<Vec<Batch>> {
    let batch = |number: usize| Ok(Batch::new(feed(number)?, Ids::numbered("memory", 0)));
    (0..N_BATCHES).map(batch).collect()
}

/// Calls a plugin with each batch, and hands what it gives to `take` at once: what would
/// be kept would be new memory at each call, which no pipeline needs.
async fn call_all(processor: &mut dyn Processor, batches: &[Batch], mut take: impl FnMut(Columns)) -> Result<()> {
    for batch in batches {
        let Outcome { outputs, .. } = processor.process(batch).await?;
        ensure!(outputs.len() == 1, "the plugin gave {} batches for one", outputs.len());
        outputs.into_iter().for_each(|output| take(output.columns));
    }
    Ok(())
}
