//! Events as they pass through a node, beside the stream.

use flowctl_runtime::{Tap, Tapped};
use flowctl_types::{NodeId, nearest};

use super::{ControlError, Controller};
use crate::tenants::Tenant;

/// Batches that wait for who looks.
const CAPACITY: usize = 16;

/// The events that leave a node, or reach it where it is a sink.
pub struct TappedEvents {
    tap: Tap,
    /// The batch that is shown, and its next event.
    shown: Option<(Tapped, usize)>,
}

/// One event, as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TappedEvent {
    /// Its id.
    pub id: String,
    /// Its type.
    pub event_type: String,
    /// When it happened, nanoseconds since the Unix epoch.
    pub timestamp: u64,
    /// The event.
    pub json: String,
    /// Events that were left out before it.
    pub n_skipped: u64,
}

impl Controller {
    /// Looks at the events that leave `node` of a pipeline that runs.
    ///
    /// # Errors
    ///
    /// [`ControlError::NotRunning`] or [`ControlError::NoNode`].
    pub fn tap(&self, tenant: &Tenant, pipeline: &str, node: &str) -> Result<TappedEvents, ControlError> {
        let not_running = || ControlError::NotRunning { pipeline: pipeline.to_owned() };
        let run = self.inner.active.of_pipeline(tenant, pipeline).ok_or_else(not_running)?;
        let topology = run.current().planned.topology;
        let no_node = || {
            let near = nearest(node, topology.nodes.iter().map(|node| node.id.as_str()));
            let nearest = near.into_iter().map(str::to_owned).collect();
            ControlError::NoNode { pipeline: pipeline.to_owned(), node: node.to_owned(), nearest }
        };
        let id: NodeId = node.parse().map_err(|_| no_node())?;
        topology.node(&id).ok_or_else(no_node)?;
        let handle = run.handle.get().ok_or_else(not_running)?;
        Ok(TappedEvents { tap: handle.tap(&id, CAPACITY).ok_or_else(not_running)?, shown: None })
    }
}

impl TappedEvents {
    /// The next event; none when the run has ended. Cancel-safe.
    pub async fn next(&mut self) -> Option<TappedEvent> {
        loop {
            match &mut self.shown {
                Some((tapped, index)) if *index < tapped.batch.len() => {
                    let event = event(tapped, *index);
                    *index += 1;
                    return Some(event);
                }
                _ => self.shown = Some((self.tap.recv().await?, 0)),
            }
        }
    }
}

fn event(tapped: &Tapped, index: usize) -> TappedEvent {
    let Tapped { batch, schema, n_skipped } = tapped;
    let mut json = Vec::new();
    if let Err(error) = schema.payload_to_json(batch.columns.payload(index), &mut json) {
        // sources of bytes may emit what is no value of the type; the id is worth showing
        json = serde_json::json!({ "unreadable": error.to_string() }).to_string().into_bytes();
    }
    TappedEvent {
        id: batch.ids.get(index),
        event_type: schema.event_type().to_string(),
        timestamp: batch.columns.timestamps.get(index).copied().unwrap_or_default(),
        json: String::from_utf8_lossy(&json).into_owned(),
        n_skipped: if index == 0 { *n_skipped } else { 0 },
    }
}
