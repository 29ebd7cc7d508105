//! A topology as lines of text: each node, and below it where its events go.

use std::collections::BTreeMap;

use flowctl_registry::arrows;
use flowctl_schema::Conversion;
use flowctl_types::NodeId;

use super::{component_text, title};
use crate::{Component, Edge, Node, Topology};

/// Most paths that one line lists.
const MAX_PATHS: usize = 10;

/// The way from the source to the sink, `a → b → c`. Where there are several, all of
/// them with `, ` between; of more than ten, the first ten and `…`.
#[must_use]
pub fn line(topology: &Topology) -> String {
    let mut next: BTreeMap<&NodeId, Vec<&NodeId>> = BTreeMap::new();
    for edge in &topology.edges {
        next.entry(&edge.from).or_default().push(&edge.to);
    }
    let is_read = |node: &&Node| topology.edges.iter().any(|edge| edge.to == node.id);
    let starts = topology.nodes.iter().filter(|node| !is_read(node));
    // a stack of paths to go on from, the first on top
    let mut open: Vec<Vec<&NodeId>> = starts.map(|node| vec![&node.id]).collect();
    open.reverse();
    let mut paths = Vec::new();
    while let Some(path) = open.pop() {
        if paths.len() == MAX_PATHS {
            paths.push("…".to_owned());
            break;
        }
        match path.last().and_then(|last| next.get(last)) {
            None => paths.push(arrows(&path.iter().map(|id| id.as_str()).collect::<Vec<_>>())),
            Some(following) => {
                open.extend(following.iter().rev().map(|id| [path.as_slice(), &[*id]].concat()));
            }
        }
    }
    paths.join(", ")
}

/// Each node with its component, and below it the edges that leave it with their
/// types. Ends with a newline.
#[must_use]
pub fn text(topology: &Topology) -> String {
    let nodes: Vec<&Node> = topology.nodes.iter().chain(&topology.dead_letter).collect();
    let width = |text: fn(&Node) -> String| nodes.iter().map(|node| text(node).chars().count()).max().unwrap_or(0);
    let (titles, roles) = (width(title), width(|node| node.role.to_string()));
    let mut lines = vec![topology.name.to_string()];
    for node in &topology.nodes {
        lines.push(format!("  {:titles$}  {:roles$}  {}", title(node), node.role, described(node)));
        let edges: Vec<&Edge> = topology.edges.iter().filter(|edge| edge.from == node.id).collect();
        let mut branches: Vec<String> = Vec::new();
        for edge in edges {
            branches.extend(edge.routes.iter().filter_map(|route| {
                let emitted = node.outputs.get(route.output_kind as usize)?;
                let conversion = match route.conversion {
                    Conversion::Same => "",
                    _ => " (re-encoded)",
                };
                Some(format!("{} → {}{conversion}", emitted.event_type(), edge.to))
            }));
        }
        for (index, branch) in branches.iter().enumerate() {
            let corner = if index + 1 == branches.len() { '└' } else { '├' };
            lines.push(format!("  {corner}─ {branch}"));
        }
    }
    if let Some(node) = &topology.dead_letter {
        lines.push(format!(
            "  {:titles$}  {:roles$}  {}, takes what is rejected",
            title(node),
            node.role,
            described(node)
        ));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn described(node: &Node) -> String {
    let mut text = component_text(&node.component);
    match &node.component {
        Component::Plugin { digest, .. } => text.push_str(&format!(" ({})", digest.short())),
        Component::Remote { endpoint, .. } => text.push_str(&format!(" (remote {endpoint})")),
        Component::Connector { .. } | Component::Command { .. } => {}
    }
    if let Some(key) = &node.key {
        text.push_str(&format!(", by {key}"));
    }
    if !node.is_available {
        text.push_str(", not in this build");
    }
    text
}
