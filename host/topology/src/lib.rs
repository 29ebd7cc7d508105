//! From an intent and a registry to a typed graph of nodes, and from two graphs to
//! what must change.
//!
//! Invariant: no I/O, and every fault is reported, not the first. An edge of a
//! [`Topology`] joins types that were found compatible; the runtime does not check again.

mod dead_letter;
mod diff;
mod model;
mod plan;
pub mod render;
mod suggest;

pub use dead_letter::dead_letter_schema;
pub use diff::{Aspect, Diff, NodeChange, diff};
pub use flowctl_intent::{OnFailure, Retry};
pub use model::{CallLimits, Component, Edge, Grants, Node, Route, Settings, Topology};
pub use plan::{declaration_faults, is_wanting, node_ids, plan, tie};
pub use suggest::{Chains, Link, Part, SuggestError, Wish, suggest};
