//! `swap`: what a change of the topology costs a stream of 100,000 events a second.
//!
//! Events carry sequence numbers and pass through plugins in the real sandbox. For each
//! change the longest time between two outputs is taken, from when it is asked for until a
//! few milliseconds after every node has switched, less the usual time between two outputs.
//! The control makes no change and looks as often for as long: what it shows is the machine.

use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use async_trait::async_trait;
use flowctl_engine::Tenant;
use flowctl_runtime::{
    Bounds, Change, ChangeOptions, DeadLetterSink, Fault, Options, Piece, PrepareError, Rejection, Run, RunHandle,
    Sink, Source, Stage, Stop, Workshop,
};
use flowctl_schema::{Conversion, Role};
use flowctl_topology::{Component, Edge, Node, Route, Topology};
use flowctl_types::{Batch, Columns, Ids, NodeId};
use serde::Serialize;

use crate::memory::Letters;
use crate::pipeline::{Plugin, Sandbox, node};

/// The benchmark's name.
pub(crate) const NAME: &str = "swap";

const EVENTS_PER_S: f64 = 100_000.0;
/// Time between two batches.
const BEAT: Duration = Duration::from_millis(1);
const EVENT_BYTES: usize = 100;
/// Changes of each kind, and looks of the control.
const N_CHANGES: usize = 1_000;
/// How long it is looked behind a change.
const AFTER: Duration = Duration::from_millis(5);
/// The goal of the longest pauses but one in a hundred.
pub(crate) const P99_GOAL_MS: f64 = 1.0;

/// What one kind of change cost.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Swaps {
    name: &'static str,
    changes: usize,
    lost: u64,
    duplicated: u64,
    reordered: u64,
    pause_p50_ms: f64,
    pause_p99_ms: f64,
    pause_max_ms: f64,
    /// What the runtime measured of its nodes: the longest that one was held up.
    held_p99_ms: f64,
    events_per_s: f64,
}

/// Makes the kinds of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Control,
    /// A processor comes between others, and goes.
    Insert,
    Remove,
    /// A processor takes the place of another.
    Replace,
    /// A processor is configured, or limited, differently.
    Limit,
    /// A sink comes and goes, each at a checkpoint.
    Branch,
}

const KINDS: [(Kind, &str); 6] = [
    (Kind::Control, "control (no change)"),
    (Kind::Insert, "insert a processor"),
    (Kind::Remove, "remove a processor"),
    (Kind::Replace, "replace a processor"),
    (Kind::Limit, "change a processor's limits"),
    (Kind::Branch, "add or remove a sink"),
];

/// What came out.
#[derive(Default)]
struct Seen {
    next: u64,
    lost: u64,
    duplicated: u64,
    reordered: u64,
    n_events: u64,
    /// When batches came out, the last ones.
    times: Vec<Instant>,
}

struct Bench {
    plugins: Vec<Plugin>,
    seen: Arc<Mutex<Seen>>,
}

/// Measures it.
pub(crate) fn run(sandbox: &Sandbox) -> Result<Vec<Swaps>> {
    let tenant = Tenant::new("bench", 4 << 30);
    let plugins: Vec<Plugin> = ["identity", "second", "other"]
        .into_iter()
        .map(|id| sandbox.guest_at(&tenant, "identity", id))
        .collect::<Result<_>>()?;
    // as under `flowctl serve`: a thread for each core
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start a runtime")?;
    runtime.block_on(async {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let plain = topology(&plugins, &["identity"], false)?;
        let workshop = Arc::new(Bench { plugins: plugins.clone(), seen: Arc::clone(&seen) });
        let mut run = Run::new(workshop, Options::default());
        run.apply(Change::from_empty(&plain)).await?;
        let handle = run.handle();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut rows = Vec::new();
        for (kind, name) in KINDS {
            rows.push(measure(kind, name, &handle, &plugins, &seen).await?);
        }
        handle.stop(Stop::Drain);
        let summary = run.wait().await;
        ensure!(summary.error.is_none(), "the run failed: {}", summary.error.unwrap_or_default());
        Ok(rows)
    })
}

async fn measure(
    kind: Kind,
    name: &'static str,
    handle: &RunHandle,
    plugins: &[Plugin],
    seen: &Arc<Mutex<Seen>>,
) -> Result<Swaps> {
    let looks = || seen.lock().unwrap_or_else(PoisonError::into_inner);
    let plain = topology(plugins, &["identity"], false)?;
    let inserted = topology(plugins, &["identity", "second"], false)?;
    let branched = topology(plugins, &["identity"], true)?;
    let mut limited = plain.clone();
    limited.nodes[1].limits.memory_bytes /= 2;
    let mut replaced = plain.clone();
    replaced.nodes[1].component = plugins[2].component();
    let (mut pauses, mut held) = (Vec::new(), Vec::new());
    let (began, before) = (Instant::now(), looks().n_events);
    let faults = { (looks().lost, looks().duplicated, looks().reordered) };
    for number in 0..N_CHANGES {
        let (from, to) = match (kind, number % 2) {
            (Kind::Control, _) => (&plain, &plain),
            (Kind::Insert | Kind::Remove, _) => (&plain, &inserted),
            (Kind::Replace, 0) => (&plain, &replaced),
            (Kind::Replace, _) => (&replaced, &plain),
            (Kind::Limit, 0) => (&plain, &limited),
            (Kind::Limit, _) => (&limited, &plain),
            (Kind::Branch, 0) => (&plain, &branched),
            (Kind::Branch, _) => (&branched, &plain),
        };
        // of an insertion and its removal one is measured
        if kind == Kind::Remove {
            change(handle, &plain, &inserted).await?;
            tokio::time::sleep(AFTER).await;
        }
        let (from, to) = if kind == Kind::Remove { (to, from) } else { (from, to) };
        looks().times.clear();
        let usual = BEAT;
        tokio::time::sleep(AFTER).await;
        if kind == Kind::Control {
            tokio::time::sleep(BEAT).await;
        } else {
            held.push(change(handle, from, to).await?);
        }
        tokio::time::sleep(AFTER).await;
        let longest = looks().times.windows(2).map(|pair| pair[1] - pair[0]).max();
        let longest = longest.context("nothing came out around a change")?;
        pauses.push(longest.saturating_sub(usual));
        if kind == Kind::Insert {
            change(handle, &inserted, &plain).await?;
        }
    }
    let elapsed = began.elapsed().as_secs_f64();
    let now = looks();
    Ok(Swaps {
        name,
        changes: if kind == Kind::Control { 0 } else { N_CHANGES },
        lost: now.lost - faults.0,
        duplicated: now.duplicated - faults.1,
        reordered: now.reordered - faults.2,
        pause_p50_ms: percentile(&mut pauses, 0.5),
        pause_p99_ms: percentile(&mut pauses, 0.99),
        pause_max_ms: percentile(&mut pauses, 1.0),
        held_p99_ms: percentile(&mut held, 0.99),
        events_per_s: (now.n_events - before) as f64 / elapsed,
    })
}

/// Makes a change; answers how long a node was held up.
async fn change(handle: &RunHandle, from: &Topology, to: &Topology) -> Result<Duration> {
    let ready = handle.prepare(Change::between(from, to), ChangeOptions::default()).await?;
    let changed = ready.switch().await?;
    if changed.n_stranded > 0 {
        bail!("{} batches were left behind", changed.n_stranded);
    }
    Ok(changed.pause)
}

fn percentile(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    let last = times.len().saturating_sub(1);
    let at = ((times.len() as f64 * share).ceil() as usize).saturating_sub(1).min(last);
    times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e3)
}

/// A source, these plugins in a row, a sink, and perhaps another one.
fn topology(plugins: &[Plugin], chain: &[&str], has_branch: bool) -> Result<Topology> {
    let memory = || Component::Connector { name: "memory".to_owned() };
    let schema = plugins.first().context("there is no plugin")?.input()?;
    let mut nodes = vec![node("source", Role::Source, memory(), vec![], vec![schema.clone()])?];
    for id in chain {
        let plugin = plugins.iter().find(|plugin| plugin.id().as_str() == *id).context("no such plugin")?;
        nodes.push(plugin.node());
    }
    nodes.push(node("sink", Role::Sink, memory(), vec![schema.clone()], vec![])?);
    let route = || Route { output_kind: 0, input_kind: 0, conversion: Conversion::Same };
    let edge = |from: &NodeId, to: &NodeId| Edge { from: from.clone(), to: to.clone(), routes: vec![route()] };
    let mut edges: Vec<Edge> = nodes.windows(2).map(|pair| edge(&pair[0].id, &pair[1].id)).collect();
    if has_branch {
        let branch = node("branch", Role::Sink, memory(), vec![schema], vec![])?;
        edges.push(edge(&nodes[1].id, &branch.id));
        nodes.push(branch);
    }
    for node in &mut nodes {
        node.parallelism = NonZeroU16::MIN;
        node.settings.linger = BEAT;
    }
    Ok(Topology { nodes, edges, ..Topology::empty("bench".parse()?) })
}

#[async_trait]
impl Workshop for Bench {
    async fn source(&self, _: &Node) -> Result<Box<dyn Source>, PrepareError> {
        Ok(Box::new(Paced { began: None, n_emitted: 0 }))
    }

    async fn processor(&self, node: &Node) -> Result<Arc<dyn Stage>, PrepareError> {
        let plugin = self.plugins.iter().find(|plugin| plugin.component() == node.component);
        let plugin =
            plugin.ok_or_else(|| PrepareError { node: node.id.to_string(), source: "no such plugin".into() })?;
        Ok(plugin.stage())
    }

    async fn sink(&self, node: &Node) -> Result<Box<dyn Sink>, PrepareError> {
        let is_watched = node.id.as_str() == "sink";
        Ok(Box::new(Watching(is_watched.then(|| Arc::clone(&self.seen)))))
    }

    async fn dead_letters(&self, _: Option<&Node>) -> Result<Box<dyn DeadLetterSink>, PrepareError> {
        Ok(Box::new(Letters { are_refused: true }))
    }
}

/// Emits numbers, so many a second.
struct Paced {
    began: Option<tokio::time::Instant>,
    n_emitted: u64,
}

#[async_trait]
impl Source for Paced {
    async fn open(&mut self, _: Option<&[u8]>) -> Result<(), Fault> {
        Ok(())
    }

    async fn next(&mut self, bounds: &Bounds) -> Result<Piece, Fault> {
        let began = *self.began.get_or_insert_with(tokio::time::Instant::now);
        let mut n_due;
        loop {
            n_due = (began.elapsed().as_secs_f64() * EVENTS_PER_S) as u64 - self.n_emitted;
            if n_due as f64 >= EVENTS_PER_S * BEAT.as_secs_f64() {
                break;
            }
            tokio::time::sleep(BEAT).await;
        }
        let mut columns = Columns::default();
        for number in (self.n_emitted..).take((n_due as usize).min(bounds.max_events)) {
            let mut payload = [0; EVENT_BYTES];
            payload[..8].copy_from_slice(&number.to_le_bytes());
            columns.push(0, &payload);
        }
        let ids = Ids::numbered("paced", self.n_emitted);
        self.n_emitted += columns.len() as u64;
        let position = self.n_emitted.to_le_bytes().to_vec();
        Ok(Piece { batch: Some(Batch::new(columns, ids)), rejected: Vec::new(), position, is_finished: false })
    }
}

/// Watches which numbers come, and when.
struct Watching(Option<Arc<Mutex<Seen>>>);

#[async_trait]
impl Sink for Watching {
    async fn open(&mut self) -> Result<Option<u64>, Fault> {
        Ok(None)
    }

    async fn write(&mut self, batch: &Arc<Batch>) -> Result<Vec<Rejection>, Fault> {
        let Some(seen) = &self.0 else { return Ok(Vec::new()) };
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.times.push(Instant::now());
        seen.n_events += batch.len() as u64;
        for payload in batch.columns.payloads() {
            let number = payload.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
            match number.cmp(&seen.next) {
                std::cmp::Ordering::Equal => seen.next += 1,
                std::cmp::Ordering::Greater => {
                    seen.lost += number - seen.next;
                    seen.next = number + 1;
                }
                // one that was missed came late, or one came twice
                std::cmp::Ordering::Less if seen.lost > 0 => {
                    seen.lost -= 1;
                    seen.reordered += 1;
                }
                std::cmp::Ordering::Less => seen.duplicated += 1,
            }
        }
        Ok(Vec::new())
    }

    async fn flush(&mut self, _: u64) -> Result<(), Fault> {
        Ok(())
    }
}

impl Swaps {
    pub(crate) const HEADER: &'static str = "change                        changes  lost  twice  out of order   p50 ms   p99 ms   max ms  held p99   events/s";

    /// One line of the table.
    pub(crate) fn text(&self) -> String {
        let Self { name, changes, lost, duplicated, reordered, pause_p50_ms, pause_p99_ms, .. } = self;
        let Self { pause_max_ms, held_p99_ms, events_per_s, .. } = self;
        format!(
            "{name:<30}{changes:>7}{lost:>6}{duplicated:>7}{reordered:>14}{pause_p50_ms:>9.3}{pause_p99_ms:>9.3}\
             {pause_max_ms:>9.3}{held_p99_ms:>10.3}{events_per_s:>11.0}\n"
        )
    }

    /// Whether it is within its goal: nothing lost, doubled or out of order, and hardly a pause.
    pub(crate) fn is_reached(&self) -> bool {
        self.lost + self.duplicated + self.reordered == 0 && self.pause_p99_ms <= P99_GOAL_MS
    }
}
