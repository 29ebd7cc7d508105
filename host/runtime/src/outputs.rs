//! Fan-out: which edges an emitted batch takes, and in which form.
//!
//! Invariant: every event that is emitted goes to each edge that takes its type, or,
//! where none does or its payload cannot be converted, to the dead-letter sink. A
//! batch is copied only where edges disagree about its form.

use std::sync::Arc;

use flowctl_schema::{Conversion, Schema};
use flowctl_types::{Batch, Columns, Ids};

use crate::edge::{Barrier, EdgeSender, Finish, Message};
use crate::error::{Exit, NodeError};
use crate::letters::{Letters, Refusal};
use crate::metrics::NodeMetrics;

/// The output edges of one node.
pub(crate) struct Outputs {
    edges: Vec<(u64, EdgeSender)>,
    /// For each output kind, the edges that take it.
    routes: Vec<Vec<Way>>,
    schemas: Vec<Schema>,
    /// What a batch may hold on any of the edges.
    limits: BatchLimits,
    letters: Letters,
    metrics: Arc<NodeMetrics>,
    /// The end, once the edges were told of it.
    finished: Option<Finish>,
}

/// Which edges leave from now on, and what takes them.
pub(crate) struct OutputsOrder {
    /// Links in the order that `routes` counts them; with their ends where they begin.
    pub(crate) edges: Vec<(u64, Option<EdgeSender>)>,
    pub(crate) routes: Vec<Vec<Way>>,
    pub(crate) schemas: Vec<Schema>,
    pub(crate) limits: BatchLimits,
    pub(crate) letters: Letters,
}

/// What a batch may hold; one event always fits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchLimits {
    pub(crate) max_events: usize,
    pub(crate) max_bytes: usize,
}

/// How a kind takes an edge.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    pub(crate) edge: usize,
    pub(crate) input_kind: u32,
    pub(crate) conversion: Conversion,
}

impl Outputs {
    /// `routes` has one entry for each of `schemas`.
    pub(crate) fn new(
        edges: Vec<(u64, EdgeSender)>,
        routes: Vec<Vec<Way>>,
        schemas: Vec<Schema>,
        limits: BatchLimits,
        letters: Letters,
        metrics: Arc<NodeMetrics>,
    ) -> Self {
        Self { edges, routes, schemas, limits, letters, metrics, finished: None }
    }

    /// Takes other edges. Those that end must have been sent the mark at which they do; those
    /// that begin learn of an end that is past.
    pub(crate) async fn rewire(&mut self, order: OutputsOrder) -> Result<(), Exit> {
        let OutputsOrder { edges, routes, schemas, limits, letters } = order;
        let mut old = std::mem::take(&mut self.edges);
        let mut begun = Vec::new();
        for (index, (link, sender)) in edges.into_iter().enumerate() {
            let sender = match sender {
                Some(sender) => {
                    begun.push(index);
                    sender
                }
                None => {
                    let kept = old.iter().position(|(kept, _)| *kept == link).ok_or(Exit::Severed)?;
                    old.swap_remove(kept).1
                }
            };
            self.edges.push((link, sender));
        }
        (self.routes, self.schemas, self.limits, self.letters) = (routes, schemas, limits, letters);
        if let Some(finish) = self.finished {
            for index in begun {
                self.edges[index].1.send(Message::Finished(finish)).await?;
            }
        }
        Ok(())
    }

    /// Tells every edge that what comes behind takes another revision of the topology.
    pub(crate) async fn switch(&self, revision: u64) -> Result<(), Exit> {
        for (_, edge) in &self.edges {
            edge.send(Message::Switch(revision)).await?;
        }
        Ok(())
    }

    /// Sends a batch to all edges that take it, waiting for room on each; in parts where
    /// it is larger than a batch may be.
    pub(crate) async fn emit(&mut self, batch: Batch) -> Result<(), Exit> {
        if self.limits.hold(&batch) {
            return self.emit_whole(batch).await;
        }
        let mut start = 0;
        while start < batch.len() {
            let end = self.limits.end(&batch, start);
            self.emit_whole(batch.slice(start..end)).await?;
            start = end;
        }
        Ok(())
    }

    async fn emit_whole(&mut self, mut batch: Batch) -> Result<(), Exit> {
        let kind = batch.columns.kind;
        let Some(ways) = self.routes.get(kind as usize) else {
            return Err(NodeError::Kind { kind, n_kinds: self.routes.len() }.into());
        };
        if ways.is_empty() {
            return self.refuse_unrouted(&batch).await;
        }
        self.metrics.emitted(&batch);
        if let Some(way) = ways.iter().find(|way| matches!(way.conversion, Conversion::Same)) {
            batch.columns.kind = way.input_kind;
        }
        let (last, before) = ways.split_last().expect("checked above");
        let batch = Arc::new(batch);
        self.metrics.probe.show(&batch, &self.schemas, kind);
        for way in before {
            self.send(way, kind, Arc::clone(&batch)).await?;
        }
        // not a clone: a batch that takes one edge is unshared, and changed in place if need be
        self.send(last, kind, batch).await
    }

    /// Passes a barrier to every edge.
    pub(crate) async fn pass(&mut self, barrier: Barrier) -> Result<(), Exit> {
        for (_, edge) in &self.edges {
            edge.send(Message::Barrier(barrier)).await?;
        }
        Ok(())
    }

    /// Tells every edge that no events will come any more.
    pub(crate) async fn finish(&mut self, finish: Finish) -> Result<(), Exit> {
        self.finished = Some(finish);
        for (_, edge) in &self.edges {
            edge.send(Message::Finished(finish)).await?;
        }
        Ok(())
    }

    async fn send(&self, way: &Way, kind: u32, batch: Arc<Batch>) -> Result<(), Exit> {
        let batch = match &way.conversion {
            Conversion::Same if batch.columns.kind == way.input_kind => batch,
            Conversion::Same => {
                let mut batch = Arc::unwrap_or_clone(batch);
                batch.columns.kind = way.input_kind;
                Arc::new(batch)
            }
            Conversion::Reencode(reencoder) => {
                let (converted, refusals) =
                    convert(&batch, way.input_kind, |payload, out| reencoder.convert(payload, out));
                self.letters.refuse(&batch, self.schemas.get(kind as usize), refusals).await?;
                Arc::new(converted)
            }
        };
        Ok(self.edges[way.edge].1.send(Message::Batch(batch)).await?)
    }

    /// No edge takes this type: its events must not vanish.
    async fn refuse_unrouted(&self, batch: &Batch) -> Result<(), Exit> {
        let schema = self.schemas.get(batch.columns.kind as usize);
        let event_type = schema.map_or_else(String::new, |schema| schema.event_type().to_string());
        let reason = format!("no edge takes `{event_type}`");
        let refusals = (0..batch.len()).map(|index| Refusal::rejected(index, reason.clone())).collect();
        self.letters.refuse(batch, schema, refusals).await
    }
}

impl BatchLimits {
    fn hold(self, batch: &Batch) -> bool {
        batch.len() <= 1 || (batch.len() <= self.max_events && batch.columns.n_bytes() <= self.max_bytes)
    }

    /// Where the part that begins at event `start` ends.
    fn end(self, batch: &Batch, start: usize) -> usize {
        let columns = &batch.columns;
        let mut n_bytes = 0;
        let mut end = start;
        while end < batch.len() && end - start < self.max_events.max(1) {
            n_bytes += columns.payload(end).len() + columns.key(end).map_or(0, <[u8]>::len);
            if end > start && n_bytes > self.max_bytes {
                break;
            }
            end += 1;
        }
        end
    }
}

/// The batch with every payload converted; those that cannot be are left out.
fn convert<E: std::fmt::Display>(
    batch: &Batch,
    input_kind: u32,
    convert: impl Fn(&[u8], &mut Vec<u8>) -> Result<(), E>,
) -> (Batch, Vec<Refusal>) {
    let from = &batch.columns;
    let mut columns = Columns { kind: input_kind, ..Columns::default() };
    columns.data.reserve(from.data.len());
    let mut refusals = Vec::new();
    for (index, payload) in from.payloads().enumerate() {
        match convert(payload, &mut columns.data) {
            Ok(()) => {
                columns.finish_event(from.timestamps[index]);
                if let Some(key) = from.key(index) {
                    columns.keys.extend_from_slice(key);
                    columns.key_ends.push(u32::try_from(columns.keys.len()).expect("no longer than the keys it is of"));
                }
            }
            Err(error) => refusals.push(Refusal::rejected(index, error.to_string())),
        }
    }
    let ids = without(&batch.ids, from.len(), &refusals);
    let attributes = Arc::clone(&batch.attributes);
    (Batch { columns, ids, watermark: batch.watermark, attributes }, refusals)
}

/// The ids of `n_events` events less those that are refused.
fn without(ids: &Ids, n_events: usize, refusals: &[Refusal]) -> Ids {
    if refusals.is_empty() {
        return ids.clone();
    }
    let mut start = 0;
    let ends = refusals.iter().map(|refusal| refusal.index).chain([n_events]);
    Ids::joined(ends.filter_map(|end| {
        let run = (end - start, ids.skip(start));
        start = end + 1;
        (run.0 > 0).then_some(run)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_parted_where_it_would_be_too_large() {
        let mut columns = Columns::default();
        for length in [1, 1, 1, 9, 1, 1] {
            columns.push(0, &vec![b'x'; length]);
        }
        let batch = Batch::new(columns, Ids::numbered("s", 0));
        let parts = |max_events, max_bytes| {
            let limits = BatchLimits { max_events, max_bytes };
            let mut ends = vec![limits.end(&batch, 0)];
            while *ends.last().unwrap() < batch.len() {
                ends.push(limits.end(&batch, *ends.last().unwrap()));
            }
            ends
        };
        assert_eq!(parts(6, 100), [6]);
        assert_eq!(parts(2, 100), [2, 4, 6]);
        assert_eq!(parts(6, 2), [2, 3, 4, 6], "an event that is too large travels alone");
        assert_eq!(parts(0, 0), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn events_that_cannot_be_converted_leave_the_others_their_ids() {
        let mut columns = Columns::default();
        for payload in [b"a", b"!", b"b", b"c", b"!"] {
            columns.push(7, payload);
        }
        let batch = Batch::new(columns, Ids::numbered("s", 0));
        let (converted, refusals) = convert(&batch, 3, |payload, out| {
            if payload == b"!" {
                return Err("bad");
            }
            out.extend_from_slice(payload);
            out.push(b'+');
            Ok(())
        });
        assert_eq!(refusals.iter().map(|refusal| refusal.index).collect::<Vec<_>>(), [1, 4]);
        assert_eq!(converted.columns.payloads().collect::<Vec<_>>(), [b"a+", b"b+", b"c+"]);
        assert_eq!(converted.columns.kind, 3);
        assert_eq!((0..3).map(|index| converted.ids.get(index)).collect::<Vec<_>>(), ["s/0", "s/2", "s/3"]);
    }
}
