//! What a change of a running topology touches.
//!
//! Pure: from two topologies to what has to be made, and to how they switch.

use std::collections::{BTreeMap, BTreeSet};

use flowctl_schema::Role;
use flowctl_topology::{Aspect, Node, NodeChange, Topology, diff};
use flowctl_types::NodeId;

use crate::PrepareError;
use crate::error::ApplyError;

/// What a change touches.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Nodes that come, in the topology's order.
    pub(crate) added: Vec<NodeId>,
    /// Nodes that go.
    pub(crate) removed: BTreeSet<NodeId>,
    /// Nodes that stay and get another component.
    pub(crate) exchanged: BTreeSet<NodeId>,
    /// Whether it takes effect at the barrier of a checkpoint.
    pub(crate) is_at_barrier: bool,
    /// Whether it is one processor without state in the place of another: then the old one
    /// takes the batch that the new one fails on.
    pub(crate) falls_back: bool,
    /// Whether nothing has to change at all.
    pub(crate) is_empty: bool,
}

/// Why a difference cannot be made while the run goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fixed {
    pub(crate) node: Option<NodeId>,
    pub(crate) reason: &'static str,
}

impl Fixed {
    pub(crate) fn into_error(self) -> ApplyError {
        match self.node {
            Some(node) => {
                ApplyError::Prepare(vec![PrepareError { node: node.to_string(), source: self.reason.into() }])
            }
            None => ApplyError::Fixed(self.reason),
        }
    }
}

impl Difference {
    pub(crate) fn of(old: &Topology, new: &Topology) -> Result<Self, Fixed> {
        let differs = diff(old, new);
        if differs.dead_letter {
            return Err(Fixed { node: None, reason: "the dead-letter sink cannot change while the pipeline runs" });
        }
        let role = |topology: &Topology, id: &NodeId| topology.node(id).map(|node| node.role);
        if let Some(change) = differs.changed.iter().find(|change| role(old, &change.id) != role(new, &change.id)) {
            let reason = "a node cannot change its role: remove it, or give the new one another id";
            return Err(Fixed { node: Some(change.id.clone()), reason });
        }
        let exchanged: BTreeMap<_, _> = differs
            .changed
            .iter()
            .filter(|change| role(new, &change.id) == Some(Role::Processor) || is_another(change))
            .map(|change| (change.id.clone(), change))
            .collect();
        let is_end =
            |id: &NodeId| [old, new].into_iter().any(|it| role(it, id).is_some_and(|it| it != Role::Processor));
        let n_sinks = |it: &Topology| it.nodes.iter().filter(|node| node.role == Role::Sink).count();
        let is_at_barrier =
            n_sinks(old).max(n_sinks(new)) > 1 || differs.removed.iter().any(is_end) || exchanged.keys().any(is_end);
        let are_edges_same =
            differs.edges_added.is_empty() && differs.edges_removed.is_empty() && differs.edges_changed.is_empty();
        let falls_back = are_edges_same
            && differs.added.is_empty()
            && differs.removed.is_empty()
            && differs.changed.len() == 1
            && exchanged.values().all(|change| is_fungible(old.node(&change.id), new.node(&change.id), change));
        Ok(Self {
            is_empty: differs.is_empty(),
            added: differs.added,
            removed: differs.removed.into_iter().collect(),
            exchanged: exchanged.into_keys().collect(),
            is_at_barrier,
            falls_back,
        })
    }

    /// The nodes that have a new component.
    pub(crate) fn made(&self) -> impl Iterator<Item = &NodeId> {
        self.added.iter().chain(&self.exchanged)
    }
}

/// Whether it has another component, not only other queues and batches.
fn is_another(change: &NodeChange) -> bool {
    change.aspects.iter().any(|aspect| !matches!(aspect, Aspect::Settings))
}

/// Whether a batch can be given to either.
fn is_fungible(old: Option<&Node>, new: Option<&Node>, change: &NodeChange) -> bool {
    let (Some(old), Some(new)) = (old, new) else { return false };
    let is_plain = |node: &Node| node.role == Role::Processor && !node.is_stateful && node.parallelism.get() == 1;
    let keeps = |aspect: &Aspect| !matches!(aspect, Aspect::Types | Aspect::Tick | Aspect::Settings | Aspect::Key);
    is_plain(old) && is_plain(new) && old.has_timer == new.has_timer && change.aspects.iter().all(keeps)
}
