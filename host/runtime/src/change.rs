//! What changes from one topology to another.
//!
//! A change is the only way to a running topology: a start is the change from the
//! empty one.

use flowctl_topology::{Edge, Node, Retry, Settings, Topology};

/// What changes from one topology to another.
#[derive(Debug, Clone)]
pub struct Change {
    pub(crate) settings: Settings,
    pub(crate) nodes: Vec<Node>,
    pub(crate) edges: Vec<Edge>,
    pub(crate) dead_letter: Option<Node>,
}

impl Change {
    /// How calls of the dead-letter sink are repeated.
    pub(crate) fn letters_retry(&self) -> Retry {
        self.dead_letter.as_ref().map_or(self.settings.retry, |node| node.settings.retry)
    }

    /// The change from the empty topology to `topology`: everything is added.
    #[must_use]
    pub fn from_empty(topology: &Topology) -> Self {
        Self {
            settings: topology.settings,
            nodes: topology.nodes.clone(),
            edges: topology.edges.clone(),
            dead_letter: topology.dead_letter.clone(),
        }
    }
}
