//! `hostile-neighbours`: a tenant's pipeline beside another tenant whose plugin misbehaves,
//! against the same pipeline alone.
//!
//! Both tenants have the same share of the machine, and the pipeline has it when it is
//! alone too; they share one process and one thread for each core, as under `flowctl serve`.
//! The time that counts is the wall's. `native` of this row is the pipeline alone, `plugin` the
//! same beside the neighbour that cost it most; their time executed is that of both.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use flowctl_engine::{Tenant, TenantLimits};
use flowctl_runtime::{Options, Run};
use flowctl_types::Columns;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::checkpoints::{N_ASSETS, batch};
use crate::measure::{self, Elapsed, Figure};
use crate::memory::{Feed, Use};
use crate::pipeline::{Ends, Pipeline, Sandbox};
use crate::report::{Bound, Row};

/// The row's name.
pub(crate) const NAME: &str = "hostile-neighbours";

/// What the neighbours do, and the guest that does it.
const NEIGHBOURS: [(&str, &str); 4] =
    [("loop", "spin"), ("memory", "bomb"), ("log_flood", "log_flood"), ("output", "gush")];
const N_BATCHES: usize = 5_000;
const N_EVENTS: usize = N_BATCHES * N_ASSETS;
/// What each tenant has of the machine.
const SHARE: f64 = 0.4;
const MEMORY_BYTES: u64 = 1 << 30;
/// Runs of a neighbour that may fail one after the other.
const N_LIVES: usize = 10_000;
/// What of its throughput the pipeline keeps at least.
const RATIO_GOAL: f64 = 0.9;

/// Measures it.
pub(crate) fn run(sandbox: &Sandbox) -> Result<Row> {
    let n_cores = std::thread::available_parallelism()?.get();
    let limits = TenantLimits { memory_bytes: MEMORY_BYTES, cpu_share: Some(SHARE * n_cores as f64) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(n_cores).enable_all().build();
    let runtime = runtime.context("cannot start a runtime")?;

    let plugin = sandbox.plugin_of(&Tenant::with_limits("honest", limits), "volume-aggregator", json!({}))?;
    let transfers = batch(&plugin)?;
    let ends = |schema, events: Columns, n_batches| {
        let feed: Feed = Arc::new(move |_| Ok(events.clone()));
        Ends { schema, feed, n_batches, purpose: Use::Count }
    };
    let honest = Pipeline::new(sandbox, ends(plugin.input()?, transfers, N_BATCHES), vec![plugin])?;
    let mut neighbours = Vec::new();
    for (_, guest) in NEIGHBOURS {
        let plugin = sandbox.guest_of(&Tenant::with_limits(guest, limits), guest)?;
        let ends = ends(plugin.input()?, nonsense(), usize::MAX);
        neighbours.push(Pipeline::new(sandbox, ends, vec![plugin])?.with_rejections());
    }
    let [looping, hoarding, logging, gushing] = neighbours.as_slice() else { bail!("a neighbour is missing") };

    let [alone, others @ ..] = measure::rounds(
        N_EVENTS,
        [
            Box::new(|| runtime.block_on(honest.measured(Options::default()))),
            Box::new(|| beside(&runtime, &honest, looping)),
            Box::new(|| beside(&runtime, &honest, hoarding)),
            Box::new(|| beside(&runtime, &honest, logging)),
            Box::new(|| beside(&runtime, &honest, gushing)),
        ],
    )?;
    let ratio = |figure: &Figure| alone.wall_ns_per_event / figure.wall_ns_per_event;
    let worst = others.iter().min_by(|a, b| ratio(a).total_cmp(&ratio(b))).context("there are no neighbours")?;
    let mut row = Row::new(NAME, "transfer", N_EVENTS, &alone, worst);
    row.part("cores_of_each_tenant", SHARE * n_cores as f64);
    for ((what, _), figure) in NEIGHBOURS.iter().zip(&others) {
        row.goal(&format!("wall_ratio_beside_{what}"), ratio(figure), Bound::AtLeast(RATIO_GOAL));
    }
    Ok(row)
}

/// Measures `honest` while `hostile` runs, again and again where it fails.
fn beside(runtime: &Runtime, honest: &Pipeline<'_>, hostile: &Pipeline<'_>) -> Result<Elapsed> {
    runtime.block_on(async {
        let first = hostile.start(Options::default()).await?;
        tokio::select! {
            elapsed = honest.measured(Options::default()) => elapsed,
            error = live_on(first, hostile) => Err(error),
        }
    })
}

/// Ends only where the neighbour does not live as long as is measured.
async fn live_on(mut run: Run, hostile: &Pipeline<'_>) -> anyhow::Error {
    for _ in 0..N_LIVES {
        run.wait().await;
        run = match hostile.start(Options::default()).await {
            Ok(next) => next,
            Err(error) => return error.context("the neighbour cannot be started again"),
        };
    }
    anyhow::anyhow!("the neighbour failed {N_LIVES} times")
}

fn nonsense() -> Columns {
    let mut columns = Columns::default();
    (0..1_000).for_each(|_| columns.push(0, &[0x5a; 100]));
    columns
}
