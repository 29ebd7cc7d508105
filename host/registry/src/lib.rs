//! What can be used as a node, and the search for a chain of them.
//!
//! A [`Registry`] is built from [`Entry`]s: plugins, by what their bytes say, the
//! connectors of this binary, and the components of other processes, by what they
//! registered with. It finds entries by name, kind or reference, and the
//! shortest chain of processors from what a source emits to what a sink takes.
//!
//! Invariant: no I/O and no async. The caller reads components from disk and hands
//! over what their bytes say; the registry answers within milliseconds.

mod chain;
mod chain_error;
mod declare;
mod entry;
mod graph;
mod live;
mod lookup;
mod registry;
mod search;

pub use chain::{ChainQuery, MAX_HOPS, SourceQuery, Target};
pub use chain_error::{ChainError, Wording, arrows};
pub use declare::{DeclarationError, DeclarationFault, Declarations};
pub use entry::{Accepts, Emits, Entry, Origin, Refusal};
pub use live::{LiveComponent, LiveOrigin};
pub use lookup::{LookupError, kind, less_version};
pub use registry::{ConfigCheck, Conflict, Registry};
