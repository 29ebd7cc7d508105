//! The components in other processes that nodes of a run are.
//!
//! Invariant: one connection a node, for as long as the run goes, also where the run goes
//! back and makes its sources anew.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use flowctl_remote::{Peer, PeerSettings};
use flowctl_runtime::PrepareError;
use flowctl_topology::{Component, Node};
use flowctl_types::NodeId;

/// The peers of one run.
pub(crate) struct Peers {
    known: Mutex<HashMap<NodeId, Arc<Peer>>>,
    starter: Option<Arc<dyn Starter>>,
}

/// Starts the processes of `command:` nodes.
#[async_trait]
pub(crate) trait Starter: Send + Sync {
    /// Starts the process of `node`, and answers where it serves when it has registered.
    async fn start(&self, node: &Node) -> anyhow::Result<String>;
}

/// A node whose process nobody can start.
#[derive(Debug, thiserror::Error)]
#[error("its `command` is started by a run alone")]
struct NobodyStarts;

/// An error of `anyhow` as the cause of another.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
struct Cause(anyhow::Error);

impl Peers {
    /// Nobody yet; without a starter, `command:` nodes cannot be made ready.
    pub(crate) fn new(starter: Option<Arc<dyn Starter>>) -> Self {
        Self { known: Mutex::default(), starter }
    }

    /// The component of `node`, which answers and is what the topology expects.
    pub(crate) async fn of(&self, node: &Node) -> Result<Arc<Peer>, PrepareError> {
        if let Some(peer) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&node.id) {
            return Ok(Arc::clone(peer));
        }
        let endpoint = match &node.component {
            Component::Remote { endpoint, .. } => endpoint.clone(),
            _ => match &self.starter {
                Some(starter) => starter.start(node).await.map_err(|error| unprepared(node, Cause(error)))?,
                None => return Err(unprepared(node, NobodyStarts)),
            },
        };
        let peer = Peer::connect(PeerSettings::of(node, endpoint)).map_err(|error| unprepared(node, error))?;
        peer.check_info().await.map_err(|error| unprepared(node, error))?;
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(node.id.clone(), Arc::clone(&peer));
        Ok(peer)
    }

    /// What a node waits for.
    pub(crate) fn waiting(&self, node: &NodeId) -> Option<String> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(node)?.waiting()
    }
}

/// Whether a node runs in another process.
pub(crate) fn is_elsewhere(node: &Node) -> bool {
    matches!(node.component, Component::Remote { .. } | Component::Command { .. })
}

fn unprepared(node: &Node, error: impl std::error::Error + Send + Sync + 'static) -> PrepareError {
    PrepareError { node: node.id.to_string(), source: Box::new(error) }
}
