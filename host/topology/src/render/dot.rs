//! A topology as a Graphviz digraph.

use std::fmt::Write as _;

use flowctl_schema::Role;

use super::{label, route_types};
use crate::{Node, Topology};

/// The topology in the DOT language, for `dot -Tsvg`. Ends with a newline.
#[must_use]
pub fn dot(topology: &Topology) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "digraph {} {{", quoted(topology.name.as_str()));
    out.push_str("  rankdir=LR;\n  node [shape=box];\n");
    for node in &topology.nodes {
        let _ = writeln!(out, "  {} [{}];", quoted(node.id.as_str()), attributes(node));
    }
    if let Some(node) = &topology.dead_letter {
        let _ = writeln!(out, "  {} [{}, style=dashed];", quoted(node.id.as_str()), attributes(node));
    }
    for edge in &topology.edges {
        let (from, to) = (quoted(edge.from.as_str()), quoted(edge.to.as_str()));
        let _ = writeln!(out, "  {from} -> {to} [label={}];", quoted(&route_types(topology, edge).join("\n")));
    }
    out.push_str("}\n");
    out
}

fn attributes(node: &Node) -> String {
    let shape = match node.role {
        Role::Source => ", shape=cds",
        Role::Processor => "",
        Role::Sink => ", shape=cylinder",
    };
    format!("label={}{shape}", quoted(&label(node).join("\n")))
}

/// A quoted id of the DOT language.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
