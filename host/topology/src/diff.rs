//! What differs between two topologies, and a topology's digest.
//!
//! A start is the difference from [`Topology::empty`]. Invariant: topologies of one
//! digest differ by nothing. Both compare components by digest, not by file, and
//! configurations by value.

use std::fmt;

use flowctl_types::{Digest, NodeId};
use serde_json::{Value, json};

use crate::render::{edge_json, node_json, settings_json, sorted};
use crate::{Component, Edge, Node, Topology};

/// What differs between two topologies. Nodes are the same when their ids are.
///
/// `Display` prints one line for each difference: `+` for what comes, `-` for what
/// goes, `~` for what changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    /// Nodes that come, each after those it reads from.
    pub added: Vec<NodeId>,
    /// Nodes that go.
    pub removed: Vec<NodeId>,
    /// Nodes that stay and change.
    pub changed: Vec<NodeChange>,
    /// Edges that come, emitter first.
    pub edges_added: Vec<(NodeId, NodeId)>,
    /// Edges that go, emitter first.
    pub edges_removed: Vec<(NodeId, NodeId)>,
    /// Edges that stay, with other types or conversions.
    pub edges_changed: Vec<(NodeId, NodeId)>,
    /// Whether the settings of the whole differ.
    pub settings: bool,
    /// Whether the dead-letter sink differs.
    pub dead_letter: bool,
}

/// A node that stays and changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeChange {
    /// The node.
    pub id: NodeId,
    /// What is different about it; at least one.
    pub aspects: Vec<Aspect>,
}

/// Something about a node that is different.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Aspect {
    /// What runs there: name, version and digest; of a remote component where it is.
    Component {
        /// What ran there.
        old: String,
        /// What is to run there.
        new: String,
    },
    /// What it is started with: arguments, or its environment.
    Command,
    /// Its configuration.
    Config {
        /// The fields whose values differ.
        fields: Vec<String>,
    },
    /// The types it reads or emits.
    Types,
    /// What it is granted.
    Grants,
    /// How its work is shared.
    Parallelism {
        /// How many instances there were.
        old: u16,
        /// How many there are to be.
        new: u16,
    },
    /// What its events are partitioned by.
    Key,
    /// When it is told the time.
    Tick,
    /// What its calls may use.
    Limits,
    /// How its batches are filled and queued.
    Settings,
}

impl Diff {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Topology {
    /// The digest of all that decides what the topology does: the plan's hash.
    /// Neither the name nor the places of files are part of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let value = json!({
            "nodes": self.nodes.iter().map(identity).collect::<Vec<_>>(),
            "edges": self.edges.iter().map(|edge| edge_json(self, edge)).collect::<Vec<_>>(),
            "settings": settings_json(&self.settings),
            "dead_letter": self.dead_letter.as_ref().map(identity),
        });
        Digest::of(sorted(value).to_string().as_bytes())
    }
}

/// What has to change to make `new` of `old`.
#[must_use]
pub fn diff(old: &Topology, new: &Topology) -> Diff {
    let ids = |nodes: &[Node], other: &Topology| -> Vec<NodeId> {
        nodes.iter().filter(|node| other.node(&node.id).is_none()).map(|node| node.id.clone()).collect()
    };
    let changed = new.nodes.iter().filter_map(|node| {
        let aspects = aspects(old.node(&node.id)?, node);
        (!aspects.is_empty()).then(|| NodeChange { id: node.id.clone(), aspects })
    });
    let edge = |topology: &Topology, edge: &Edge| {
        let same = |other: &&Edge| (&other.from, &other.to) == (&edge.from, &edge.to);
        topology.edges.iter().find(same).map(|found| edge_json(topology, found))
    };
    let ends = |edge: &Edge| (edge.from.clone(), edge.to.clone());
    let is_changed = |found: &&Edge| edge(old, found).is_some_and(|before| before != edge_json(new, found));
    Diff {
        added: ids(&new.nodes, old),
        removed: ids(&old.nodes, new),
        changed: changed.collect(),
        edges_added: new.edges.iter().filter(|found| edge(old, found).is_none()).map(ends).collect(),
        edges_removed: old.edges.iter().filter(|found| edge(new, found).is_none()).map(ends).collect(),
        edges_changed: new.edges.iter().filter(is_changed).map(ends).collect(),
        settings: old.settings != new.settings,
        dead_letter: old.dead_letter.as_ref().map(identity) != new.dead_letter.as_ref().map(identity),
    }
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<String> = Vec::new();
        lines.extend(self.removed.iter().map(|id| format!("- {id}")));
        lines.extend(self.added.iter().map(|id| format!("+ {id}")));
        lines.extend(self.changed.iter().map(|change| {
            let aspects: Vec<String> = change.aspects.iter().map(ToString::to_string).collect();
            format!("~ {}: {}", change.id, aspects.join(", "))
        }));
        let edges = |sign: char, edges: &[(NodeId, NodeId)]| -> Vec<String> {
            edges.iter().map(|(from, to)| format!("{sign} {from} → {to}")).collect()
        };
        lines.extend(edges('-', &self.edges_removed));
        lines.extend(edges('+', &self.edges_added));
        lines.extend(edges('~', &self.edges_changed));
        lines.extend(self.settings.then(|| "~ settings".to_owned()));
        lines.extend(self.dead_letter.then(|| "~ dead-letter sink".to_owned()));
        f.write_str(&if lines.is_empty() { "no change".to_owned() } else { lines.join("\n") })
    }
}

impl fmt::Display for Aspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Component { old, new } => write!(f, "component {old} → {new}"),
            Self::Command => f.write_str("command"),
            Self::Config { fields } => write!(f, "config {}", fields.join(", ")),
            Self::Types => f.write_str("types"),
            Self::Grants => f.write_str("grants"),
            Self::Parallelism { old, new } => write!(f, "parallelism {old} → {new}"),
            Self::Key => f.write_str("key"),
            Self::Tick => f.write_str("tick"),
            Self::Limits => f.write_str("limits"),
            Self::Settings => f.write_str("settings"),
        }
    }
}

fn aspects(old: &Node, new: &Node) -> Vec<Aspect> {
    let mut aspects = Vec::new();
    if pinned(&old.component) != pinned(&new.component) || old.role != new.role {
        aspects.push(Aspect::Component { old: pinned(&old.component), new: pinned(&new.component) });
    } else if is_command(&old.component) && old.component != new.component {
        aspects.push(Aspect::Command);
    }
    let fields = different_fields(&old.config, &new.config);
    if !fields.is_empty() {
        aspects.push(Aspect::Config { fields });
    }
    if old.inputs != new.inputs || old.outputs != new.outputs {
        aspects.push(Aspect::Types);
    }
    if old.grants != new.grants {
        aspects.push(Aspect::Grants);
    }
    if old.parallelism != new.parallelism {
        aspects.push(Aspect::Parallelism { old: old.parallelism.get(), new: new.parallelism.get() });
    }
    let plain = [
        (old.key != new.key, Aspect::Key),
        (old.tick != new.tick, Aspect::Tick),
        (old.limits != new.limits, Aspect::Limits),
        (old.settings != new.settings, Aspect::Settings),
    ];
    aspects.extend(plain.into_iter().filter(|(differs, _)| *differs).map(|(_, aspect)| aspect));
    aspects
}

/// A component by what pins it.
fn pinned(component: &Component) -> String {
    match component {
        Component::Plugin { name, version: Some(version), digest, .. } => {
            format!("{name} {version} ({})", digest.short())
        }
        Component::Plugin { name, version: None, digest, .. } => format!("{name} ({})", digest.short()),
        Component::Connector { name } => name.clone(),
        Component::Remote { id, endpoint } => format!("{id} (remote {endpoint})"),
        Component::Command { .. } => format!("command {}", component.name()),
    }
}

const fn is_command(component: &Component) -> bool {
    matches!(component, Component::Command { .. })
}

fn different_fields(old: &Value, new: &Value) -> Vec<String> {
    let keys = |value: &Value| -> Vec<String> {
        value.as_object().map(|fields| fields.keys().cloned().collect()).unwrap_or_default()
    };
    let mut fields: Vec<String> = [keys(old), keys(new)].concat();
    fields.sort_unstable();
    fields.dedup();
    fields.retain(|field| old.get(field) != new.get(field));
    fields
}

/// All that decides what a node does. Secrets are in it, so it is only ever hashed
/// or compared.
fn identity(node: &Node) -> Value {
    let mut value = node_json(node);
    if let Some(component) = value.get_mut("component").and_then(Value::as_object_mut) {
        component.remove("file");
        if let Component::Command { argv, env, .. } = &node.component {
            component.insert("argv".to_owned(), json!(argv));
            component.insert("env".to_owned(), json!(env));
        }
    }
    value["config"] = node.config.clone();
    value["allow"]["env"] = json!(node.grants.env);
    if let Some(fields) = value.as_object_mut() {
        fields.remove("is_available");
    }
    sorted(value)
}
