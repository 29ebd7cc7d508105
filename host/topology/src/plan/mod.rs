//! From a pipeline file to the graph of nodes that it asks for.
//!
//! Both formats become drafts of nodes (`discover` finds them, `explicit` reads them),
//! and one path makes a topology of the drafts: `node` checks what is said of each,
//! `connect` joins them by type; `remote` says what holds for components that run in
//! other processes. Invariant: no I/O, and nothing stops at the first
//! fault; a fault that another one causes is left out.

mod connect;
mod discover;
mod draft;
mod explicit;
mod join;
mod node;
mod remote;

use flowctl_intent::{Document, Fault, Faults, Intent};
use flowctl_registry::{ChainError, DeclarationFault, Registry};
use flowctl_types::Code;

pub use discover::{is_wanting, tie};
pub use join::node_ids;

use crate::Topology;
use crate::suggest::full_text;

/// What planning reads, and the faults found so far.
pub(crate) struct Planner<'a> {
    document: &'a Document,
    registry: &'a Registry,
    env: &'a dyn Fn(&str) -> Option<String>,
    faults: Vec<Fault>,
}

/// Plans the pipeline of a file: finds or looks up its components, checks what is
/// configured, and joins the nodes by the types of their events.
///
/// `env` gives the value of an environment variable, where `allow:` grants it or a
/// component's configuration falls back on it. A component
/// that is known but not part of this build is planned like any other; see
/// [`Topology::unavailable`]. Of a document with faults of its own the rest is planned,
/// for the faults that are found there.
///
/// # Errors
///
/// Every fault, each at its place in the file; those of the registry's declared types
/// too.
pub fn plan(
    document: &Document,
    registry: &Registry,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Topology, Faults> {
    let intent = &document.intent;
    let settings = node::settings(intent.settings());
    let faults = declaration_faults(document, registry.declaration_faults());
    let mut planner = Planner { document, registry, env, faults };
    let drafts = match intent {
        Intent::Discover(intent) => planner.discover(intent),
        Intent::Explicit(intent) => planner.explicit(intent),
    };
    let dead_letter = intent.dead_letter().and_then(|sink| planner.dead_letter(sink));
    let graph = planner.connect(drafts);
    match Faults::collect(planner.faults) {
        Some(faults) => Err(faults),
        None => Ok(Topology { name: document.name.clone(), nodes: graph.0, edges: graph.1, settings, dead_letter }),
    }
}

/// What is wrong with the event types that a pipeline's `types` declare, each fault at
/// the entry that it concerns. [`plan`] reports these with all others.
#[must_use]
pub fn declaration_faults(document: &Document, faults: &[DeclarationFault]) -> Vec<Fault> {
    let faults = faults.iter().map(|DeclarationFault { entry, error }| {
        document.fault_at(&["types", &entry.to_string()], error.code(), full_text(error), error.hint())
    });
    faults.collect()
}

impl Planner<'_> {
    /// Notes a fault at the value that `path` leads to, unless that value could not be
    /// read: then its fault is known.
    fn fault(&mut self, path: &[String], code: Code, message: impl Into<String>, hint: Option<String>) {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        if !self.document.is_unreadable(&path) {
            self.faults.push(self.document.fault_at(&path, code, message.into(), hint));
        }
    }

    /// Notes a fault of the key that `path` ends with.
    fn key_fault(&mut self, path: &[String], code: Code, message: impl Into<String>, hint: Option<String>) {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        self.faults.push(self.document.fault_at_key(&path, code, message.into(), hint));
    }

    /// Whether an error follows from a fault that is known: the type may be declared where
    /// something could not be read.
    fn is_explained(&self, error: &ChainError) -> bool {
        let is_unknown = matches!(error, ChainError::UnknownType { .. });
        self.registry.is_explained(error) || is_unknown && self.document.has_hole("types")
    }

    /// The one of `keys` that is written below `path`.
    fn written_key(&self, path: &[String], keys: &[&'static str]) -> Option<&'static str> {
        let at = |key: &str| {
            let path: Vec<&str> = path.iter().map(String::as_str).chain([key]).collect();
            let fault = self.document.fault_at(&path, Code::WrongValue, String::new(), None);
            (fault.line, fault.column)
        };
        // what leads to nothing is placed at the last key that exists
        let nowhere = at("");
        keys.iter().copied().find(|key| at(key) != nowhere)
    }
}
