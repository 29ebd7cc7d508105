//! `checkpoint-each-second`: a stateful plugin with a checkpoint each second, against the
//! same pipeline without any.
//!
//! `native` of this row is the run without; both end with one checkpoint. What is stored
//! is the sums of a thousand assets, in the database that `flowctl run` keeps them in, on
//! the disk of the temporary folder. The time that counts is the wall's: a checkpoint
//! waits for the disk.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flowctl_runtime::Options;
use flowctl_store::PipelineState;
use flowctl_types::Columns;
use serde_json::json;

use crate::measure;
use crate::memory::{Feed, Use};
use crate::pipeline::{Ends, Pipeline, Plugin, Sandbox};
use crate::report::{Bound, Row};

/// The row's name.
pub(crate) const NAME: &str = "checkpoint-each-second";

pub(crate) const N_ASSETS: usize = 1_000;
const N_BATCHES: usize = 10_000;
/// A batch has a transfer of each asset.
const N_EVENTS: usize = N_BATCHES * N_ASSETS;
const NEVER: Duration = Duration::from_secs(24 * 3_600);
/// What of its throughput a pipeline keeps at least.
const RATIO_GOAL: f64 = 0.95;

/// Measures it.
pub(crate) fn run(sandbox: &Sandbox) -> Result<Row> {
    let plugin = sandbox.plugin("volume-aggregator", json!({}))?;
    let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
    let batch = batch(&plugin)?;
    let feed: Feed = Arc::new(move |_| Ok(batch.clone()));
    let pipeline = |interval| {
        let ends = Ends { schema: plugin.input()?, feed: Arc::clone(&feed), n_batches: N_BATCHES, purpose: Use::Count };
        anyhow::Ok(Pipeline::new(sandbox, ends, vec![plugin.clone()])?.with_checkpoints_each(interval))
    };
    let (without, with) = (pipeline(NEVER)?, pipeline(Duration::from_secs(1))?);
    let (mut n_runs, mut n_stored) = (0_u32, 0);
    let [without_figure, with_figure] = measure::rounds(
        N_EVENTS,
        [
            Box::new(|| without.run()),
            Box::new(|| {
                n_runs += 1;
                let state = PipelineState::open(&folder.path().join(n_runs.to_string()), &"bench".parse()?)?;
                let options = Options { store: Arc::new(state.checkpoints(1)), ..Options::default() };
                let elapsed = with.run_with(options)?;
                n_stored += state.standing()?.context("no checkpoint was stored")?.epoch;
                Ok(elapsed)
            }),
        ],
    )?;
    ensure!(without.taken() == with.taken(), "the checkpoints changed what came out");

    let ratio = without_figure.wall_ns_per_event / with_figure.wall_ns_per_event;
    let mut row = Row::new(NAME, "transfer", N_EVENTS, &without_figure, &with_figure);
    row.part("checkpoints_per_round", n_stored as f64 / f64::from(n_runs));
    row.goal("wall_ratio", ratio, Bound::AtLeast(RATIO_GOAL));
    Ok(row)
}

/// A transfer of each asset, all of one ledger.
pub(crate) fn batch(plugin: &Plugin) -> Result<Columns> {
    let schema = plugin.input()?;
    let mut columns = Columns::default();
    for asset in 0..N_ASSETS {
        let transfer = json!({
            "ledger_sequence": 1,
            "closed_at": 1_764_000_000,
            "kind": "transfer",
            "tx_hash": "5a".repeat(32),
            "transaction_index": 1,
            "contract_address": "CAS3J7GYLGXMF6TDJBBYYSE3HQ6BBSMLNUQ34T6TZMYMW2EVH34XOWMA",
            "asset": format!("A{asset}:GAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAWHF"),
            "amount": "12345",
        });
        schema.json_to_payload(transfer.to_string().as_bytes(), &mut columns.data)?;
        columns.finish_event(0);
    }
    Ok(columns)
}
