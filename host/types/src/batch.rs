//! What travels along an edge.

use std::ops::Range;
use std::sync::Arc;

use crate::{Columns, Ids};

/// What is said of a whole batch, such as its network. Cheap to clone.
pub type Attributes = Arc<[(String, String)]>;

/// Events of one type with the columns that guests do not see.
///
/// Edges carry it behind an `Arc`, so that a fan-out copies nothing.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The events.
    pub columns: Columns,
    /// One id per event, the same again when the event is replayed.
    pub ids: Ids,
    /// No event still to come is older than this, nanoseconds since the Unix epoch;
    /// none where it is not known.
    pub watermark: Option<u64>,
    /// What is said of all of them.
    pub attributes: Attributes,
}

impl Batch {
    /// A batch without watermark and attributes.
    #[must_use]
    pub fn new(columns: Columns, ids: Ids) -> Self {
        Self { columns, ids, watermark: None, attributes: Arc::new([]) }
    }

    /// Number of events.
    #[must_use]
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether there is no event.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// The events of `range` as a batch of their own, with their ids. The watermark
    /// stays with the part that ends the batch.
    ///
    /// # Panics
    ///
    /// When the range reaches past the last event, as slices do.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        let is_last = range.end == self.len();
        Self {
            ids: self.ids.skip(range.start),
            watermark: self.watermark.filter(|_| is_last),
            attributes: Arc::clone(&self.attributes),
            columns: self.columns.slice(range),
        }
    }
}
