//! A topology as a Mermaid flowchart, which Markdown viewers draw.

use std::fmt::Write as _;

use flowctl_schema::Role;
use flowctl_types::NodeId;

use super::{label, route_types};
use crate::{Node, Topology};

/// The topology as a Mermaid flowchart. Ends with a newline.
#[must_use]
pub fn mermaid(topology: &Topology) -> String {
    let mut out = "flowchart LR\n".to_owned();
    for (index, node) in topology.nodes.iter().chain(&topology.dead_letter).enumerate() {
        let _ = writeln!(out, "  n{index}{}", shape(node));
    }
    let index = |id: &NodeId| topology.nodes.iter().position(|node| node.id == *id).unwrap_or_default();
    for edge in &topology.edges {
        let types = route_types(topology, edge).join("<br/>");
        let _ = writeln!(out, "  n{} -->|{types}| n{}", index(&edge.from), index(&edge.to));
    }
    if topology.dead_letter.is_some() {
        let _ = writeln!(out, "  style n{} stroke-dasharray: 5 5", topology.nodes.len());
    }
    out
}

fn shape(node: &Node) -> String {
    let label = label(node).iter().map(|line| escaped(line)).collect::<Vec<_>>().join("<br/>");
    match node.role {
        Role::Source => format!("([\"{label}\"])"),
        Role::Processor => format!("[\"{label}\"]"),
        Role::Sink => format!("[(\"{label}\")]"),
    }
}

/// A text for a label, in the entity codes of Mermaid.
fn escaped(text: &str) -> String {
    text.replace('#', "#35;").replace('"', "#quot;").replace('<', "#lt;").replace('>', "#gt;").replace('\n', " ")
}
