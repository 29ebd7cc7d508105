//! From a pipeline file to the graph of nodes that it asks for.
//!
//! Both formats become drafts of nodes (`discover` finds them, `explicit` reads them),
//! and one path makes a topology of the drafts: `node` checks what is said of each,
//! `connect` joins them by type. Invariant: no I/O, and nothing stops at the first
//! fault; a fault that another one causes is left out.

mod connect;
mod discover;
mod draft;
mod explicit;
mod join;
mod node;

use flowctl_intent::{Document, Fault, Faults, Intent};
use flowctl_registry::Registry;

use crate::Topology;

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
/// [`Topology::unavailable`].
///
/// # Errors
///
/// Every fault, each at its place in the file.
pub fn plan(
    document: &Document,
    registry: &Registry,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Topology, Faults> {
    let intent = &document.intent;
    let settings = node::settings(intent.settings());
    let mut planner = Planner { document, registry, env, faults: Vec::new() };
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

impl Planner<'_> {
    /// Notes a fault at the value that `path` leads to.
    fn fault(&mut self, path: &[String], message: impl Into<String>, hint: Option<String>) {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        self.faults.push(self.document.fault_at(&path, message.into(), hint));
    }

    /// The one of `keys` that is written below `path`.
    fn written_key(&self, path: &[String], keys: &[&'static str]) -> Option<&'static str> {
        let at = |key: &str| {
            let path: Vec<&str> = path.iter().map(String::as_str).chain([key]).collect();
            let fault = self.document.fault_at(&path, String::new(), None);
            (fault.line, fault.column)
        };
        // what leads to nothing is placed at the last key that exists
        let nowhere = at("");
        keys.iter().copied().find(|key| at(key) != nowhere)
    }
}
