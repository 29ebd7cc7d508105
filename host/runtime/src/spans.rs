//! The spans that a run's log lines stand in.
//!
//! Invariant: what a node's component or the runtime logs on behalf of a node stands in
//! one span that names the run and the node, and in none that names them again; what is
//! about the whole run stands in one that names the run. Both have the level of errors, so that
//! no filter takes them from the lines that it lets pass.

use std::sync::Arc;

use flowctl_types::{Batch, NodeId};
use tracing::{Span, error_span, info_span};

use crate::edge::weight;

/// Makes the spans of one run.
#[derive(Debug, Clone)]
pub(crate) struct Spans {
    run: Arc<str>,
    /// Where the run was started.
    outer: Span,
}

/// Makes a span for one of so many batches of a node.
#[derive(Debug)]
pub(crate) struct Sampler {
    spans: Spans,
    node: NodeId,
    every: u32,
    n_passed: u32,
}

impl Spans {
    /// Spans within the one that is entered now.
    pub(crate) fn new(run: Arc<str>) -> Self {
        Self { run, outer: Span::current() }
    }

    pub(crate) fn run(&self) -> Span {
        error_span!(parent: &self.outer, "run", run = %self.run)
    }

    pub(crate) fn node(&self, node: &NodeId) -> Span {
        error_span!(parent: &self.outer, "node", run = %self.run, node = %node)
    }
}

impl Sampler {
    /// Every `every`th batch has a span; none where that is 0.
    pub(crate) fn new(spans: Spans, node: NodeId, every: u32) -> Self {
        Self { spans, node, every, n_passed: 0 }
    }

    /// The span to process `batch` in.
    pub(crate) fn span(&mut self, batch: &Batch) -> Span {
        if self.every == 0 {
            return Span::none();
        }
        self.n_passed += 1;
        if self.n_passed < self.every {
            return Span::none();
        }
        self.n_passed = 0;
        let Self { spans, node, .. } = self;
        info_span!(
            target: "flowctl::batch",
            "batch",
            run = %spans.run,
            node = %node,
            // signed: what traces know of numbers
            n_events = i64::try_from(batch.len()).unwrap_or(i64::MAX),
            n_bytes = i64::try_from(weight(batch)).unwrap_or(i64::MAX)
        )
    }
}
