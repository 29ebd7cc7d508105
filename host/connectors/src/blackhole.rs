//! Sink `blackhole`: takes events and drops them. What it took is logged when it ends.

use std::sync::Arc;

use async_trait::async_trait;
use flowctl_runtime::{Fault, Rejection, Sink};
use flowctl_topology::Node;
use flowctl_types::{Batch, NodeId};
use serde::Deserialize;
use tracing::debug;

use crate::{ConnectorError, config};

pub(crate) const NAME: &str = "blackhole";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {}

pub(crate) fn sink(node: &Node) -> Result<Box<dyn Sink>, ConnectorError> {
    let Config {} = config::read(NAME, node)?;
    Ok(Box::new(Blackhole { node: node.id.clone(), n_events: 0, n_bytes: 0 }))
}

struct Blackhole {
    node: NodeId,
    n_events: u64,
    n_bytes: u64,
}

#[async_trait]
impl Sink for Blackhole {
    async fn open(&mut self) -> Result<Option<u64>, Fault> {
        Ok(None)
    }

    async fn write(&mut self, batch: &Arc<Batch>) -> Result<Vec<Rejection>, Fault> {
        self.n_events += batch.len() as u64;
        self.n_bytes += batch.columns.n_bytes() as u64;
        Ok(Vec::new())
    }

    async fn flush(&mut self, _: u64) -> Result<(), Fault> {
        Ok(())
    }
}

impl Drop for Blackhole {
    fn drop(&mut self) {
        debug!(node = %self.node, events = self.n_events, bytes = self.n_bytes, "events dropped into the black hole");
    }
}
