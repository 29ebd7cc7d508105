//! Words that every flowctl crate shares: event types, batches, event ids,
//! digests, references, node ids, durations and sizes as text, names that are near, and ties
//! of chains.
//!
//! Invariant: a value of one of these types is valid by construction; whoever
//! holds an [`EventType`] or a [`NodeId`] need not check its spelling again. No
//! I/O, no async, no heavy dependency.

mod batch;
mod code;
mod columns;
mod digest;
mod event_type;
mod ids;
mod names;
mod near;
mod reference;
mod tie;
pub mod units;

pub use batch::{Attributes, Batch};
pub use code::{Code, error_label};
pub use columns::{ColumnFault, Columns, Limits};
pub use digest::{Digest, DigestError};
pub use event_type::{EventType, EventTypeError};
pub use ids::{Description, Ids};
pub use names::{NameError, NodeId};
pub use near::{all_of, did_you_mean, nearest, one_of};
pub use reference::{Reference, ReferenceError, is_tag};
pub use tie::Tie;
