//! Runs a topology: nodes, edges, barriers and acknowledgements.
//!
//! A [`Run`] is made for a [`Workshop`], which makes components, and given a [`Change`],
//! which says what to run. It prepares everything first, then starts one task a node;
//! edges between them are bounded. How events are never lost is written in
//! [`checkpoint`].
//!
//! Invariants: an edge always has a receiver; a source's position advances only past
//! events that every sink, or the dead-letter sink, durably took; a component's fault
//! ends at its node.

mod change;
pub mod checkpoint;
mod component;
mod coordinator;
mod dead_letter;
mod difference;
mod edge;
mod error;
mod generation;
mod inputs;
mod latency;
mod letters;
mod live;
mod metrics;
mod node;
mod observer;
mod options;
mod outputs;
mod plan;
mod prepare;
mod progress;
mod recovery;
mod resume;
mod run;
mod spans;
mod summary;
mod switch;
mod tap;
mod throttle;
mod worker;

pub use change::Change;
pub use checkpoint::{Checkpoint, CheckpointStore, MemoryStore, SavedState, StoreError};
pub use component::{
    Bounds, DeadLetterSink, Fault, Outcome, Output, Piece, Position, PrepareError, Processor, Refused, Rejection, Sink,
    Source, Stage, State, Usage, Workshop,
};
pub use dead_letter::{DeadLetter, LetterPayload};
pub use edge::{Barrier, Closed, Edge, EdgeBounds, Finish, MemoryEdge, Message, Pending};
pub use error::{ApplyError, NodeError, RunError};
pub use latency::LatencyFigures;
pub use live::{ChangeOptions, ChangeOutcome, Changed, ReadyChange, Settled, Trial};
pub use metrics::Counters;
pub use observer::{Observer, RunEvent};
pub use options::{Backoff, Options, Orphans};
pub use run::{Run, RunHandle, Stop};
pub use summary::{EdgeFigures, NodeFigures, Snapshot, Status, Summary};
pub use tap::{Tap, Tapped};
pub use throttle::Throttle;
