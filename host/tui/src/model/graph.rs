//! Where the nodes of a topology stand when it is drawn: in layers from the sources to the sinks.
//!
//! Invariant: a link leads from a layer to the next one. An edge that leads further passes through a slot of each
//! layer between, so that no line runs through a node. What comes from the wire may be anything: a cycle is drawn
//! somehow, and an edge to nowhere not at all.

use std::collections::BTreeMap;

/// Nodes in layers, and the lines between them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Graph {
    layers: Vec<Vec<Slot>>,
    links: Vec<Link>,
}

/// A place that something takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Slot {
    /// A node.
    Node(String),
    /// An edge that leads on.
    Pass,
}

/// Where a slot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Counted from the sources.
    pub(crate) layer: usize,
    /// Counted from the top.
    pub(crate) row: usize,
}

/// A line from a slot to one of the next layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    /// Where it begins.
    pub(crate) from: Place,
    /// Where it ends.
    pub(crate) to: Place,
}

/// Where to look from a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// To what it reads from.
    Left,
    /// To what reads from it.
    Right,
    /// To the one above.
    Up,
    /// To the one below.
    Down,
}

/// A node that is to be placed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node<'a> {
    /// Its id.
    pub(crate) id: &'a str,
    /// Whether nothing reads from it.
    pub(crate) is_sink: bool,
}

impl Graph {
    /// Places `nodes`, whose order decides where nothing else does.
    #[must_use]
    pub(crate) fn new(nodes: &[Node<'_>], edges: &[(&str, &str)]) -> Self {
        let index: BTreeMap<&str, usize> = nodes.iter().enumerate().map(|(index, node)| (node.id, index)).collect();
        let edges = edges.iter().filter_map(|(from, to)| Some((*index.get(from)?, *index.get(to)?)));
        let edges: Vec<(usize, usize)> = edges.filter(|(from, to)| from != to).collect();
        let depths = depths(nodes, &edges);
        let mut graph = Self::default();
        // where each edge has come to
        let mut ends: Vec<Option<Place>> = vec![None; edges.len()];
        for layer in 0..depths.iter().max().map_or(0, |deepest| deepest + 1) {
            let arrives = |edge: &usize| depths[edges[*edge].0] < layer && depths[edges[*edge].1] >= layer;
            let arriving: Vec<usize> = (0..edges.len()).filter(arrives).collect();
            let mut slots: Vec<(Slot, Vec<usize>)> = Vec::new();
            for (node, _) in depths.iter().enumerate().filter(|(_, depth)| **depth == layer) {
                let inputs = arriving.iter().copied().filter(|edge| edges[*edge].1 == node).collect();
                slots.push((Slot::Node(nodes[node].id.to_owned()), inputs));
            }
            let passing = arriving.iter().filter(|edge| depths[edges[**edge].1] > layer);
            slots.extend(passing.map(|edge| (Slot::Pass, vec![*edge])));
            // near what it reads from, so that few lines cross
            let middle = |inputs: &[usize]| {
                let rows: Vec<usize> = inputs.iter().filter_map(|edge| Some(ends[*edge]?.row)).collect();
                rows.iter().sum::<usize>() * 1_000 / rows.len().max(1)
            };
            slots.sort_by_key(|(_, inputs)| middle(inputs));
            for (row, (slot, inputs)) in slots.iter().enumerate() {
                let place = Place { layer, row };
                for edge in inputs {
                    graph.links.extend(ends[*edge].map(|from| Link { from, to: place }));
                    ends[*edge] = Some(place);
                }
                if let Slot::Node(id) = slot {
                    let leaving = (0..edges.len()).filter(|edge| nodes[edges[*edge].0].id == id);
                    leaving.for_each(|edge| ends[edge] = Some(place));
                }
            }
            graph.layers.push(slots.into_iter().map(|(slot, _)| slot).collect());
        }
        graph
    }

    /// Layers from the sources on, each from the top.
    #[must_use]
    pub(crate) fn layers(&self) -> &[Vec<Slot>] {
        &self.layers
    }

    /// All lines.
    #[must_use]
    pub(crate) fn links(&self) -> &[Link] {
        &self.links
    }

    /// Slots of the layer that has most.
    #[must_use]
    pub(crate) fn height(&self) -> usize {
        self.layers.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// Where a node is.
    #[must_use]
    pub(crate) fn place(&self, id: &str) -> Option<Place> {
        let is_it = |slot: &Slot| matches!(slot, Slot::Node(other) if other == id);
        let mut layers = self.layers.iter().enumerate();
        layers.find_map(|(layer, slots)| Some(Place { layer, row: slots.iter().position(is_it)? }))
    }

    /// The first node.
    #[must_use]
    pub(crate) fn first(&self) -> Option<&str> {
        self.layers.iter().flatten().find_map(Slot::node)
    }

    /// The node that is next to `id`; none where there is no other that way.
    #[must_use]
    pub(crate) fn next(&self, id: &str, direction: Direction) -> Option<&str> {
        let from = self.place(id)?;
        match direction {
            Direction::Up => self.layers[from.layer][..from.row].iter().rev().find_map(Slot::node),
            Direction::Down => self.layers[from.layer][from.row + 1..].iter().find_map(Slot::node),
            Direction::Right => self.follow(from, |link| (link.from, link.to)),
            Direction::Left => self.follow(from, |link| (link.to, link.from)),
        }
    }

    /// Follows lines until there is a node, the upper one where there are several.
    fn follow(&self, mut place: Place, ends: impl Fn(&Link) -> (Place, Place)) -> Option<&str> {
        // a line crosses each layer once
        for _ in 0..self.layers.len() {
            let next = self.links.iter().map(&ends).filter(|(near, _)| *near == place).map(|(_, far)| far).min()?;
            place = next;
            if let Slot::Node(id) = &self.layers[place.layer][place.row] {
                return Some(id);
            }
        }
        None
    }
}

impl Slot {
    fn node(&self) -> Option<&str> {
        match self {
            Self::Node(id) => Some(id),
            Self::Pass => None,
        }
    }
}

/// The layer of each node: behind all that it reads from.
fn depths(nodes: &[Node<'_>], edges: &[(usize, usize)]) -> Vec<usize> {
    let mut depths = vec![0; nodes.len()];
    // as often as the longest way has steps; in a cycle it ends all the same
    for _ in 1..nodes.len() {
        for &(from, to) in edges {
            depths[to] = depths[to].max(depths[from] + 1).min(nodes.len() - 1);
        }
    }
    let deepest = depths.iter().copied().max().unwrap_or(0);
    for (index, node) in nodes.iter().enumerate() {
        let is_alone = !edges.iter().any(|(from, to)| *from == index || *to == index);
        if is_alone && node.is_sink {
            depths[index] = deepest;
        }
    }
    depths
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    /// Places the nodes of edges such as `a-b b-c`; nodes are there in the order of their names.
    fn graph(text: &str) -> Graph {
        let edges: Vec<(&str, &str)> = text.split(' ').filter_map(|edge| edge.split_once('-')).collect();
        let mut ids: Vec<&str> = text.split([' ', '-']).collect();
        ids.sort_unstable();
        ids.dedup();
        let nodes: Vec<Node<'_>> = ids.into_iter().map(|id| Node { id, is_sink: id.starts_with('z') }).collect();
        Graph::new(&nodes, &edges)
    }

    fn check(text: &str, expected: &Expect) {
        let graph = graph(text);
        let slot = |slot: &Slot| slot.node().unwrap_or("·").to_owned();
        let layer = |slots: &Vec<Slot>| slots.iter().map(slot).collect::<Vec<_>>().join(",");
        let links = graph.links.iter().map(|link| format!("{}.{}>{}", link.from.layer, link.from.row, link.to.row));
        let layers = graph.layers.iter().map(layer).collect::<Vec<_>>().join(" | ");
        expected.assert_eq(&format!("{layers}; {}", links.collect::<Vec<_>>().join(" ")));
    }

    #[test]
    fn a_chain_is_one_row() {
        check("a-b b-c", &expect!["a | b | c; 0.0>0 1.0>0"]);
    }

    #[test]
    fn branches_stand_beside_each_other_and_near_what_they_read_from() {
        check("a-c a-d b-e c-f d-f e-g", &expect!["a,b | c,d,e | f,g; 0.0>0 0.0>1 0.1>2 1.0>0 1.1>0 1.2>1"]);
    }

    #[test]
    fn an_edge_that_leads_further_passes_beside_nodes() {
        check("a-b b-c c-d a-d", &expect!["a | b,· | c,· | d; 0.0>0 0.0>1 1.0>0 1.1>1 2.0>0 2.1>0"]);
    }

    #[test]
    fn whatever_comes_has_a_place() {
        check("a-b b-a", &expect![" | a,b; "]);
        check("a-a", &expect!["a; "]);
        check("a-b zdead", &expect!["a | b,zdead; 0.0>0"]);
        assert_eq!(Graph::new(&[], &[("a", "b")]), Graph::default());
    }

    #[test]
    fn the_next_node_is_found_along_lines() {
        let graph = graph("a-b b-c c-d a-d a-e");
        let next = |id, direction| graph.next(id, direction);
        assert_eq!(next("a", Direction::Right), Some("b"));
        assert_eq!(next("d", Direction::Left), Some("c"));
        assert_eq!(next("e", Direction::Left), Some("a"));
        assert_eq!(next("b", Direction::Down), Some("e"));
        assert_eq!(next("a", Direction::Left), None);
        assert_eq!(next("a", Direction::Up), None);
        assert_eq!(next("nothing", Direction::Up), None);
    }
}
