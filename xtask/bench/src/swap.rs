//! `swap`: what a change of the topology costs a stream of 100,000 events a second.
//!
//! Events carry sequence numbers and pass through plugins in the real sandbox. For each
//! change the longest time between two outputs is taken, from when it is asked for until a
//! few milliseconds after every node has switched, less the usual time between two outputs
//! (the median of those looked at).
//! The control makes no change and looks as often for as long: what it shows is the machine.

use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
use serde_json::json;
use tokio::sync::Notify;

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
/// How long it is looked before and behind a change.
const AROUND: Duration = Duration::from_millis(5);
/// How long is looked at the stream while nothing changes.
const STEADY: Duration = Duration::from_secs(1);
/// The goal of the longest pauses but one in a hundred.
pub(crate) const P99_GOAL_MS: f64 = 1.0;

/// What one kind of change cost.
#[derive(Debug, Clone, Default, Serialize)]
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
    events_per_s_before: f64,
    /// While the changes were made.
    events_per_s: f64,
    events_per_s_after: f64,
}

/// A topology and another one, and what it is called to change the one into the other and back.
struct Pair {
    there: &'static str,
    back: &'static str,
    one: Topology,
    other: Topology,
}

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
        let mut rows = vec![control(&seen).await?];
        for pair in pairs(&plugins)? {
            rows.extend(pair.measure(&handle, &seen).await?);
        }
        handle.stop(Stop::Drain);
        let summary = run.wait().await;
        ensure!(summary.error.is_none(), "the run failed: {}", summary.error.unwrap_or_default());
        Ok(rows)
    })
}

/// Every kind of change.
fn pairs(plugins: &[Plugin]) -> Result<Vec<Pair>> {
    let plain = topology(plugins, &["identity"], false)?;
    let changed = |change: &dyn Fn(&mut Topology)| {
        let mut other = plain.clone();
        change(&mut other);
        other
    };
    let other = plugins.last().context("there is no plugin")?.component();
    let config = |topology: &mut Topology, node: usize| topology.nodes[node].config = json!({"number": 1});
    let limits = |topology: &mut Topology| topology.nodes[1].limits.memory_bytes /= 2;
    let mut several = topology(plugins, &["identity", "second"], true)?;
    several.nodes[1].component = other.clone();
    limits(&mut several);
    config(&mut several, 3);
    let pair = |there, back, other| Pair { there, back, one: plain.clone(), other };
    let same = |name, other| pair(name, name, other);
    Ok(vec![
        pair("insert a processor", "remove a processor", topology(plugins, &["identity", "second"], false)?),
        same("replace a processor", changed(&|topology| topology.nodes[1].component = other.clone())),
        same("configure a processor", changed(&|topology| config(topology, 1))),
        same("change a processor's limits", changed(&limits)),
        pair("append a branch", "remove a branch", topology(plugins, &["identity"], true)?),
        same("change a sink", changed(&|topology| config(topology, 2))),
        same("several at once", several),
    ])
}

/// Looks as often as for a change, and makes none.
async fn control(seen: &Mutex<Seen>) -> Result<Swaps> {
    let mut taken = Taken::default();
    let before = steady(seen).await;
    let began = Began::now(seen);
    for _ in 0..N_CHANGES {
        taken.look(seen, async { Ok(Duration::ZERO) }).await?;
    }
    let during = began.events_per_s(seen);
    let row = taken.row("control (no change)", [before, during, steady(seen).await]);
    Ok(Swaps { changes: 0, ..row })
}

impl Pair {
    /// Changes there and back, until each kind was measured often enough.
    async fn measure(&self, handle: &RunHandle, seen: &Mutex<Seen>) -> Result<Vec<Swaps>> {
        let Self { there, back, one, other } = self;
        let is_symmetric = there == back;
        let (mut ways, before) = ([Taken::default(), Taken::default()], steady(seen).await);
        let began = Began::now(seen);
        for _ in 0..if is_symmetric { N_CHANGES / 2 } else { N_CHANGES } {
            for (way, (from, to)) in [(one, other), (other, one)].into_iter().enumerate() {
                ways[if is_symmetric { 0 } else { way }].look(seen, change(handle, from, to)).await?;
            }
        }
        let during = began.events_per_s(seen);
        let rates = [before, during, steady(seen).await];
        let rows = ways.into_iter().zip([there, back]).filter(|(taken, _)| !taken.pauses.is_empty());
        Ok(rows.map(|(taken, name)| taken.row(name, rates)).collect())
    }
}

/// What changes of one kind took.
#[derive(Default)]
struct Taken {
    pauses: Vec<Duration>,
    held: Vec<Duration>,
    lost: u64,
    duplicated: u64,
    reordered: u64,
}

impl Taken {
    /// Looks at what comes out while `change` is made, and a little longer.
    async fn look(&mut self, seen: &Mutex<Seen>, change: impl Future<Output = Result<Duration>>) -> Result<()> {
        let (lost, duplicated, reordered) = {
            let mut seen = locked(seen);
            seen.times.clear();
            (seen.lost, seen.duplicated, seen.reordered)
        };
        tokio::time::sleep(AROUND).await;
        self.held.push(change.await?);
        tokio::time::sleep(AROUND).await;
        let seen = locked(seen);
        let mut gaps: Vec<Duration> = seen.times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        gaps.sort_unstable();
        let longest = *gaps.last().context("nothing came out around a change")?;
        self.pauses.push(longest.saturating_sub(gaps[gaps.len() / 2]));
        self.lost += seen.lost - lost;
        self.duplicated += seen.duplicated - duplicated;
        self.reordered += seen.reordered - reordered;
        Ok(())
    }

    fn row(mut self, name: &'static str, [before, during, after]: [f64; 3]) -> Swaps {
        Swaps {
            name,
            changes: self.pauses.len(),
            lost: self.lost,
            duplicated: self.duplicated,
            reordered: self.reordered,
            pause_p50_ms: percentile(&mut self.pauses, 0.5),
            pause_p99_ms: percentile(&mut self.pauses, 0.99),
            pause_max_ms: percentile(&mut self.pauses, 1.0),
            held_p99_ms: percentile(&mut self.held, 0.99),
            events_per_s_before: before,
            events_per_s: during,
            events_per_s_after: after,
        }
    }
}

/// When counting began, and what had come out by then.
struct Began {
    at: Instant,
    n_events: u64,
}

impl Began {
    fn now(seen: &Mutex<Seen>) -> Self {
        Self { at: Instant::now(), n_events: locked(seen).n_events }
    }

    fn events_per_s(&self, seen: &Mutex<Seen>) -> f64 {
        (locked(seen).n_events - self.n_events) as f64 / self.at.elapsed().as_secs_f64()
    }
}

/// Events a second while nothing changes.
async fn steady(seen: &Mutex<Seen>) -> f64 {
    let began = Began::now(seen);
    tokio::time::sleep(STEADY).await;
    began.events_per_s(seen)
}

fn locked(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
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
        node.settings.linger = Duration::ZERO;
    }
    Ok(Topology { nodes, edges, ..Topology::empty("bench".parse()?) })
}

#[async_trait]
impl Workshop for Bench {
    async fn source(&self, _: &Node) -> Result<Box<dyn Source>, PrepareError> {
        Ok(Box::new(Paced::start()))
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
    began: Instant,
    n_emitted: u64,
    beats: Arc<Notify>,
}

impl Paced {
    /// Begins now. A thread of its own beats, since the runtime's timers know whole
    /// milliseconds only, which is what is to be seen.
    #[allow(clippy::disallowed_methods, reason = "what is waited for is the time itself")]
    fn start() -> Self {
        let (began, beats) = (Instant::now(), Arc::new(Notify::new()));
        let beaten = Arc::downgrade(&beats);
        std::thread::spawn(move || {
            let mut next = began;
            while let Some(beats) = beaten.upgrade() {
                beats.notify_one();
                drop(beats);
                next += BEAT;
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        });
        Self { began, n_emitted: 0, beats }
    }

    fn n_due(&self) -> u64 {
        (self.began.elapsed().as_secs_f64() * EVENTS_PER_S) as u64 - self.n_emitted
    }
}

#[async_trait]
impl Source for Paced {
    async fn open(&mut self, _: Option<&[u8]>) -> Result<(), Fault> {
        Ok(())
    }

    async fn next(&mut self, bounds: &Bounds) -> Result<Piece, Fault> {
        self.beats.notified().await;
        let mut columns = Columns::default();
        for number in (self.n_emitted..).take((self.n_due() as usize).min(bounds.max_events)) {
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
        let mut seen = locked(seen);
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
    pub(crate) const HEADER: &'static str = "change                        changes  lost  twice  out of order   p50 ms   p99 ms   max ms  held p99   events/s before, during, after";

    /// One line of the table.
    pub(crate) fn text(&self) -> String {
        let Self { name, changes, lost, duplicated, reordered, pause_p50_ms, pause_p99_ms, .. } = self;
        let Self { pause_max_ms, held_p99_ms, events_per_s_before, events_per_s, events_per_s_after, .. } = self;
        format!(
            "{name:<30}{changes:>7}{lost:>6}{duplicated:>7}{reordered:>14}{pause_p50_ms:>9.3}{pause_p99_ms:>9.3}\
             {pause_max_ms:>9.3}{held_p99_ms:>10.3}{events_per_s_before:>11.0}{events_per_s:>8.0}{events_per_s_after:>8.0}\n"
        )
    }

    /// Whether it is within its goal: nothing lost, doubled or out of order, and hardly a pause.
    pub(crate) fn is_reached(&self) -> bool {
        self.lost + self.duplicated + self.reordered == 0 && self.pause_p99_ms <= P99_GOAL_MS
    }
}
