//! What outlives the process: the state of each pipeline, in a directory of its own.
//!
//! A state directory holds `lock`, `state.db` with the checkpoints, the file of dead
//! letters, and `nodes/ID` for what connectors keep. Invariant: one process at a time
//! has a directory open, and a checkpoint is in the database whole or not at all, on the
//! disk when a call that stored it has returned.
//!
//! Leaves out what a checkpoint means: that is the runtime's.

mod checkpoints;
mod database;
mod error;
mod folder;
mod host;
mod lock;
mod state;

pub use checkpoints::Checkpoints;
pub use error::StateError;
pub use host::{
    ComponentRecord, ComponentRole, CredentialKind, CredentialRecord, EventLevel, EventRecord, EventRow, Heartbeat,
    HostStore, MAX_EVENT_BYTES, MAX_EVENTS, MAX_MESSAGE_BYTES, PipelineQuery, PipelineRecord, PipelineRow, Removed,
    Retention, RunQuery, RunRecord, RunRow, RunStatus, RunUpdate,
};
pub use state::{PipelineState, Standing};
