//! WIT as schema: what a component says about itself, and what its events look like.
//!
//! A [`Schema`] is the structure of one event type. It translates payloads to and
//! from JSON, shows them as rows of cells, and says whether events of one schema can be read as another. A
//! [`Contract`] is all that a component's bytes tell: its role, the schemas of its
//! inputs and outputs, its configuration record, what it asks for.
//!
//! Invariant: the component's own types are the truth; its manifest section adds
//! names, docs and defaults only. Nothing here panics or allocates without bound on
//! any input. No I/O: the caller brings bytes and text.

mod compat;
mod config;
mod contract;
mod difference;
mod fault;
mod json;
mod listing;
mod lower;
mod payload;
mod plan;
mod row;
mod schema;
mod text;
mod ty;
mod varint;
mod wit;

pub use compat::{Conversion, Mismatch, Reencoder};
pub use config::{ConfigFault, ConfigField, ConfigSchema};
pub use contract::{CONTRACT_VERSION, Contract, ContractError, MAX_COMPONENT_BYTES, Role};
pub use difference::Difference;
pub use fault::MAX_EVENT_BYTES;
pub use listing::{Listing, Notes};
pub use lower::TypeError;
pub use row::{Cell, RowError};
pub use schema::{JsonError, PayloadError, Schema};
pub use ty::{Case, EnumCase, EnumType, Field, Record, Type, Variant};
pub use wit::{WitError, WitFile, WitPackage, WitPlace, event_types};
