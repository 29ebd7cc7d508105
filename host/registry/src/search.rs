//! Breadth-first search for the shortest chains of processors.
//!
//! Invariant: every chain found is type-correct hop by hop, no shorter one exists,
//! and the search ends whatever cycles the types make: it visits each vertex once
//! for each step of `via` that lies behind it.

use std::collections::{BTreeMap, BTreeSet};

use flowctl_schema::Schema;
use petgraph::Direction::Incoming;
use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef;

use crate::graph::{Link, TypeGraph, Vertex};
use crate::{Entry, Registry};

/// What a chain has to satisfy.
pub(crate) struct Search<'a> {
    pub(crate) registry: &'a Registry,
    /// What the source emits.
    pub(crate) from: &'a Schema,
    /// The source.
    pub(crate) source: &'a Entry,
    /// Whether a chain may end with events of this schema.
    pub(crate) is_end: &'a dyn Fn(&Schema) -> bool,
    /// Processors to pass through in this order: indices into the entries.
    pub(crate) via: &'a [usize],
    pub(crate) filter: &'a BTreeMap<String, String>,
    pub(crate) max_hops: usize,
    /// Whether only links that fit are followed, or also those between equal names.
    pub(crate) follows: Link,
    /// Which processors a chain may have that nobody named.
    pub(crate) candidates: Candidates,
    /// Most chains that are listed.
    pub(crate) max_chains: usize,
}

/// Which processors discovery chooses from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Candidates {
    /// Those that are well.
    Healthy,
    /// Live components that are unhealthy too.
    All,
}

/// The shortest chains: indices into the entries.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// In lexical order of the entries; empty where there is none.
    pub(crate) chains: Vec<Vec<usize>>,
    /// Whether there are more than those listed.
    pub(crate) has_more: bool,
}

/// A vertex, and how many steps of `via` lie behind it.
type State = (NodeIndex, usize);

const UNVISITED: u32 = u32::MAX;

impl Search<'_> {
    /// Runs the search.
    pub(crate) fn run(&self) -> Found {
        let mut found = Found { chains: Vec::new(), has_more: false };
        if self.via.len() > self.max_hops {
            return found;
        }
        // what a live source emits has any structure that is known under its name
        let starts = match self.source.is_live() {
            true => self.types().of_name(self.from.event_type()),
            false => self.types().schema(self.from).into_iter().collect(),
        };
        if starts.is_empty() {
            // no processor reads it: it ends where it starts, or nowhere
            if self.via.is_empty() && (self.is_end)(self.from) {
                found.chains.push(Vec::new());
            }
            return found;
        }
        let mut hops = vec![UNVISITED; self.types().graph.node_count() * (self.via.len() + 1)];
        let ends = self.walk(starts.into_iter().map(|start| (start, 0)).collect(), &mut hops);
        self.trace(&ends, &hops, &mut Vec::new(), &mut found);
        found.chains.sort_unstable();
        found
    }

    /// Numbers states by their hops from `starts`, until a hop reaches an end: answers
    /// the ends of that hop.
    fn walk(&self, starts: Vec<State>, hops: &mut [u32]) -> BTreeSet<State> {
        let graph = &self.types().graph;
        let mut frontier = starts;
        frontier.iter().for_each(|start| hops[self.slot(*start)] = 0);
        for hop in 0.. {
            let ends: BTreeSet<State> = frontier.iter().copied().filter(|state| self.ends_at(*state)).collect();
            if !ends.is_empty() || frontier.is_empty() || hop as usize == self.max_hops {
                return ends;
            }
            let mut next = Vec::new();
            for (schema, progress) in frontier {
                for edge in graph.edges(schema).filter(|edge| *edge.weight() <= self.follows) {
                    let Some(progress) = self.enter(edge.target(), progress) else { continue };
                    let processor = (edge.target(), progress);
                    if hops[self.slot(processor)] != UNVISITED {
                        continue;
                    }
                    hops[self.slot(processor)] = hop + 1;
                    for output in graph.neighbors(edge.target()) {
                        let state = (output, progress);
                        if hops[self.slot(state)] == UNVISITED {
                            hops[self.slot(state)] = hop + 1;
                            next.push(state);
                        }
                    }
                }
            }
            frontier = next;
        }
        BTreeSet::new()
    }

    /// Follows the numbers from `ends` back to the start, and lists the ways.
    fn trace(&self, ends: &BTreeSet<State>, hops: &[u32], behind: &mut Vec<usize>, found: &mut Found) {
        let Some(hop) = ends.first().map(|end| hops[self.slot(*end)]) else { return };
        if hop == 0 {
            if found.chains.len() == self.max_chains {
                found.has_more = true;
            } else {
                found.chains.push(behind.iter().rev().copied().collect());
            }
            return;
        }
        let graph = &self.types().graph;
        let mut emitters = BTreeSet::new();
        for (schema, progress) in ends {
            let here = graph.neighbors_directed(*schema, Incoming).map(|emitter| (emitter, *progress));
            emitters.extend(here.filter(|emitter| hops[self.slot(*emitter)] == hop));
        }
        for (emitter, progress) in emitters {
            let Vertex::Processor(index) = graph[emitter] else { continue };
            let links = graph.edges_directed(emitter, Incoming).filter(|edge| *edge.weight() <= self.follows);
            let before = links.flat_map(|edge| (0..=progress).map(move |progress| (edge.source(), progress)));
            let before = before.filter(|(schema, before)| {
                hops[self.slot((*schema, *before))] == hop - 1 && self.enter(emitter, *before) == Some(progress)
            });
            let before: BTreeSet<State> = before.collect();
            behind.push(index);
            self.trace(&before, hops, behind, found);
            behind.pop();
            if found.has_more {
                return;
            }
        }
    }

    /// The steps of `via` behind a processor that is entered with `progress` of them;
    /// none where it may not be entered.
    fn enter(&self, processor: NodeIndex, progress: usize) -> Option<usize> {
        let Vertex::Processor(index) = self.types().graph[processor] else { return None };
        let is_next = self.via.get(progress) == Some(&index);
        let entry = &self.registry.entries[index];
        let is_allowed = self.via.contains(&index) || self.is_in_use(index, entry);
        (is_allowed && entry.contradicts(self.filter).is_none()).then_some(progress + usize::from(is_next))
    }

    /// Whether the entry is the one that its name stands for, and may be chosen; a version
    /// that `via` names takes the place of the others of its name.
    fn is_in_use(&self, index: usize, entry: &Entry) -> bool {
        let is_preferred = index == 0 || {
            let before = &self.registry.entries[index - 1];
            (before.role, &before.name) != (entry.role, &entry.name)
        };
        let is_candidate = entry.is_healthy() || self.candidates == Candidates::All;
        let is_shadowed = self.registry.shadowed.contains(&index);
        is_preferred
            && is_candidate
            && !is_shadowed
            && !self.via.iter().any(|via| self.registry.entries[*via].name == entry.name)
    }

    fn ends_at(&self, (vertex, progress): State) -> bool {
        progress == self.via.len()
            && matches!(&self.types().graph[vertex], Vertex::Schema(schema) if (self.is_end)(schema))
    }

    fn types(&self) -> &TypeGraph {
        &self.registry.graph
    }

    fn slot(&self, (vertex, progress): State) -> usize {
        vertex.index() * (self.via.len() + 1) + progress
    }
}
