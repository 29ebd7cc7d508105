//! What of a file could not be read, for whoever goes on with the rest.
//!
//! Invariant: an item of `from`, `to`, `via`, `types` or `inputs` that the intent lacks is not in
//! the tree either, so that an index means the same item in both.

use std::collections::{BTreeSet, HashSet};

use crate::fault::{Problem, Span};
use crate::tree::{Kind, Node};

/// Where the problems of a file are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Holes {
    /// Line and column of each problem.
    places: HashSet<(usize, usize)>,
    /// Keys of `spec` with a problem at or below them.
    keys: BTreeSet<String>,
    is_empty: bool,
}

impl Holes {
    /// The holes that `problems` leave in the tree at `root`; takes the items out that
    /// the intent lacks.
    pub(crate) fn new(root: &mut Node, problems: &[Problem]) -> Self {
        let places = problems.iter().map(|problem| (problem.span.line, problem.span.column)).collect();
        let mut holes = Self { places, keys: BTreeSet::new(), is_empty: problems.is_empty() };
        if holes.is_empty {
            return holes;
        }
        let Some(Kind::Mapping(entries)) = value_of(root, "spec").map(|spec| &mut spec.kind) else { return holes };
        for entry in entries {
            if holes.is_at(entry.span) || holes.is_within(&entry.value) {
                holes.keys.insert(entry.name.clone());
            }
            match (entry.name.as_str(), &mut entry.value.kind) {
                ("from" | "to" | "via" | "types", Kind::Sequence(items)) => holes.prune(items),
                ("processors" | "sinks", Kind::Sequence(nodes)) => {
                    for node in nodes {
                        if let Some(Kind::Sequence(items)) = value_of(node, "inputs").map(|inputs| &mut inputs.kind) {
                            holes.prune(items);
                        }
                    }
                }
                _ => {}
            }
        }
        holes
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.is_empty
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.keys.contains(key)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(String::as_str)
    }

    /// Whether the value itself is at fault.
    pub(crate) fn concerns(&self, node: &Node) -> bool {
        match node.kind {
            Kind::Invalid => true,
            // it begins where its first key does, whose fault is not its own
            Kind::Mapping(_) => false,
            Kind::Scalar(_) | Kind::Sequence(_) => self.is_at(node.span),
        }
    }

    fn is_within(&self, node: &Node) -> bool {
        matches!(node.kind, Kind::Invalid)
            || self.is_at(node.span)
            || node.key.is_some_and(|key| self.is_at(key))
            || match &node.kind {
                Kind::Sequence(items) => items.iter().any(|item| self.is_within(item)),
                Kind::Mapping(entries) => entries.iter().any(|entry| self.is_within(&entry.value)),
                Kind::Scalar(_) | Kind::Invalid => false,
            }
    }

    fn is_at(&self, span: Span) -> bool {
        self.places.contains(&(span.line, span.column))
    }

    fn prune(&self, items: &mut Vec<Node>) {
        items.retain(|item| !self.is_within(item));
    }
}

fn value_of<'n>(node: &'n mut Node, key: &str) -> Option<&'n mut Node> {
    match &mut node.kind {
        Kind::Mapping(entries) => entries.iter_mut().find(|entry| entry.name == key).map(|entry| &mut entry.value),
        _ => None,
    }
}
