//! Changes of the topology while the run goes.
//!
//! Invariants: a change is begun only when no barrier is under way; until it is settled,
//! by a checkpoint that is committed behind it, what ran before is remembered, and a run that
//! goes back goes back to that.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use flowctl_schema::Role;
use flowctl_topology::Node;
use flowctl_types::NodeId;
use tokio::sync::{OwnedMutexGuard, oneshot};
use tokio::time::Instant;

use super::{Coordinator, begin_barrier};
use crate::edge::Barrier;
use crate::error::{ApplyError, RunError, Setback};
use crate::generation::{Ends, Generation, Link};
use crate::inputs::InputsOrder;
use crate::live::{ChangeOutcome, Changed, Ready, Request, Settled, Trial};
use crate::metrics::{Counters, NodeMetrics};
use crate::node::Control;
use crate::plan::{Beginning, Plan, spawn_processor, version};
use crate::progress::Progress;
use crate::switch::{Becomes, Exchange, Order, Trying};
use crate::{Fault, Sink};

/// Events that a component must have been given before its rejections count.
const MIN_JUDGED: u64 = 100;

/// A change that is not settled.
pub(crate) struct Changing {
    /// What ran before.
    before: Plan,
    /// Nodes that came, or have another component.
    made: BTreeSet<NodeId>,
    /// Whether the run can go back to before.
    can_go_back: bool,
    trying: Trying,
    trial: Option<Trial>,
    phase: Phase,
    outcome: oneshot::Sender<Settled>,
    /// Held until it is settled: no other change is made.
    _permit: OwnedMutexGuard<()>,
}

enum Phase {
    /// Nodes take it.
    Switching(Switching),
    /// It is watched.
    OnTrial(OnTrial),
    /// It waits for a checkpoint to be committed.
    Settling,
}

struct Switching {
    started: std::time::Instant,
    waiting: BTreeSet<NodeId>,
    pause: Duration,
    n_stranded: usize,
    epoch: Option<u64>,
    reply: oneshot::Sender<Result<Changed, ApplyError>>,
    answer: ChangeOutcome,
}

struct OnTrial {
    trial: Trial,
    until: Instant,
    watched: Vec<Watched>,
}

/// A component on trial.
struct Watched {
    node: NodeId,
    metrics: Arc<NodeMetrics>,
    before: Counters,
    /// What it had taken when it was last seen to take something, and when that was.
    seen: (u64, Instant),
}

impl Coordinator {
    pub(super) fn is_switching(&self) -> bool {
        self.changing.as_ref().is_some_and(|changing| matches!(changing.phase, Phase::Switching(_)))
    }

    pub(super) fn is_on_trial(&self) -> bool {
        self.changing.as_ref().is_some_and(|changing| matches!(changing.phase, Phase::OnTrial(_)))
    }

    /// Whether a checkpoint is what a change waits for.
    pub(super) fn awaits_settling(&self) -> bool {
        self.changing.as_ref().is_some_and(|changing| matches!(changing.phase, Phase::Settling))
    }

    /// Begins a change: starts the nodes that come, and tells the others what to do at the
    /// mark, which is sent last.
    pub(super) fn begin(&mut self, generation: &mut Generation, progress: &mut Progress, request: Request) {
        let Request { ready, trial, permit, reply } = request;
        if ready.base != self.plan.topology.digest() {
            // whoever waits for it may be gone
            let _ = reply.send(Err(ApplyError::Moved));
            return;
        }
        let before = self.plan.clone();
        let plan = before.changed(&ready);
        self.fixed.extend(super::fixed_sources(&ready.parts));
        let can_go_back = !before.of_role(Role::Source).any(|node| self.fixed.contains(&node.id));
        let trial = trial.filter(|_| can_go_back || ready.difference.falls_back);
        let trying = if trial.is_some() { Trying::begun() } else { Trying::default() };
        let made = ready.difference.made().cloned().collect();
        let epoch = ready.difference.is_at_barrier.then_some(self.epoch + 1);

        let links = plan.links(&generation.links);
        let is_old = |link: &&Link| generation.links.iter().any(|old| old.id == link.id);
        let begun: Vec<Link> = links.iter().filter(|link| !is_old(link)).cloned().collect();
        let gone: Vec<Link> =
            generation.links.iter().filter(|old| !links.iter().any(|link| link.id == old.id)).cloned().collect();
        let mut ends = Ends::new(begun.iter());
        let next_epoch = self.epoch + if epoch.is_some() { 2 } else { 1 };
        let mut switch = Switch { plan: &plan, ready, trying: &trying, links: &links, gone: &gone, ends: &mut ends };
        for node in &before.nodes {
            let order = switch.order(node);
            generation.slot(&node.id).put(order);
        }
        switch.spawn_added(next_epoch, generation);
        progress.unfinished.extend(switch.ready.difference.added.iter().filter(|id| plan.is_source(id)).cloned());
        progress.unfinished.retain(|id| plan.is_source(id));
        drop(switch);

        generation.links = links;
        self.shared.watch(&plan, generation.links.clone());
        let revision = plan.revision;
        self.plan = plan;
        match epoch {
            Some(epoch) => {
                self.epoch = epoch;
                let barrier = Barrier { epoch, is_last: false, revision: Some(revision) };
                begin_barrier(&before, barrier, generation, progress);
            }
            None => {
                for source in before.of_role(Role::Source) {
                    generation.tell(&source.id, Control::Switch(revision));
                }
            }
        }
        let (outcome, answer) = oneshot::channel();
        let switching = Switching {
            started: std::time::Instant::now(),
            waiting: before.nodes.iter().map(|node| node.id.clone()).collect(),
            pause: Duration::ZERO,
            n_stranded: 0,
            epoch,
            reply,
            answer: ChangeOutcome(answer),
        };
        self.changing = Some(Changing {
            before,
            made,
            can_go_back,
            trying,
            trial,
            phase: Phase::Switching(switching),
            outcome,
            _permit: permit,
        });
    }

    /// A node has taken the change. When all have, its trial begins.
    pub(super) fn switched(&mut self, node: &NodeId, revision: u64, held: Duration, n_stranded: usize) {
        let plan = &self.plan;
        let Some(changing) = self.changing.as_mut().filter(|_| revision == plan.revision) else { return };
        let Phase::Switching(switching) = &mut changing.phase else { return };
        switching.waiting.remove(node);
        switching.pause = switching.pause.max(held);
        switching.n_stranded += n_stranded;
        if !switching.waiting.is_empty() {
            return;
        }
        let next = match changing.trial {
            Some(trial) => Phase::OnTrial(OnTrial::of(trial, &changing.made, plan)),
            None => Phase::Settling,
        };
        if let Phase::Switching(switching) = std::mem::replace(&mut changing.phase, next) {
            let Switching { started, pause, n_stranded, epoch, reply, answer, .. } = switching;
            let changed = Changed { revision, pause, took: started.elapsed(), epoch, n_stranded, outcome: answer };
            // whoever asked for it may be gone
            let _ = reply.send(Ok(changed));
            plan.tell(&crate::RunEvent::TopologyChanged { revision, pause });
        }
    }

    /// Looks at what is on trial.
    pub(super) fn judge(&mut self, generation: &Generation, progress: &mut Progress) {
        let Some(changing) = &mut self.changing else { return };
        let Phase::OnTrial(on_trial) = &mut changing.phase else { return };
        match on_trial.judge(&generation.links) {
            Judgement::Undecided => {}
            Judgement::Passed => {
                changing.trying.end();
                changing.phase = Phase::Settling;
            }
            Judgement::Failed { node, reason } if changing.can_go_back => {
                let setback = Setback { node, fault: Fault::Fatal(reason), culprit: None };
                progress.setback.get_or_insert(setback);
            }
            Judgement::Failed { node, reason } => {
                tracing::warn!(%node, reason, "a change is kept: a source cannot repeat its events");
                changing.trying.end();
                changing.phase = Phase::Settling;
            }
        }
    }

    /// The component on trial at `node` failed, and the one before it is back.
    pub(super) fn fell_back(&mut self, generation: &Generation, node: &NodeId, reason: &str) {
        let Some(changing) = self.changing.take() else { return };
        let reason = format!("node `{node}`: {reason}");
        self.restore(changing, reason);
        self.shared.watch(&self.plan, generation.links.clone());
    }

    /// What failed at a node that a change made, as a reason to go back to before the change.
    pub(super) fn blamed_on_change(&self, error: &RunError) -> Option<Setback> {
        let changing = self.changing.as_ref().filter(|changing| changing.can_go_back)?;
        let node = error.node().filter(|node| changing.made.contains(*node))?;
        let mut reason = error.describe();
        if let Some((_, cause)) = reason.split_once(": ") {
            reason = cause.to_owned();
        }
        Some(Setback { node: node.clone(), fault: Fault::Fatal(reason), culprit: None })
    }

    /// The run goes back: where a change is not settled, to the topology before it. Sinks
    /// that are not those of that topology are dropped.
    pub(super) fn take_back_change(&mut self, setback: &Setback, sinks: &mut BTreeMap<NodeId, Box<dyn Sink>>) -> bool {
        let Some(changing) = self.changing.take() else { return false };
        sinks.retain(|id, _| !changing.made.contains(id) && changing.before.node(id).is_some());
        let reason = format!("node `{}`: {}", setback.node, setback.fault.in_full());
        self.restore(changing, reason);
        true
    }

    /// A checkpoint is committed: a change before it is settled, unless it is still on trial
    /// and the run goes on.
    pub(super) fn committed_change(&mut self, barrier: Barrier) {
        let is_behind = |changing: &Changing| match changing.phase {
            Phase::Switching(_) => false,
            Phase::OnTrial(_) => barrier.is_last,
            Phase::Settling => barrier.revision.is_none(),
        };
        if let Some(changing) = self.changing.take_if(|changing| is_behind(changing)) {
            changing.trying.end();
            self.plan.tell(&crate::RunEvent::ChangeKept { revision: self.plan.revision });
            // whoever waits for it may be gone
            let _ = changing.outcome.send(Settled::Kept);
        }
    }

    /// Makes what ran before a change what runs, and says why.
    fn restore(&mut self, changing: Changing, reason: String) {
        let Changing { before, phase, outcome, trying, .. } = changing;
        trying.end();
        let revision = self.plan.revision + 1;
        // nodes that came keep what they counted
        let metrics = std::mem::take(&mut self.plan.metrics);
        self.plan = Plan { revision, metrics, ..before };
        let short = reason.lines().next().unwrap_or_default();
        tracing::warn!(reason = short, "a change of the topology was taken back");
        self.plan.tell(&crate::RunEvent::ChangeRolledBack { revision, reason: reason.clone() });
        if let Phase::Switching(Switching { reply, .. }) = phase {
            // whoever waits for it may be gone
            let _ = reply.send(Err(ApplyError::RolledBack { reason: reason.clone() }));
        }
        let _ = outcome.send(Settled::RolledBack { reason });
    }
}

impl Plan {
    /// What runs behind a change.
    fn changed(&self, ready: &Ready) -> Self {
        let topology = Arc::clone(&ready.topology);
        let mut plan = Self {
            nodes: topology.nodes.iter().cloned().map(Arc::new).collect(),
            topology,
            revision: self.revision + 1,
            ..self.clone()
        };
        plan.stages.retain(|id, _| plan.nodes.iter().any(|node| node.id == *id));
        plan.stages.extend(ready.stages.iter().map(|(id, stage)| (id.clone(), Arc::clone(stage))));
        for id in &ready.difference.added {
            plan.metrics.entry(id.clone()).or_default();
        }
        plan
    }

    fn is_source(&self, id: &NodeId) -> bool {
        self.node(id).is_some_and(|node| node.role == Role::Source)
    }

    /// The edges of the topology: those of `old` that are still the same, and new ones.
    fn links(&self, old: &[Link]) -> Vec<Link> {
        let link = |edge: &flowctl_topology::Edge| {
            let bounds = self.edge_bounds(&edge.to);
            let is_same = |link: &&Link| link.from == edge.from && link.to == edge.to && link.bounds == bounds;
            old.iter().find(is_same).cloned().unwrap_or_else(|| self.link(&edge.from, &edge.to))
        };
        self.topology.edges.iter().map(link).collect()
    }
}

/// Makes of a change what each node has to do.
struct Switch<'a> {
    plan: &'a Plan,
    ready: Ready,
    trying: &'a Trying,
    links: &'a [Link],
    gone: &'a [Link],
    ends: &'a mut Ends,
}

impl Switch<'_> {
    /// What a node that ran before does.
    fn order(&mut self, old: &Arc<Node>) -> Order {
        let plan = self.plan;
        let gone = self.gone.iter().filter(|link| link.to == old.id).map(|link| link.id).collect();
        let inputs = InputsOrder { gone, come: self.ends.receivers(&old.id) };
        let senders = self.ends.senders(&old.id);
        let revision = plan.revision;
        let Some(node) = plan.node(&old.id) else {
            let outputs = plan.outputs_order(old, &[], Vec::new());
            return Order { revision, seat: plan.seat(old), inputs, outputs, part: Becomes::Leave };
        };
        let outputs = plan.outputs_order(node, self.links, senders);
        Order { revision, seat: plan.seat(node), inputs, outputs, part: self.part(old, node) }
    }

    fn part(&mut self, old: &Node, node: &Arc<Node>) -> Becomes {
        let parts = &mut self.ready.parts;
        match node.role {
            Role::Source => Becomes::Source {
                node: Arc::clone(node),
                bounds: self.plan.bounds(node),
                linger: node.settings.linger,
                source: parts.sources.remove(&node.id),
            },
            Role::Sink => Becomes::Sink { schemas: node.inputs.clone(), sink: parts.sinks.remove(&node.id) },
            Role::Processor => {
                let instances = parts.instances.remove(&node.id);
                let hands = instances.and_then(|instances| self.plan.hands(node, instances));
                let Some(hands) = hands else { return Becomes::Stay };
                Becomes::Exchange(Box::new(Exchange {
                    hands,
                    schemas: node.inputs.clone(),
                    version: version(node),
                    is_stateful: node.is_stateful,
                    tick: node.tick,
                    has_timer: node.has_timer,
                    hands_over: self.ready.hands_over(old, node),
                    keeps_old: self.ready.difference.falls_back && self.trying.is_going(),
                    trial: self.trying.clone(),
                }))
            }
        }
    }

    /// Starts the nodes that come.
    fn spawn_added(&mut self, next_epoch: u64, generation: &mut Generation) {
        let suspicions = HashMap::new();
        let from = Beginning { checkpoint: None, next_epoch, replay: None, suspicions: &suspicions };
        let plan = self.plan;
        let parts = &mut self.ready.parts;
        for id in &self.ready.difference.added {
            let Some(node) = plan.node(id) else { continue };
            let (receivers, senders) = (self.ends.receivers(id), self.ends.senders(id));
            match node.role {
                Role::Source => {
                    if let Some(source) = parts.sources.remove(id) {
                        plan.spawn_source(node, senders, source, &from, generation);
                    }
                }
                Role::Sink => {
                    if let Some(sink) = parts.sinks.remove(id) {
                        plan.spawn_sink(node, receivers, sink, None, generation);
                    }
                }
                Role::Processor => {
                    let instances = parts.instances.remove(id).unwrap_or_default();
                    if let Some(hands) = plan.hands(node, instances) {
                        let mut task = plan.processor(node, receivers, senders, hands, &from, generation);
                        task.desk.trial = self.trying.clone();
                        spawn_processor(task, generation);
                    }
                }
            }
        }
    }
}

enum Judgement {
    Undecided,
    Passed,
    Failed { node: NodeId, reason: String },
}

impl OnTrial {
    fn of(trial: Trial, made: &BTreeSet<NodeId>, plan: &Plan) -> Self {
        let now = Instant::now();
        let watched = made.iter().filter(|id| !plan.is_source(id)).map(|id| {
            let metrics = plan.node_metrics(id);
            let before = metrics.counters();
            Watched { node: id.clone(), metrics, seen: (before.batches_in, now), before }
        });
        Self { trial, until: now + trial.time, watched: watched.collect() }
    }

    fn judge(&mut self, links: &[Link]) -> Judgement {
        let (now, trial) = (Instant::now(), self.trial);
        let is_over = now >= self.until;
        let mut have_passed = true;
        for watched in &mut self.watched {
            let counters = watched.metrics.counters();
            let n_batches = counters.batches_in.saturating_sub(watched.before.batches_in);
            let n_events = counters.events_in.saturating_sub(watched.before.events_in);
            let n_rejected = counters.rejected.saturating_sub(watched.before.rejected);
            let share = n_rejected as f64 / n_events.max(1) as f64;
            let has_passed = n_batches >= trial.batches;
            if share > trial.max_rejected && (n_events >= MIN_JUDGED || is_over || has_passed) {
                let reason = format!("it refused {n_rejected} of {n_events} events");
                return Judgement::Failed { node: watched.node.clone(), reason };
            }
            let waits = links.iter().any(|link| link.to == watched.node && link.edge.pending().batches > 0);
            if counters.batches_in != watched.seen.0 || !waits {
                watched.seen = (counters.batches_in, now);
            } else if now.duration_since(watched.seen.1) >= trial.stall {
                let reason = format!("it took no events for {}", flowctl_types::units::duration_text(trial.stall));
                return Judgement::Failed { node: watched.node.clone(), reason };
            }
            have_passed &= has_passed;
        }
        if is_over || have_passed { Judgement::Passed } else { Judgement::Undecided }
    }
}
