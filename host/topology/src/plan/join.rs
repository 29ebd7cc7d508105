//! Joins the chains that discovery found into one graph.
//!
//! Chains share a node where they share all that lies before it: the source and every
//! processor on the way. A sink is one node, whatever reaches it.

use std::collections::{BTreeMap, BTreeSet};

use flowctl_registry::{Emits, Entry, Target, kind, less_version};
use flowctl_schema::{Role, Schema};
use flowctl_types::{EventType, NodeId};

use crate::suggest::{Found, Part};

/// A node of the joined chains.
pub(super) struct Shared<'a> {
    pub(super) id: NodeId,
    /// The id that it would have alone.
    plain: NodeId,
    pub(super) entry: &'a Entry,
    /// The type that a source is wanted for, where its configuration says which.
    pub(super) wanted: Option<&'a Schema>,
    /// The entry of `from` or `to` that it was first found for.
    pub(super) part: Part,
    /// By the node that emits: the types that take the edge; none = all that fit.
    pub(super) inputs: BTreeMap<usize, Option<BTreeSet<EventType>>>,
    /// The node before it, on whose chain it was found; none for sources and sinks.
    before: Option<usize>,
}

impl Shared<'_> {
    /// Whether a key of `config` or `nodes` may mean this node.
    pub(super) fn answers_to(&self, key: &str) -> bool {
        key == self.plain.as_str() || key == self.entry.name || key == kind(self.entry)
    }
}

/// Joins chains, and gives each node its id: its component's name less `-vN`, and its
/// role or a number behind it where another node is called the same.
pub(super) fn join<'a>(chains: &[Found<'a>], taken: BTreeSet<NodeId>) -> Vec<Shared<'a>> {
    let mut nodes: Vec<Shared<'a>> = Vec::new();
    let mut ends = Vec::new();
    for found in chains {
        let (source, emitted) = (found.link.source, found.link.emitted);
        let wanted = matches!(source.emits, Emits::Configured { .. }).then_some(emitted);
        let mut at = node(&mut nodes, source, None, wanted, Part::From(found.from));
        // only at its source is a chain about one type
        let mut only = Some(emitted.event_type().clone());
        for processor in &found.processors {
            let next = node(&mut nodes, processor, Some(at), None, Part::To(found.to));
            edge(&mut nodes[next], at, only.take());
            at = next;
        }
        ends.push((at, only, found));
    }
    // sinks come last, so that ids are given in the order of the flow
    for (at, only, found) in ends {
        if let Target::Sink(sink) = found.link.to {
            let end = node(&mut nodes, sink, None, None, Part::To(found.to));
            edge(&mut nodes[end], at, only);
        }
    }
    let plain: Vec<(NodeId, Role)> = nodes.iter().map(|node| (node.plain.clone(), node.entry.role)).collect();
    let ids = ids(&plain, taken);
    nodes.iter_mut().zip(ids).for_each(|(node, id)| node.id = id);
    nodes
}

/// The ids of the nodes on a chain of these components, source and sink included, where
/// there is no other chain.
#[must_use]
pub fn node_ids(chain: &[&Entry]) -> Vec<NodeId> {
    let plain: Vec<(NodeId, Role)> = chain.iter().map(|entry| (plain_id(entry), entry.role)).collect();
    ids(&plain, BTreeSet::new())
}

/// The id of each node by the one that it would have alone.
fn ids(plain: &[(NodeId, Role)], mut taken: BTreeSet<NodeId>) -> Vec<NodeId> {
    let mut given = Vec::with_capacity(plain.len());
    for (id, role) in plain {
        let is_shared = plain.iter().any(|(other, other_role)| other == id && other_role != role);
        let base = if is_shared { suffixed(id, role.to_string().as_str()) } else { id.clone() };
        let numbered = (2..).map(|number: usize| suffixed(&base, &number.to_string()));
        let mut candidates = std::iter::once(base.clone()).chain(numbered);
        let id = candidates.find(|id| !taken.contains(id)).expect("there are more numbers than nodes");
        taken.insert(id.clone());
        given.push(id);
    }
    given
}

/// Whether a key of `config` or `nodes` may mean a node of this component.
pub(super) fn answers_to(entry: &Entry, key: &str) -> bool {
    key == entry.name || key == plain_id(entry).as_str() || key == kind(entry)
}

fn node<'a>(
    nodes: &mut Vec<Shared<'a>>,
    entry: &'a Entry,
    before: Option<usize>,
    wanted: Option<&'a Schema>,
    part: Part,
) -> usize {
    let same = |node: &Shared<'a>| std::ptr::eq(node.entry, entry) && node.before == before && node.wanted == wanted;
    nodes.iter().position(same).unwrap_or_else(|| {
        let plain = plain_id(entry);
        nodes.push(Shared { id: plain.clone(), plain, entry, wanted, part, inputs: BTreeMap::new(), before });
        nodes.len() - 1
    })
}

fn edge(to: &mut Shared<'_>, from: usize, only: Option<EventType>) {
    let types = to.inputs.entry(from).or_insert_with(|| Some(BTreeSet::new()));
    match (types.as_mut(), only) {
        (Some(types), Some(only)) => {
            types.insert(only);
        }
        _ => *types = None,
    }
}

fn plain_id(entry: &Entry) -> NodeId {
    let by_role = || NodeId::from_any(&entry.role.to_string()).expect("a role's name is spelled as an id");
    NodeId::from_any(less_version(&entry.name)).unwrap_or_else(|_| by_role())
}

/// The id with something behind it, cut so that it stays an id.
fn suffixed(id: &NodeId, suffix: &str) -> NodeId {
    let room = 62 - suffix.len().min(30);
    let base = id.as_str().get(..room.min(id.as_str().len())).unwrap_or_default();
    NodeId::from_any(&format!("{base}-{suffix}")).unwrap_or_else(|_| id.clone())
}
