//! What crosses the boundary, as plain Rust: the records of
//! `flowctl:processor/types@0.1.0`.
//!
//! Invariant: field names and types are those of the WIT, because the generated
//! bindings build these very structs. Authors meet them only where they want
//! columns ([`Events::batch`](crate::Events::batch)) or test at that level.

/// Events of one type, column by column.
///
/// See `wit/flowctl-processor/types.wit` in `flowctl-sdk-macros` for the rules.
///
/// ```
/// use flowctl_sdk::contract::Batch;
///
/// let batch = Batch { timestamps: vec![7, 8], ends: vec![1, 3], data: vec![1, 2, 3], ..Batch::default() };
/// assert_eq!(batch.len(), 2);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Index of the declared event type; 0 where one is declared.
    pub kind: u32,
    /// Event time in nanoseconds since the Unix epoch, one per event.
    pub timestamps: Vec<u64>,
    /// End of each event's payload within `data`, ascending.
    pub ends: Vec<u32>,
    /// The payloads, one after the other.
    pub data: Vec<u8>,
    /// End of each event's key within `keys`; empty where events have none.
    pub key_ends: Vec<u32>,
    /// The partition keys, one after the other.
    pub keys: Vec<u8>,
    /// On output: index of the input event each event came from; empty where
    /// they came from the batch as a whole.
    pub origins: Vec<u32>,
    /// No event still to come is older than this, in nanoseconds since the Unix
    /// epoch.
    pub watermark: Option<u64>,
    /// Facts about the whole batch, as name and value.
    pub attributes: Vec<(String, String)>,
}

impl Batch {
    /// The number of events.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no event; such a batch may still carry a watermark.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

/// An input event that the processor will not take.
///
/// ```
/// let first = flowctl_sdk::contract::Rejection { index: 0, reason: "no amount".into() };
/// assert_eq!(first.index, 0);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Which event of the input batch, from 0.
    pub index: u32,
    /// Why, in words for the operator.
    pub reason: String,
}

/// What became of a batch.
///
/// ```
/// let nothing = flowctl_sdk::contract::Outcome::default();
/// assert!(nothing.outputs.is_empty() && nothing.rejected.is_empty());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The events that came out: one batch for each kind that has any.
    pub outputs: Vec<Batch>,
    /// The events that were refused, ascending by index.
    pub rejected: Vec<Rejection>,
}

/// Why a call failed as a whole.
///
/// ```
/// use flowctl_sdk::contract::Fault;
///
/// assert_ne!(Fault::Retry("busy".into()), Fault::Fatal("busy".into()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Something outside is not ready; the host calls again with the same batch.
    Retry(String),
    /// The processor cannot go on; the host does not call it again.
    Fatal(String),
}
