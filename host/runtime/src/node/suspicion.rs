//! What is known of the events that a stateful node fails on, and how batches are taken
//! apart around them.

use std::collections::HashMap;

use flowctl_types::Batch;

use crate::Fault;

/// What is known of events that made a stateful node fail.
#[derive(Debug, Clone, Default)]
pub(crate) struct Suspicion {
    /// Whether events are processed one by one, up to the next barrier.
    pub(crate) is_stepping: bool,
    /// Events that are to blame, by id, and how they made the node fail.
    pub(crate) culprits: HashMap<String, Fault>,
}

/// A part of a batch.
pub(super) enum Part {
    Whole,
    Slice(usize, usize),
    Culprit(usize, Fault),
}

impl Suspicion {
    /// How a batch is taken: whole unless something is suspected.
    pub(super) fn parts(&self, batch: &Batch) -> Vec<Part> {
        if (!self.is_stepping && self.culprits.is_empty()) || batch.is_empty() {
            return vec![Part::Whole];
        }
        let mut parts = Vec::new();
        let mut start = 0;
        for index in 0..batch.len() {
            let culprit = self.culprits.get(&batch.ids.get(index));
            if (culprit.is_some() || self.is_stepping) && start < index {
                parts.push(Part::Slice(start, index));
                start = index;
            }
            if let Some(fault) = culprit {
                parts.push(Part::Culprit(index, fault.clone()));
                start = index + 1;
            }
        }
        if start < batch.len() {
            parts.push(Part::Slice(start, batch.len()));
        }
        parts
    }
}
