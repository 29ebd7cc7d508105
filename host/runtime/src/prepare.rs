//! Makes everything that a change needs, before anything runs.
//!
//! Invariant: when this fails, nothing ran and nothing was opened for writing; all
//! faults are reported, not the first. Sinks are opened last, and only when everything
//! else is ready.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use flowctl_schema::Role;
use flowctl_topology::{Node, Topology};
use flowctl_types::NodeId;
use tokio::task::JoinSet;
use tracing::Instrument as _;

use crate::change::letters_retry;
use crate::checkpoint::Checkpoint;
use crate::error::ApplyError;
use crate::generation::Parts;
use crate::options::{Backoff, Options, Orphans};
use crate::resume::{Replay, Resume};
use crate::spans::Spans;
use crate::{DeadLetterSink, Fault, PrepareError, Processor, Sink, Source, Stage, Workshop};

/// The components of a topology, ready to run.
pub(crate) struct Prepared {
    pub(crate) stages: BTreeMap<NodeId, Arc<dyn Stage>>,
    pub(crate) parts: Parts,
    pub(crate) letters: Box<dyn DeadLetterSink>,
    pub(crate) checkpoint: Option<Checkpoint>,
    /// The epoch behind the checkpoint that must be repeated.
    pub(crate) replay: Option<Replay>,
    /// The highest epoch that the store or a sink knows.
    pub(crate) last_epoch: u64,
}

/// A component that was made.
pub(crate) enum Made {
    Source(NodeId, Box<dyn Source>),
    Processor(NodeId, Arc<dyn Stage>, Vec<Box<dyn Processor>>),
    Sink(NodeId, Box<dyn Sink>),
    Letters(Box<dyn DeadLetterSink>),
}

/// Makes and opens everything.
pub(crate) async fn prepare(
    topology: &Topology,
    workshop: &Arc<dyn Workshop>,
    options: &Options,
    spans: &Spans,
) -> Result<Prepared, ApplyError> {
    let faults = check(topology);
    if !faults.is_empty() {
        return Err(ApplyError::Prepare(faults));
    }
    let mut checkpoint = options.store.committed().await.map_err(ApplyError::Store)?;
    let pending = options.store.pending().await.map_err(ApplyError::Store)?;
    if options.orphans == Orphans::Refuse {
        let orphans = orphans(topology, checkpoint.iter().chain(&pending));
        if !orphans.is_empty() {
            return Err(ApplyError::Orphans(orphans));
        }
    }
    let backoff = |id: &NodeId| {
        let node = topology.nodes.iter().find(|node| node.id == *id);
        options.backoff(&node.map_or(topology.settings, |node| node.settings).retry, id.as_str())
    };
    let (made, mut faults) = make_all(&topology.nodes, Some(topology.dead_letter.as_ref()), workshop, spans).await;
    let mut stages = BTreeMap::new();
    let Parts { mut sources, mut instances, mut sinks } = Parts::default();
    let mut letters = None;
    for made in made {
        match made {
            Made::Source(id, mut source) => {
                let position = checkpoint.as_ref().and_then(|checkpoint| checkpoint.positions.get(&id));
                let backoff = backoff(&id);
                let opened = open_source(&mut *source, position.map(Vec::as_slice), &backoff);
                match opened.instrument(spans.node(&id)).await {
                    Ok(()) => {
                        sources.insert(id, source);
                    }
                    Err(fault) => faults.push(fault_at(&id, fault)),
                }
            }
            Made::Processor(id, stage, made) => {
                stages.insert(id.clone(), stage);
                instances.insert(id, made);
            }
            Made::Sink(id, sink) => {
                sinks.insert(id, sink);
            }
            Made::Letters(sink) => letters = Some(sink),
        }
    }
    let epoch = |checkpoint: &Option<Checkpoint>| checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.epoch);
    let last_epoch = epoch(&checkpoint).max(epoch(&pending));
    let mut held = BTreeMap::new();
    if faults.is_empty() {
        for (id, sink) in &mut sinks {
            match open_sink(&mut **sink, &backoff(id)).instrument(spans.node(id)).await {
                Ok(last) => {
                    held.insert(id.clone(), last);
                }
                Err(fault) => faults.push(fault_at(id, fault)),
            }
        }
    }
    let mut replay = None;
    if faults.is_empty() {
        let ids = sources.keys().cloned().collect::<Vec<_>>();
        match Resume::decide(checkpoint.as_ref(), pending.as_ref(), &held, ids.into_iter()) {
            Ok(Resume::Committed) => {}
            Ok(Resume::Replay(again)) => replay = Some(again),
            Ok(Resume::Promote) => {
                options.store.commit(last_epoch).await.map_err(ApplyError::Store)?;
                checkpoint = pending;
                // they were opened at the positions before
                for (id, source) in &mut sources {
                    let backoff = backoff(id);
                    let reopened = reopen(id, topology, workshop, checkpoint.as_ref(), &backoff);
                    match reopened.instrument(spans.node(id)).await {
                        Ok(opened) => *source = opened,
                        Err(fault) => faults.push(fault),
                    }
                }
            }
            Err(ahead) => faults.push(PrepareError { node: ahead.sink.to_string(), source: Box::new(ahead) }),
        }
    }
    if faults.is_empty()
        && let Some(letters) = &mut letters
        && let Err(fault) =
            open_letters(&mut **letters, &options.backoff(&letters_retry(topology), "dead-letters")).await
    {
        faults.push(PrepareError { node: letters_name(topology.dead_letter.as_ref()), source: Box::new(fault) });
    }
    match letters {
        Some(letters) if faults.is_empty() => {
            let parts = Parts { sources, instances, sinks };
            Ok(Prepared { stages, parts, letters, checkpoint, replay, last_epoch })
        }
        _ => {
            let place = |fault: &PrepareError| topology.nodes.iter().position(|node| node.id.as_str() == fault.node);
            faults.sort_by_key(|fault| place(fault).unwrap_or(usize::MAX));
            Err(ApplyError::Prepare(faults))
        }
    }
}

/// Opens a source, repeating while it asks for that.
pub(crate) async fn open_source(
    source: &mut dyn Source,
    position: Option<&[u8]>,
    backoff: &Backoff,
) -> Result<(), Fault> {
    let mut attempt = 0;
    while let Err(fault) = source.open(position).await {
        attempt = again(fault, attempt, backoff).await?;
    }
    Ok(())
}

/// Makes a source once more, and opens it at its position in `checkpoint`.
async fn reopen(
    id: &NodeId,
    topology: &Topology,
    workshop: &Arc<dyn Workshop>,
    checkpoint: Option<&Checkpoint>,
    backoff: &Backoff,
) -> Result<Box<dyn Source>, PrepareError> {
    let node = topology.nodes.iter().find(|node| node.id == *id);
    let node = node.ok_or_else(|| PrepareError { node: id.to_string(), source: "there is no such node".into() })?;
    let mut source = workshop.source(node).await?;
    let position = checkpoint.and_then(|checkpoint| checkpoint.positions.get(id));
    let opened = open_source(&mut *source, position.map(Vec::as_slice), backoff).await;
    opened.map(|()| source).map_err(|fault| fault_at(id, fault))
}

/// Takes a sink back, repeating while it asks for that.
pub(crate) async fn rewind_sink(sink: &mut dyn Sink, backoff: &Backoff) -> Result<Option<u64>, Fault> {
    let mut attempt = 0;
    loop {
        match sink.rewind().await {
            Ok(held) => return Ok(held),
            Err(fault) => attempt = again(fault, attempt, backoff).await?,
        }
    }
}

/// Opens a sink, repeating while it asks for that.
pub(crate) async fn open_sink(sink: &mut dyn Sink, backoff: &Backoff) -> Result<Option<u64>, Fault> {
    let mut attempt = 0;
    loop {
        match sink.open().await {
            Ok(held) => return Ok(held),
            Err(fault) => attempt = again(fault, attempt, backoff).await?,
        }
    }
}

async fn open_letters(sink: &mut dyn DeadLetterSink, backoff: &Backoff) -> Result<(), Fault> {
    let mut attempt = 0;
    while let Err(fault) = sink.open().await {
        attempt = again(fault, attempt, backoff).await?;
    }
    Ok(())
}

async fn again(fault: Fault, attempt: u32, backoff: &Backoff) -> Result<u32, Fault> {
    let attempt = attempt + 1;
    match (&fault, backoff.wait(attempt)) {
        (Fault::Retry(_), Some(wait)) => {
            tokio::time::sleep(wait).await;
            Ok(attempt)
        }
        _ => Err(fault),
    }
}

/// Makes all components side by side: compiling one does not wait for another.
///
/// `letters` is where the dead-letter sink is made too, of a node where it is one.
pub(crate) async fn make_all(
    nodes: &[Node],
    letters: Option<Option<&Node>>,
    workshop: &Arc<dyn Workshop>,
    spans: &Spans,
) -> (Vec<Made>, Vec<PrepareError>) {
    let mut tasks = JoinSet::new();
    let mut names = HashMap::new();
    for node in nodes {
        let (node, workshop) = (node.clone(), Arc::clone(workshop));
        let name = node.id.to_string();
        let span = spans.node(&node.id);
        let task = tasks.spawn(async move { make(&node, &*workshop).await }.instrument(span));
        names.insert(task.id(), name);
    }
    if let Some(node) = letters {
        let (node, maker) = (node.cloned(), Arc::clone(workshop));
        let span = node.as_ref().map_or_else(|| spans.run(), |node| spans.node(&node.id));
        let name = letters_name(node.as_ref());
        let letters = async move { maker.dead_letters(node.as_ref()).await.map(Made::Letters) };
        let task = tasks.spawn(letters.instrument(span));
        names.insert(task.id(), name);
    }
    let (mut made, mut faults) = (Vec::new(), Vec::new());
    while let Some(joined) = tasks.join_next_with_id().await {
        match joined {
            Ok((_, Ok(component))) => made.push(component),
            Ok((_, Err(fault))) => faults.push(fault),
            Err(error) => {
                let node = names.get(&error.id()).cloned().unwrap_or_default();
                faults.push(PrepareError { node, source: Box::new(crate::node::panicked(error)) });
            }
        }
    }
    (made, faults)
}

async fn make(node: &Node, workshop: &dyn Workshop) -> Result<Made, PrepareError> {
    Ok(match node.role {
        Role::Source => Made::Source(node.id.clone(), workshop.source(node).await?),
        Role::Sink => Made::Sink(node.id.clone(), workshop.sink(node).await?),
        Role::Processor => {
            let stage = workshop.processor(node).await?;
            let mut instances = Vec::new();
            for _ in 0..node.parallelism.get() {
                instances.push(stage.instantiate().await?);
            }
            Made::Processor(node.id.clone(), stage, instances)
        }
    })
}

/// What can be said against a change without making anything.
pub(crate) fn check(topology: &Topology) -> Vec<PrepareError> {
    let mut faults = Vec::new();
    let mut say =
        |node: &NodeId, text: String| faults.push(PrepareError { node: node.to_string(), source: text.into() });
    let mut seen = HashSet::new();
    for node in &topology.nodes {
        let n_in = topology.edges.iter().filter(|edge| edge.to == node.id).count();
        let n_out = topology.edges.iter().filter(|edge| edge.from == node.id).count();
        if !seen.insert(&node.id) {
            say(&node.id, "another node has the same id".to_owned());
        }
        match node.role {
            Role::Source if n_in > 0 => say(&node.id, "a source has no inputs".to_owned()),
            Role::Sink if n_out > 0 => say(&node.id, "a sink has no outputs".to_owned()),
            Role::Processor | Role::Sink if n_in == 0 => say(&node.id, "no edge leads to it".to_owned()),
            Role::Source | Role::Processor if n_out == 0 => {
                say(&node.id, "no edge leaves it: its events would have no receiver".to_owned());
            }
            _ => {}
        }
        let brings_keys = |id: &NodeId| topology.nodes.iter().any(|from| from.id == *id && from.brings_keys);
        let mut inputs = topology.edges.iter().filter(|edge| edge.to == node.id);
        let is_divided = node.key.is_some() || inputs.all(|edge| brings_keys(&edge.from));
        if node.role == Role::Processor && node.is_stateful && node.parallelism.get() > 1 && !is_divided {
            let text = format!(
                "`parallelism: {}` of a processor that keeps state needs `key:`, the field to partition by, or events \
                 that bring keys",
                node.parallelism
            );
            say(&node.id, text);
        }
    }
    let place = |id: &NodeId| topology.nodes.iter().position(|node| node.id == *id);
    for edge in &topology.edges {
        let (Some(from), Some(to)) = (place(&edge.from), place(&edge.to)) else {
            say(&edge.from, format!("the edge to `{}` leads from or to no node", edge.to));
            continue;
        };
        if from >= to {
            say(&edge.to, format!("it comes before `{}`, which it reads from", edge.from));
        }
        for route in &edge.routes {
            let (n_outputs, n_inputs) = (topology.nodes[from].outputs.len(), topology.nodes[to].inputs.len());
            if route.output_kind as usize >= n_outputs || route.input_kind as usize >= n_inputs {
                say(&edge.from, format!("the edge to `{}` names an event type that there is not", edge.to));
            }
        }
    }
    faults
}

/// Nodes that checkpoints keep something of, and that the topology does not have.
fn orphans<'a>(topology: &Topology, checkpoints: impl Iterator<Item = &'a Checkpoint>) -> Vec<NodeId> {
    let kept = checkpoints.flat_map(|checkpoint| checkpoint.positions.keys().chain(checkpoint.states.keys()));
    let is_there = |id: &&NodeId| topology.nodes.iter().any(|node| node.id == **id);
    let orphans: BTreeSet<_> = kept.filter(|id| !is_there(id)).cloned().collect();
    orphans.into_iter().collect()
}

pub(crate) fn fault_at(node: &NodeId, fault: Fault) -> PrepareError {
    PrepareError { node: node.to_string(), source: Box::new(fault) }
}

fn letters_name(node: Option<&Node>) -> String {
    node.map_or_else(|| "dead-letters".to_owned(), |node| node.id.to_string())
}
