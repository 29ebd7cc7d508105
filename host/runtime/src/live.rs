//! A change of a topology that runs, from preparing it to its end.
//!
//! [`RunHandle::prepare`](crate::RunHandle::prepare) makes everything new, while the old goes
//! on; [`ReadyChange::switch`] has the coordinator carry it out at a mark, see
//! [`crate::switch`]. Then it is on trial, and settled with the next checkpoint. A run that
//! goes back before that goes back to the topology before the change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flowctl_schema::Role;
use flowctl_topology::{Node, Topology};
use flowctl_types::{Digest, NodeId};
use tokio::sync::{OwnedMutexGuard, mpsc, oneshot};
use tracing::Instrument as _;

use crate::difference::{Difference, Fixed};
use crate::error::ApplyError;
use crate::generation::Parts;
use crate::options::Options;
use crate::prepare::{Made, check, fault_at, make_all, open_sink, open_source};
use crate::resume::Ahead;
use crate::spans::Spans;
use crate::{Change, PrepareError, Stage, Workshop};

/// How a change of a running topology is made.
#[derive(Debug, Clone, Default)]
pub struct ChangeOptions {
    /// What the new components have to stand before the change is kept; none keeps it at
    /// once.
    pub trial: Option<Trial>,
    /// Whether the state of nodes that are exchanged is dropped. Default: the new
    /// component is given it, and a change whose component does not take it is refused.
    pub discards_state: bool,
}

/// What new components have to stand before a change is kept: that they process so many
/// batches, or last for so long, without failing, stalling, or refusing too much.
///
/// Meanwhile no checkpoint is made, so that the run can go back to before the change. Where a
/// source cannot repeat its events there is no trial, except of one processor without state
/// in the place of another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trial {
    /// Batches that each new component processes. Default 100.
    pub batches: u64,
    /// The longest time that it takes. Default 10 s.
    pub time: Duration,
    /// The share of its events that a component may refuse. Default 0.5.
    pub max_rejected: f64,
    /// The longest time for which events may wait before a component without one of them
    /// being taken. Default 5 s.
    pub stall: Duration,
}

impl Default for Trial {
    fn default() -> Self {
        Self { batches: 100, time: Duration::from_secs(10), max_rejected: 0.5, stall: Duration::from_secs(5) }
    }
}

/// A change of which everything is ready. Dropped, nothing has changed; meanwhile no other
/// change of the run is made.
pub struct ReadyChange {
    pub(crate) ready: Ready,
    pub(crate) trial: Option<Trial>,
    pub(crate) permit: OwnedMutexGuard<()>,
    pub(crate) changes: mpsc::Sender<Request>,
}

/// A change that was made. Every figure was measured in it.
#[derive(Debug)]
pub struct Changed {
    /// The revision that runs now.
    pub revision: u64,
    /// The longest time for which a node was held up by it.
    pub pause: Duration,
    /// From when it was begun until every node had switched.
    pub took: Duration,
    /// The epoch at whose barrier it was made; none where it had a mark of its own.
    pub epoch: Option<u64>,
    /// Batches that were left on edges that ended: lost, if there were any.
    pub n_stranded: usize,
    /// What becomes of it.
    pub outcome: ChangeOutcome,
}

/// Waits for what becomes of a change that was made.
#[derive(Debug)]
pub struct ChangeOutcome(pub(crate) oneshot::Receiver<Settled>);

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// It is kept: a checkpoint of the new topology is committed.
    Kept,
    /// The topology before it runs again.
    RolledBack {
        /// Why.
        reason: String,
    },
    /// The run ended before that was decided.
    Ended,
}

/// A change for the coordinator.
pub(crate) struct Request {
    pub(crate) ready: Ready,
    pub(crate) trial: Option<Trial>,
    pub(crate) permit: OwnedMutexGuard<()>,
    pub(crate) reply: oneshot::Sender<Result<Changed, ApplyError>>,
}

/// Everything new that a change needs.
pub(crate) struct Ready {
    /// The digest of what it is a change of.
    pub(crate) base: Digest,
    pub(crate) topology: Arc<Topology>,
    pub(crate) difference: Difference,
    pub(crate) stages: BTreeMap<NodeId, Arc<dyn Stage>>,
    pub(crate) parts: Parts,
    pub(crate) discards_state: bool,
}

impl ReadyChange {
    /// The digest of the topology that it leads to.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.ready.topology.digest()
    }

    /// Makes the change, and waits until every node has taken it.
    ///
    /// # Errors
    ///
    /// [`ApplyError::Over`] when the run ends before, [`ApplyError::RolledBack`] when a node
    /// could not take it: then the topology before it runs again.
    pub async fn switch(self) -> Result<Changed, ApplyError> {
        let Self { ready, trial, permit, changes } = self;
        let (reply, answer) = oneshot::channel();
        let request = Request { ready, trial, permit, reply };
        changes.send(request).await.map_err(|_| ApplyError::Over)?;
        answer.await.unwrap_or(Err(ApplyError::Over))
    }
}

impl ChangeOutcome {
    /// Waits until it is decided. Cancel-safe.
    pub async fn wait(&mut self) -> Settled {
        (&mut self.0).await.unwrap_or(Settled::Ended)
    }
}

/// Makes everything new; what runs does not notice.
pub(crate) async fn prepare(
    change: Change,
    running: &Topology,
    (workshop, options, spans): (&Arc<dyn Workshop>, &Options, &Spans),
    discards_state: bool,
    epoch: u64,
) -> Result<Ready, ApplyError> {
    let base = running.digest();
    if change.base != Some(base) {
        return Err(ApplyError::Moved);
    }
    let topology = Arc::new(change.topology);
    let mut faults = check(&topology);
    let difference = Difference::of(running, &topology).map_err(Fixed::into_error)?;
    if !faults.is_empty() {
        return Err(ApplyError::Prepare(faults));
    }
    let wanted: Vec<Node> = difference.made().filter_map(|id| topology.node(id)).cloned().collect();
    let (made, found) = make_all(&wanted, None, workshop, spans).await;
    faults.extend(found);
    let mut ready = Ready {
        base,
        topology: Arc::clone(&topology),
        difference,
        stages: BTreeMap::new(),
        parts: Parts::default(),
        discards_state,
    };
    for made in made {
        match made {
            Made::Source(id, source) => drop(ready.parts.sources.insert(id, source)),
            Made::Sink(id, sink) => drop(ready.parts.sinks.insert(id, sink)),
            Made::Processor(id, stage, instances) => {
                ready.stages.insert(id.clone(), stage);
                ready.parts.instances.insert(id, instances);
            }
            Made::Letters(_) => {}
        }
    }
    if faults.is_empty() && !discards_state {
        let Ready { difference, stages, .. } = &ready;
        faults.extend(probe_states((running, &topology), difference, stages, (options, spans)).await?);
    }
    if faults.is_empty() {
        faults.extend(ready.open_added(options, spans, epoch).await);
    }
    if faults.is_empty() { Ok(ready) } else { Err(ApplyError::Prepare(faults)) }
}

impl Ready {
    /// Opens the sources and sinks that come. Those that take the place of others are opened
    /// when these are gone.
    async fn open_added(&mut self, options: &Options, spans: &Spans, epoch: u64) -> Vec<PrepareError> {
        let mut faults = Vec::new();
        for id in &self.difference.added {
            let Some(node) = self.topology.node(id) else { continue };
            let backoff = options.backoff(&node.settings.retry, id.as_str());
            let opened = async {
                if let Some(source) = self.parts.sources.get_mut(id) {
                    return open_source(&mut **source, None, &backoff).await.map_err(|fault| fault_at(id, fault));
                }
                let Some(sink) = self.parts.sinks.get_mut(id) else { return Ok(()) };
                let held = open_sink(&mut **sink, &backoff).await.map_err(|fault| fault_at(id, fault))?;
                match held.filter(|held| *held > epoch) {
                    Some(held) => {
                        let ahead = Ahead { sink: id.clone(), held, known: epoch };
                        Err(PrepareError { node: id.to_string(), source: Box::new(ahead) })
                    }
                    None => Ok(()),
                }
            };
            faults.extend(opened.instrument(spans.node(id)).await.err());
        }
        faults
    }

    /// Whether a node of the new topology is handed the state of the old.
    pub(crate) fn hands_over(&self, old: &Node, new: &Node) -> bool {
        !self.discards_state && old.is_stateful && new.is_stateful && new.role == Role::Processor
    }
}

/// Whether the new components take the states that the old ones have: tried with what the
/// last checkpoint has of them, in instances that are thrown away.
async fn probe_states(
    (running, topology): (&Topology, &Topology),
    difference: &Difference,
    stages: &BTreeMap<NodeId, Arc<dyn Stage>>,
    (options, spans): (&Options, &Spans),
) -> Result<Vec<PrepareError>, ApplyError> {
    let mut faults = Vec::new();
    let checkpoint = options.store.committed().await.map_err(ApplyError::Store)?;
    for id in &difference.exchanged {
        let (Some(old), Some(new)) = (running.node(id), topology.node(id)) else { continue };
        if !old.is_stateful {
            continue;
        }
        let refused = |reason: String| PrepareError { node: id.to_string(), source: reason.into() };
        if !new.is_stateful {
            faults.push(refused("the new component keeps no state: that of the old one would be lost".to_owned()));
            continue;
        }
        let saved = checkpoint.as_ref().and_then(|checkpoint| checkpoint.states.get(id));
        let (Some(saved), Some(stage)) = (saved, stages.get(id)) else { continue };
        let restored = async {
            let mut probe = stage.instantiate().await?;
            let restored = probe.restore(&saved.version, saved.parts.clone()).await;
            restored.map_err(|fault| refused(format!("the new component does not take the state: {fault}")))
        };
        faults.extend(restored.instrument(spans.node(id)).await.err());
    }
    Ok(faults)
}
