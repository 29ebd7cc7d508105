//! Which listed processors lie on the way from one event type to another.
//!
//! Invariant: types are compared by name, as annotations have nothing else. What is found
//! here has to be pulled before a plan can be made, and the plan decides by contracts.

use std::collections::HashMap;

use flowctl_schema::Role;
use flowctl_types::EventType;

use crate::index::{Listed, PluginIndex};

/// Longest chain, whatever the caller says.
const LONGEST: usize = 64;

/// A processor: the types that it takes, and those that it gives.
struct Processor<'a> {
    inputs: &'a [EventType],
    outputs: &'a [EventType],
}

/// The search's numbers: how many hops from the start types and processors are.
struct Hops<'a> {
    types: HashMap<&'a EventType, usize>,
    processors: Vec<Option<usize>>,
}

impl PluginIndex {
    /// The listed processors on any shortest chain from one of the types `from` to a type that
    /// `is_end` accepts, in the order of their references. `known` are processors that are
    /// here, types in and types out: chains go through them too.
    ///
    /// None where a type of `from` is an end itself, where no chain of at most `max_hops`
    /// processors exists, or where known ones are all that is needed. Of each repository the
    /// newest release counts, or the newest entry where there is no release. `max_hops` is
    /// cut at 64.
    #[must_use]
    pub fn between(
        &self,
        from: &[EventType],
        is_end: &dyn Fn(&EventType) -> bool,
        known: &[(Vec<EventType>, Vec<EventType>)],
        max_hops: usize,
    ) -> Vec<&Listed> {
        let newest = self.repositories().filter_map(|tags| {
            let processors = tags.iter().filter(|listed| listed.facts().role == Role::Processor);
            processors.min_by(|a, b| a.most_wanted_first(b))
        });
        let newest: Vec<&Listed> = newest.collect();
        let listed = newest.iter().map(|listed| {
            let facts = listed.facts();
            Processor { inputs: &facts.inputs, outputs: &facts.outputs }
        });
        let known = known.iter().map(|(inputs, outputs)| Processor { inputs, outputs });
        let processors: Vec<Processor<'_>> = listed.chain(known).collect();
        let Some((ends, hops)) = walk(&processors, from, is_end, max_hops.min(LONGEST)) else { return Vec::new() };
        let on_chain = trace(&processors, ends, &hops);
        // those that are listed come first
        newest.into_iter().zip(on_chain).filter(|(_, is_on_chain)| *is_on_chain).map(|(listed, _)| listed).collect()
    }
}

/// Numbers types and processors by their hops from `from`, until a hop reaches ends: answers
/// with these.
fn walk<'a>(
    processors: &[Processor<'a>],
    from: &'a [EventType],
    is_end: &dyn Fn(&EventType) -> bool,
    max_hops: usize,
) -> Option<(Vec<&'a EventType>, Hops<'a>)> {
    let mut readers: HashMap<&EventType, Vec<usize>> = HashMap::new();
    for (at, processor) in processors.iter().enumerate() {
        for input in processor.inputs {
            readers.entry(input).or_default().push(at);
        }
    }
    let mut hops = Hops { types: HashMap::new(), processors: vec![None; processors.len()] };
    let mut frontier: Vec<&EventType> = from.iter().collect();
    hops.types.extend(frontier.iter().map(|event_type| (*event_type, 0)));
    for hop in 1..=max_hops + 1 {
        let ends: Vec<&EventType> = frontier.iter().copied().filter(|event_type| is_end(event_type)).collect();
        if !ends.is_empty() {
            return Some((ends, hops));
        }
        let mut next = Vec::new();
        for at in frontier.iter().filter_map(|event_type| readers.get(event_type)).flatten() {
            if hops.processors[*at].is_some() {
                continue;
            }
            hops.processors[*at] = Some(hop);
            for output in processors[*at].outputs {
                if !hops.types.contains_key(output) {
                    hops.types.insert(output, hop);
                    next.push(output);
                }
            }
        }
        frontier = next;
    }
    None
}

/// Marks the processors on chains to `ends`, hop by hop backwards.
fn trace<'a>(processors: &[Processor<'a>], ends: Vec<&'a EventType>, hops: &Hops<'a>) -> Vec<bool> {
    let mut emitters: HashMap<&EventType, Vec<usize>> = HashMap::new();
    for (at, processor) in processors.iter().enumerate().filter(|(at, _)| hops.processors[*at].is_some()) {
        for output in processor.outputs {
            emitters.entry(output).or_default().push(at);
        }
    }
    let mut on_chain = vec![false; processors.len()];
    let mut wanted = ends;
    while let Some(event_type) = wanted.pop() {
        let hop = hops.types[event_type];
        for at in emitters.get(event_type).into_iter().flatten().filter(|at| hops.processors[**at] == Some(hop)) {
            if hop == 0 || on_chain[*at] {
                continue;
            }
            on_chain[*at] = true;
            let before = processors[*at].inputs.iter();
            wanted.extend(before.filter(|input| hops.types.get(input) == Some(&(hop - 1))));
        }
    }
    on_chain
}
