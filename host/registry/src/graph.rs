//! Event types and the processors between them, as a graph.
//!
//! Vertices are processors and interned schemas. A processor points at the schemas
//! it emits; a schema points at the processors that read a type of its name, with
//! what their structures say. What runs in another process matches by name: it points at
//! every schema of a type that it emits, and every schema of a type that it reads points
//! at it. Invariant: built once, so that a search compares
//! numbers and never types.

use std::collections::{BTreeMap, HashMap, HashSet};

use flowctl_schema::{Role, Schema};
use flowctl_types::{Digest, EventType};
use petgraph::graph::{DiGraph, NodeIndex};

use crate::{Accepts, Entry};

/// A processor, or a schema.
#[derive(Debug, Clone)]
pub(crate) enum Vertex {
    /// Index into the registry's entries.
    Processor(usize),
    /// The types that a search has at hand.
    Schema(Schema),
}

/// How two vertices are linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Link {
    /// Emitted, or read with the same structure or a convertible one.
    Fits,
    /// The names are equal, the structures are not.
    Differs,
}

/// Processors and the types between them.
#[derive(Debug, Clone)]
pub(crate) struct TypeGraph {
    pub(crate) graph: DiGraph<Vertex, Link>,
    schemas: HashMap<(EventType, Digest), NodeIndex>,
    processors: HashMap<usize, NodeIndex>,
}

impl TypeGraph {
    /// Links the processors among `entries`, and interns all types besides.
    pub(crate) fn new<'a>(entries: &[Entry], types: impl Iterator<Item = &'a Schema>) -> Self {
        let mut this = Self { graph: DiGraph::new(), schemas: HashMap::new(), processors: HashMap::new() };
        types.for_each(|schema| {
            this.intern(schema);
        });
        let live_outputs: HashSet<&EventType> = entries
            .iter()
            .filter(|entry| entry.is_live())
            .flat_map(|entry| entry.outputs().iter().map(Schema::event_type))
            .collect();
        for entry in entries {
            let read = entry.inputs().iter().filter(|schema| live_outputs.contains(schema.event_type()));
            read.chain(entry.outputs()).for_each(|schema| {
                this.intern(schema);
            });
        }
        for (index, entry) in entries.iter().enumerate() {
            let outputs: Vec<NodeIndex> = match entry.is_live() {
                true => entry.outputs().iter().flat_map(|schema| this.of_name(schema.event_type())).collect(),
                false => entry.outputs().iter().map(|schema| this.intern(schema)).collect(),
            };
            if entry.role == Role::Processor {
                let vertex = this.graph.add_node(Vertex::Processor(index));
                this.processors.insert(index, vertex);
                for output in outputs {
                    this.graph.update_edge(vertex, output, Link::Fits);
                }
            }
        }
        this.link_readers(entries);
        this
    }

    /// The vertex of a schema; none where nothing in the registry mentions it.
    pub(crate) fn schema(&self, schema: &Schema) -> Option<NodeIndex> {
        self.schemas.get(&(schema.event_type().clone(), schema.digest())).copied()
    }

    /// The vertices of all structures under a type's name.
    pub(crate) fn of_name(&self, event_type: &EventType) -> Vec<NodeIndex> {
        let of_name = self.schemas.iter().filter(|((name, _), _)| name == event_type);
        of_name.map(|(_, vertex)| *vertex).collect()
    }

    fn intern(&mut self, schema: &Schema) -> NodeIndex {
        let graph = &mut self.graph;
        *self
            .schemas
            .entry((schema.event_type().clone(), schema.digest()))
            .or_insert_with(|| graph.add_node(Vertex::Schema(schema.clone())))
    }

    /// Points every schema at the processors that read its name. Structures are
    /// compared once a pair, however many processors read them.
    fn link_readers(&mut self, entries: &[Entry]) {
        let mut wanted: BTreeMap<&EventType, HashMap<Digest, (&Schema, Vec<NodeIndex>)>> = BTreeMap::new();
        let mut live: HashMap<&EventType, Vec<NodeIndex>> = HashMap::new();
        for (index, vertex) in &self.processors {
            let Accepts::Types(types) = &entries[*index].accepts else { continue };
            if entries[*index].is_live() {
                for schema in types {
                    live.entry(schema.event_type()).or_default().push(*vertex);
                }
                continue;
            }
            for schema in types {
                let of_name = wanted.entry(schema.event_type()).or_default();
                of_name.entry(schema.digest()).or_insert((schema, Vec::new())).1.push(*vertex);
            }
        }
        let mut links = Vec::new();
        for ((event_type, _), from) in &self.schemas {
            let readers = live.get(event_type).into_iter().flatten();
            links.extend(readers.map(|reader| (*from, *reader, Link::Fits)));
        }
        for ((event_type, _), from) in &self.schemas {
            let Vertex::Schema(emitted) = &self.graph[*from] else { continue };
            for (schema, readers) in wanted.get(event_type).into_iter().flat_map(HashMap::values) {
                let link = if schema.accepts(emitted).is_ok() { Link::Fits } else { Link::Differs };
                links.extend(readers.iter().map(|reader| (*from, *reader, link)));
            }
        }
        links.sort_unstable();
        // of two structures of one name at one reader, that which fits counts
        links.dedup_by_key(|(from, reader, _)| (*from, *reader));
        for (from, reader, link) in links {
            self.graph.add_edge(from, reader, link);
        }
    }
}
