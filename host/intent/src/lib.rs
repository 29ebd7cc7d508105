//! Pipeline files: YAML text to an [`Intent`], or every fault in it at once.
//!
//! Owns the YAML parser and both formats: `flowctl/v2` Topology, which says what is
//! wanted and leaves the chain to discovery, and `flowctl/v1` Pipeline, which names
//! every node. Invariant: [`parse`] does no I/O (the caller brings the environment),
//! never stops at the first fault, and never panics, whatever the text. What comes
//! out is bounded: 1 MiB of text, 10,000 values, 32 levels. Whether the plugins and
//! types that an intent names exist is for `registry` and `topology` to say; they
//! place their faults with [`Document::fault_at`].

mod component;
mod discover;
mod document;
mod edges;
mod edit;
mod explicit;
mod fault;
mod holes;
mod interpolate;
mod json_schema;
mod model;
mod options;
mod plugin;
mod reader;
mod scalar;
mod settings;
mod tree;
mod via;

pub use document::{Document, parse, read};
pub use edit::{Addition, Draft, EditError, Place, Placed};
pub use fault::{Fault, Faults};
pub use interpolate::{Config, Interpolated};
pub use json_schema::json_schema;
pub use model::{
    Component, DiscoverIntent, Endpoint, ExplicitIntent, Grants, Intent, NodeOptions, ProcessorSpec, SinkSpec,
    SourceSpec,
};
pub use settings::{Batching, Limits, OnFailure, Overrides, Retry, Settings};
