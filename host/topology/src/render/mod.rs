//! Topologies as text, Graphviz, Mermaid and JSON.
//!
//! Invariant: equal topologies give equal texts, whatever found them, and no value
//! that came from the environment is in any of them.

mod dot;
mod json;
mod mermaid;
mod text;

pub use dot::dot;
pub use json::json;
pub(crate) use json::{edge_json, node_json, settings_json, sorted};
pub use mermaid::mermaid;
pub use text::{line, text};

use crate::{Component, Edge, Node, Topology};

/// Where a component in another process is, or what it is started as.
fn origin_text(component: &Component) -> Option<String> {
    match component {
        Component::Plugin { .. } | Component::Connector { .. } => None,
        Component::Remote { endpoint, .. } => Some(format!("remote {endpoint}")),
        Component::Command { .. } => Some(format!("command {}", component.name())),
    }
}

/// The component's name, and its version where it says one.
fn component_text(component: &Component) -> String {
    match component {
        Component::Plugin { name, version: Some(version), .. } => format!("{name} {version}"),
        Component::Plugin { name, version: None, .. } | Component::Connector { name } => name.clone(),
        Component::Remote { id, .. } => id.clone(),
        Component::Command { .. } => format!("command {}", component.name()),
    }
}

/// The types that take an edge, by name.
fn route_types<'a>(topology: &'a Topology, edge: &Edge) -> Vec<&'a str> {
    let Some(from) = topology.node(&edge.from) else { return Vec::new() };
    let outputs = edge.routes.iter().filter_map(|route| from.outputs.get(route.output_kind as usize));
    outputs.map(|schema| schema.event_type().as_str()).collect()
}

/// The lines of a node's box: its title, its component where that has another name, and
/// where it is if that is another process.
fn label(node: &Node) -> Vec<String> {
    let component = component_text(&node.component);
    let is_named_alike = component == node.id.as_str();
    let origin = origin_text(&node.component).filter(|origin| *origin != component);
    [title(node)].into_iter().chain((!is_named_alike).then_some(component)).chain(origin).collect()
}

/// The node's id, and how many instances share its work where there are several.
fn title(node: &Node) -> String {
    match node.parallelism.get() {
        1 => node.id.to_string(),
        n => format!("{} ×{n}", node.id),
    }
}
