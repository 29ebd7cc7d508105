//! One node, as it was seen of late.

use std::time::Duration;

use flowctl_client::admin::{EdgeFigures, NodeFigures};

use super::latency::Latencies;
use super::rates::Rate;

/// A node's figures, and how they moved.
#[derive(Debug, Default)]
pub(crate) struct Track {
    pub(crate) figures: NodeFigures,
    /// Events that it received; of a source, that it read.
    pub(crate) received: Rate,
    /// Events that it emitted; of a sink, that it took.
    pub(crate) emitted: Rate,
    pub(crate) latencies: Latencies,
    /// What waits before it; none before a source.
    pub(crate) queue: Option<Queue>,
}

/// What waits before a node, on all edges that lead to it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Queue {
    pub(crate) batches: u64,
    pub(crate) max_batches: u64,
    pub(crate) bytes: u64,
    /// How full the fullest edge is, 0 to 1: by batches or by bytes, whichever is more.
    pub(crate) fill: f64,
}

impl Track {
    /// Takes in what was seen at `now`.
    pub(crate) fn see(&mut self, now: Duration, figures: &NodeFigures, edges: &[EdgeFigures]) {
        self.received.see(now, figures.events_in);
        self.emitted.see(now, figures.events_out);
        if let Some(latency) = &figures.latency {
            self.latencies.see(latency);
        }
        self.queue = Queue::of(edges.iter().filter(|edge| edge.to == figures.node));
        self.figures = figures.clone();
    }

    /// The rate that it is known by: a source's is what it emits.
    pub(crate) fn flow(&self) -> &Rate {
        if self.figures.role == "source" { &self.emitted } else { &self.received }
    }
}

impl Queue {
    fn of<'a>(edges: impl Iterator<Item = &'a EdgeFigures>) -> Option<Self> {
        edges.fold(None, |queue: Option<Self>, edge| {
            let queue = queue.unwrap_or_default();
            let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
            let fill = share(edge.batches, edge.max_batches).max(share(edge.bytes, edge.max_bytes)).min(1.0);
            Some(Self {
                batches: queue.batches + edge.batches,
                max_batches: queue.max_batches + edge.max_batches,
                bytes: queue.bytes + edge.bytes,
                fill: queue.fill.max(fill),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_as_full_as_its_fullest_edge() {
        let edge = |batches, bytes| EdgeFigures {
            from: "a".to_owned(),
            to: "b".to_owned(),
            batches,
            bytes,
            max_batches: 8,
            max_bytes: 1_000,
        };
        let queue = Queue::of([edge(2, 0), edge(1, 900)].iter()).unwrap();
        assert_eq!(queue, Queue { batches: 3, max_batches: 16, bytes: 900, fill: 0.9 });
        assert_eq!(Queue::of([].iter()), None);
    }
}
