//! `identity-chain-3`: three plugins that give back what they got, memory to memory.
//!
//! What is left is the runtime and the crossings. The native function copies the
//! columns three times.

use std::sync::Arc;

use anyhow::{Result, ensure};
use flowctl_types::Columns;

use crate::measure::{self, timed};
use crate::memory::{Feed, Use};
use crate::pipeline::{Ends, Pipeline, Sandbox};
use crate::report::{Bound, Row};

/// The row's name.
pub(crate) const NAME: &str = "identity-chain-3";

const N_BATCHES: usize = 1_000;
const BATCH_EVENTS: usize = 1_000;
const N_EVENTS: usize = N_BATCHES * BATCH_EVENTS;
const EVENT: [u8; 100] = [0x5a; 100];
const CHAIN: [&str; 3] = ["first", "second", "third"];

/// Measures it.
pub(crate) fn run(sandbox: &Sandbox) -> Result<Row> {
    let plugins = CHAIN.into_iter().map(|id| sandbox.guest("identity", id)).collect::<Result<Vec<_>>>()?;
    let batch = batch();
    let made = batch.clone();
    let feed: Feed = Arc::new(move |_| Ok(made.clone()));
    let schema = plugins[0].input()?;
    let ends = Ends { schema, feed, n_batches: N_BATCHES, purpose: Use::Count };
    let pipeline = Pipeline::new(sandbox, ends, plugins)?;

    let [native, plugin] = measure::rounds(
        N_EVENTS,
        [
            Box::new(|| {
                timed(|| {
                    copy(&batch);
                    Ok(())
                })
            }),
            Box::new(|| pipeline.run()),
        ],
    )?;
    let taken = pipeline.taken();
    ensure!(taken.n_events == N_EVENTS, "{} events came out of {N_EVENTS}", taken.n_events);

    let mut row = Row::new(NAME, "event of 100 B", N_EVENTS, &native, &plugin);
    row.goal("events_per_s", row.events_per_s, Bound::AtLeast(5e6));
    Ok(row)
}

fn copy(batch: &Columns) {
    for _ in 0..N_BATCHES {
        let mut columns = batch.clone();
        for _ in CHAIN {
            columns = std::hint::black_box(columns.clone());
        }
        std::hint::black_box(columns);
    }
}

fn batch() -> Columns {
    let mut columns = Columns::default();
    for _ in 0..BATCH_EVENTS {
        columns.push(0, &EVENT);
    }
    columns
}
