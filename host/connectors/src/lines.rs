//! Events as lines of JSON.
//!
//! Where a node has one input type, a line is the event. Where it has several, a line
//! is `{"type": "example.order.v1", "event": …}`, so that a reader can tell them apart.

use flowctl_runtime::{Fault, Rejection};
use flowctl_schema::Schema;
use flowctl_types::Batch;

/// Renders batches for one node.
pub(crate) struct Lines {
    schemas: Vec<Schema>,
}

impl Lines {
    /// `schemas` are the node's inputs, by `kind`.
    pub(crate) fn new(schemas: &[Schema]) -> Self {
        Self { schemas: schemas.to_vec() }
    }

    /// Appends the events of `batch` to `text`, a line each, and answers those that
    /// are no values of their schema; they leave no trace in `text`.
    pub(crate) fn write(&self, batch: &Batch, text: &mut Vec<u8>) -> Result<Vec<Rejection>, Fault> {
        self.write_each(batch, text, |_, _| {})
    }

    /// Does as [`write`](Self::write), and tells `wrote` of each line the event's index
    /// in the batch, and where the line ends.
    pub(crate) fn write_each(
        &self,
        batch: &Batch,
        text: &mut Vec<u8>,
        mut wrote: impl FnMut(u32, usize),
    ) -> Result<Vec<Rejection>, Fault> {
        let kind = batch.columns.kind;
        let schema = self.schemas.get(kind as usize).ok_or_else(|| {
            Fault::Fatal(format!("a batch is of kind {kind}, but the sink has {} input types", self.schemas.len()))
        })?;
        let head = match self.schemas.len() {
            1 => None,
            _ => Some(format!(r#"{{"type":"{}","event":"#, schema.event_type())),
        };
        let mut rejected = Vec::new();
        for (index, payload) in batch.columns.payloads().enumerate() {
            let start = text.len();
            text.extend_from_slice(head.as_deref().unwrap_or_default().as_bytes());
            match schema.payload_to_json(payload, text) {
                Ok(()) => {
                    text.extend_from_slice(if head.is_some() { b"}\n" } else { b"\n" });
                    wrote(index as u32, text.len());
                }
                Err(error) => {
                    text.truncate(start);
                    rejected.push(Rejection { index: index as u32, reason: error.to_string() });
                }
            }
        }
        Ok(rejected)
    }
}
