//! What outlives the process: the state of each pipeline, in a directory of its own, and
//! the control plane's database.
//!
//! A state directory holds `lock`, `state.db` with the checkpoints, the file of dead
//! letters, and `nodes/ID` for what connectors keep. Invariant: one process at a time
//! has a directory open, and a checkpoint is in the database whole or not at all, on the
//! disk when a call that stored it has returned.
//!
//! The control plane's directory holds `host.db`, which several processes have open at a
//! time ([`HostStore`]), `host.lock` for the turns in which they start, and
//! `hosts/ID.lock` for each of them.
//!
//! Leaves out what a checkpoint or a record means: that is the runtime's, and the control
//! plane's. Knows no type of the wire.

mod checkpoints;
mod database;
mod error;
mod examine;
mod folder;
mod host;
mod lock;
mod state;

pub use checkpoints::Checkpoints;
pub use error::StateError;
pub use examine::{Holder, StoredDatabase, credentials, examine, holder};
pub use host::Serving;
pub use host::{
    ComponentRecord, ComponentRole, CredentialKind, CredentialRecord, EventLevel, EventRecord, EventRow, Heartbeat,
    HostStore, MAX_EVENT_BYTES, MAX_EVENTS, MAX_MESSAGE_BYTES, PipelineQuery, PipelineRecord, PipelineRow, Removed,
    Retention, RevisionRecord, RevisionStatus, RunQuery, RunRecord, RunRow, RunStatus, RunUpdate,
};
pub use state::{PipelineState, Standing};
