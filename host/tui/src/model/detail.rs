//! The pipeline that is open: its run, its nodes, and what the panel below them shows.

use std::collections::BTreeMap;
use std::time::Duration;

use flowctl_client::{admin, is_over};
use serde_json::Value;

use super::graph::{Direction, Graph, Node};
use super::logs::{Logs, Tap};
use super::rates::Rate;
use super::track::Track;
use crate::message::{Interest, Trouble};

/// The pipeline that is open.
#[derive(Debug, Default)]
pub(crate) struct Detail {
    pub(crate) pipeline: String,
    /// The run that goes on, or the last one.
    pub(crate) run_id: Option<String>,
    /// What is known of that run.
    pub(crate) run: Option<admin::Run>,
    /// What its sources read.
    pub(crate) events: Rate,
    pub(crate) tracks: BTreeMap<String, Track>,
    pub(crate) components: BTreeMap<String, Component>,
    pub(crate) graph: Graph,
    /// The chosen node.
    pub(crate) chosen: Option<String>,
    pub(crate) panel: Panel,
    pub(crate) logs: Logs,
    pub(crate) tap: Tap,
    /// The latest first.
    pub(crate) revisions: Vec<admin::Revision>,
    /// The latest first.
    pub(crate) runs: Vec<admin::Run>,
    /// Lines of a panel that are above what is shown.
    pub(crate) scroll: usize,
    /// What the panel looks at and cannot see.
    pub(crate) trouble: Option<(Interest, Trouble)>,
}

/// What is shown below the nodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Panel {
    #[default]
    Node,
    Logs,
    Tap,
    History,
    Runs,
}

/// What runs at a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Component {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
    pub(crate) parallelism: u64,
    pub(crate) is_stateful: bool,
}

impl Panel {
    /// In the order of their keys.
    pub(crate) const ALL: [Self; 5] = [Self::Node, Self::Logs, Self::Tap, Self::History, Self::Runs];

    /// The panel `by` places further.
    pub(crate) fn next(self, by: usize) -> Self {
        let here = Self::ALL.iter().position(|panel| *panel == self).unwrap_or(0);
        Self::ALL[(here + by) % Self::ALL.len()]
    }

    /// What it is called.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Node => "Node",
            Self::Logs => "Logs",
            Self::Tap => "Tap",
            Self::History => "History",
            Self::Runs => "Runs",
        }
    }
}

impl Detail {
    /// Nothing is known of the pipeline yet.
    pub(crate) fn new(pipeline: String) -> Self {
        Self { pipeline, ..Self::default() }
    }

    /// Whether its run goes on, as far as is known.
    pub(crate) fn is_going(&self) -> bool {
        self.run.as_ref().is_some_and(|run| !is_over(run.status()))
    }

    /// Has another run be shown, if it is another.
    pub(crate) fn follow(&mut self, run_id: Option<&str>) {
        if self.run_id.as_deref() != run_id {
            self.run_id = run_id.map(ToOwned::to_owned);
            self.tracks.clear();
            self.events = Rate::default();
            self.logs.lines.clear();
        }
    }

    /// Takes in what its run looks like at `now`.
    pub(crate) fn see(&mut self, now: Duration, run: admin::Run) {
        if Some(&run.id) != self.run_id.as_ref() {
            return;
        }
        self.events.see(now, run.events_in);
        self.tracks.retain(|id, _| run.nodes.iter().any(|node| node.node == *id));
        for node in &run.nodes {
            self.tracks.entry(node.node.clone()).or_default().see(now, node, &run.edges);
        }
        if self.run.as_ref().is_none_or(|before| before.resolved != run.resolved) {
            self.components = components(&run.resolved);
        }
        let nodes: Vec<Node<'_>> =
            run.nodes.iter().map(|node| Node { id: &node.node, is_sink: node.role == "sink" }).collect();
        let edges: Vec<(&str, &str)> = run.edges.iter().map(|edge| (edge.from.as_str(), edge.to.as_str())).collect();
        self.graph = Graph::new(&nodes, &edges);
        if self.chosen.as_ref().is_none_or(|id| self.graph.place(id).is_none()) {
            self.choose(self.graph.first().map(ToOwned::to_owned));
        }
        self.run = Some(run);
    }

    /// The chosen node, as it was seen of late.
    pub(crate) fn track(&self) -> Option<&Track> {
        self.tracks.get(self.chosen.as_deref()?)
    }

    /// Chooses the node next to the chosen one, if there is one.
    pub(crate) fn go(&mut self, direction: Direction) {
        let next = self.chosen.as_deref().and_then(|id| self.graph.next(id, direction)).map(ToOwned::to_owned);
        if next.is_some() {
            self.choose(next);
        }
    }

    /// Shows another panel.
    pub(crate) fn open(&mut self, panel: Panel) {
        if self.panel != panel {
            (self.panel, self.scroll, self.trouble) = (panel, 0, None);
            // it is asked for anew, from the first line on
            self.logs.lines.clear();
        }
    }

    /// Moves what the panel shows: `by` lines up.
    pub(crate) fn scroll_by(&mut self, by: isize) {
        match self.panel {
            Panel::Logs => self.logs.lines.scroll_by(by),
            Panel::Tap => self.tap.lines.scroll_by(by),
            Panel::Node => self.scroll = self.scroll.saturating_add_signed(-by).min(40),
            Panel::History => self.scroll = self.scroll.saturating_add_signed(-by).min(self.revisions.len()),
            Panel::Runs => self.scroll = self.scroll.saturating_add_signed(-by).min(self.runs.len()),
        }
    }

    fn choose(&mut self, node: Option<String>) {
        self.chosen = node;
        (self.scroll, self.trouble) = (0, None);
        self.tap.lines.clear();
        if !self.logs.is_of_all {
            self.logs.lines.clear();
        }
    }
}

/// What the control plane tells of the nodes' components.
fn components(resolved: &str) -> BTreeMap<String, Component> {
    let resolved: Value = serde_json::from_str(resolved).unwrap_or_default();
    let nodes = resolved["nodes"].as_array().into_iter().flatten().chain([&resolved["dead_letter"]]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let types = |value: &Value| value.as_array().into_iter().flatten().map(|port| text(&port["type"])).collect();
    let component = |node: &Value| Component {
        name: text(&node["component"]["name"]),
        version: text(&node["component"]["version"]),
        inputs: types(&node["inputs"]),
        outputs: types(&node["outputs"]),
        parallelism: node["parallelism"].as_u64().unwrap_or(1),
        is_stateful: node["is_stateful"].as_bool().unwrap_or(false),
    };
    nodes.filter_map(|node| Some((node["id"].as_str()?.to_owned(), component(node)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_is_comes_from_the_resolved_topology() {
        let resolved = r#"{"nodes": [{"id": "f", "component": {"name": "order-filter", "version": "0.1.0"},
            "inputs": [{"type": "example.order.v1"}], "outputs": [], "parallelism": 2, "is_stateful": true}],
            "dead_letter": {"id": "dead-letter", "component": {"name": "file"}}}"#;
        let components = components(resolved);
        let filter = Component {
            name: "order-filter".to_owned(),
            version: "0.1.0".to_owned(),
            inputs: vec!["example.order.v1".to_owned()],
            outputs: Vec::new(),
            parallelism: 2,
            is_stateful: true,
        };
        assert_eq!((components.len(), &components["f"]), (2, &filter));
        assert!(super::components("no JSON").is_empty());
    }
}
