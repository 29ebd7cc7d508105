//! Checks what the nodes of a `flowctl/v1` pipeline read from.
//!
//! Invariant: where no problem is noted, ids are unique, every input names a source
//! or a processor, no event can come back to a node it left, and none ends where no sink takes it.

use std::collections::{HashMap, HashSet};

use flowctl_types::{Code, NodeId, nearest};

use crate::component::Role;
use crate::options::DEAD_LETTER_ID;
use crate::reader::Reader;
use crate::tree::{Kind, Node};

/// Most unknown inputs for which the nearest name is looked for: that takes time by
/// the number of nodes.
const MAX_SUGGESTED: usize = 20;

/// A node with what it is called and reads from, as far as that could be read.
pub(crate) struct Declared<'a> {
    pub(crate) id: Option<(&'a NodeId, &'a Node)>,
    pub(crate) role: Role,
    pub(crate) inputs: &'a [(NodeId, &'a Node)],
}

/// Reads `inputs`: ids with their places, none twice.
pub(crate) fn read_inputs<'n>(reader: &mut Reader, node: &'n Node, role: Role) -> Vec<(NodeId, &'n Node)> {
    let mut inputs: Vec<(NodeId, &Node)> = Vec::new();
    let items = reader.items(node, "`inputs`");
    if items.is_empty() && matches!(node.kind, Kind::Sequence(_)) {
        let hint = format!("name the nodes that the {} reads from, such as `inputs: [ledgers]`", role.name());
        reader.fault(node.place(), Code::BadInput, format!("a {} needs an input", role.name()), hint);
    }
    for item in items {
        match reader.name(item, "an item of `inputs`") {
            Some(id) if inputs.iter().any(|(other, _)| *other == id) => {
                reader.fault(
                    item.span,
                    Code::ListedTwice,
                    format!("input `{}` is listed twice", item.shown()),
                    "leave the second one out",
                );
            }
            Some(id) => inputs.push((id, item)),
            None => {}
        }
    }
    inputs
}

/// Notes ids that are given twice, inputs that cannot be, and cycles.
pub(crate) fn check_edges(reader: &mut Reader, nodes: &[Declared<'_>], has_dead_letter: bool) {
    let mut by_id: HashMap<&NodeId, usize> = HashMap::new();
    for (index, node) in nodes.iter().enumerate() {
        let Some((id, place)) = node.id else { continue };
        if has_dead_letter && id.as_str() == DEAD_LETTER_ID {
            let message = format!("`{DEAD_LETTER_ID}` is the id of the sink that `dead_letter` names");
            reader.fault(place.span, Code::ListedTwice, message, "give this node another id");
        }
        match by_id.get(id) {
            Some(first) => {
                let line = nodes[*first].id.map_or(0, |(_, place)| place.span.line);
                let message = format!("id `{}` is given twice", place.shown());
                reader.fault(
                    place.span,
                    Code::ListedTwice,
                    message,
                    format!("the first is a {} on line {line}", nodes[*first].role.name()),
                );
            }
            None => {
                by_id.insert(id, index);
            }
        }
    }
    let mut n_unknown = 0;
    for node in nodes {
        for (input, place) in node.inputs {
            check_input(reader, nodes, &by_id, node, (input, place), &mut n_unknown);
        }
    }
    check_cycles(reader, nodes, &by_id);
}

/// Notes nodes whose events nobody takes: such events could never be acknowledged.
pub(crate) fn check_readers(reader: &mut Reader, nodes: &[Declared<'_>]) {
    let read: HashSet<&NodeId> = nodes.iter().flat_map(|node| node.inputs).map(|(input, _)| input).collect();
    for node in nodes.iter().filter(|node| node.role != Role::Sink) {
        if let Some((id, place)) = node.id
            && !read.contains(id)
        {
            let hint = format!("name it in the `inputs` of a sink or processor, or remove the {}", node.role.name());
            reader.fault(place.span, Code::OutputUnused, format!("nothing reads from `{}`", place.shown()), hint);
        }
    }
}

fn check_input(
    reader: &mut Reader,
    nodes: &[Declared<'_>],
    by_id: &HashMap<&NodeId, usize>,
    node: &Declared<'_>,
    (input, place): (&NodeId, &Node),
    n_unknown: &mut usize,
) {
    let shown = place.shown();
    if node.id.is_some_and(|(id, _)| id == input) {
        reader.fault(place.span, Code::BadInput, format!("`{shown}` reads from itself"), "name the node before it");
        return;
    }
    match by_id.get(input) {
        Some(found) if nodes[*found].role == Role::Sink => {
            let hint = "a sink has no output: name the node that the sink reads from";
            reader.fault(place.span, Code::BadInput, format!("input `{shown}` is a sink"), hint);
        }
        Some(_) => {}
        None => {
            *n_unknown += 1;
            let near = if *n_unknown <= MAX_SUGGESTED { nearest_node(nodes, node, input) } else { None };
            let hint = match near {
                Some(near) => format!("did you mean `{}`?", near.shown()),
                None => "name a source or a processor of this file".to_owned(),
            };
            reader.fault(place.span, Code::UnknownInput, format!("input `{shown}` is no node of this file"), hint);
        }
    }
}

/// The other node with an output whose id is nearest to `input`.
fn nearest_node<'a>(nodes: &[Declared<'a>], reading: &Declared<'_>, input: &NodeId) -> Option<&'a Node> {
    let own = reading.id.map(|(id, _)| id);
    let others = nodes.iter().filter(|node| node.role != Role::Sink).filter_map(|node| node.id);
    let others: Vec<(&NodeId, &Node)> = others.filter(|(id, _)| Some(*id) != own).collect();
    let near = nearest(input.as_str(), others.iter().map(|(id, _)| id.as_str()));
    others.iter().find(|(id, _)| near.first() == Some(&id.as_str())).map(|(_, place)| *place)
}

/// Walks from every node to its inputs, depth first. A cycle is noted once, at the
/// input that closes it.
fn check_cycles(reader: &mut Reader, nodes: &[Declared<'_>], by_id: &HashMap<&NodeId, usize>) {
    let inputs: Vec<Vec<(usize, &Node)>> = nodes
        .iter()
        .enumerate()
        .map(|(index, node)| {
            let known = node.inputs.iter().filter_map(|(input, place)| Some((*by_id.get(input)?, *place)));
            known.filter(|(input, _)| *input != index).collect()
        })
        .collect();
    let mut marks = vec![Mark::New; nodes.len()];
    for start in 0..nodes.len() {
        // depth first without recursion: (node, next input to look at)
        let mut path: Vec<(usize, usize)> = Vec::new();
        if marks[start] == Mark::New {
            marks[start] = Mark::OnPath;
            path.push((start, 0));
        }
        while let Some((node, next)) = path.last_mut() {
            let Some((input, place)) = inputs[*node].get(*next) else {
                marks[*node] = Mark::Done;
                path.pop();
                continue;
            };
            *next += 1;
            match marks[*input] {
                Mark::New => {
                    marks[*input] = Mark::OnPath;
                    path.push((*input, 0));
                }
                Mark::OnPath => report_cycle(reader, nodes, &path, *input, place),
                Mark::Done => {}
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    New,
    OnPath,
    Done,
}

fn report_cycle(reader: &mut Reader, nodes: &[Declared<'_>], path: &[(usize, usize)], closing: usize, place: &Node) {
    const MAX_SHOWN: usize = 8;
    let shown = |index: usize| nodes[index].id.map_or_else(|| "?".to_owned(), |(_, place)| place.shown());
    // the path leads from reader to input, so events travel it backwards
    let mut names: Vec<String> =
        path.iter().map(|(index, _)| *index).skip_while(|index| *index != closing).map(shown).collect();
    names.push(shown(closing));
    names.reverse();
    if names.len() > MAX_SHOWN {
        names.splice(MAX_SHOWN - 1..names.len() - 1, ["…".to_owned()]);
    }
    let message = format!("events would go round in a cycle: `{}`", names.join("` → `"));
    reader.fault(place.span, Code::Cycle, message, "remove one of these inputs");
}
