//! Drafts of `flowctl/v2`: the chains that the registry finds, joined.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use flowctl_intent::{DiscoverIntent, NodeOptions};
use flowctl_registry::{ChainError, Registry, Target};
use flowctl_schema::Role;
use flowctl_types::{Code, NodeId, Tie, all_of, did_you_mean, one_of};

use super::Planner;
use super::draft::{Draft, Input, Place};
use super::join::{Shared, answers_to, join};
use crate::suggest::{Found, Part, SuggestError, Wish, full_text, resolve};

/// Whether an intent has no chain for want of components: with more of them it may have
/// one. A pipeline that names its nodes, or has other faults, is not in want.
#[must_use]
pub fn is_wanting(intent: &DiscoverIntent, registry: &Registry) -> bool {
    chains(intent, registry).1.iter().any(|fault| fault.error.is_for_want())
}

/// The tie that alone stands in the way of an intent: one of its chains as `via` decides it.
#[must_use]
pub fn tie(intent: &DiscoverIntent, registry: &Registry) -> Option<Tie> {
    match chains(intent, registry).1.as_slice() {
        [SuggestError { error: ChainError::Ambiguous { source_name, to, chains, has_more, .. }, .. }] => {
            Some(Tie { source: source_name.clone(), sink: to.clone(), chains: chains.clone(), has_more: *has_more })
        }
        _ => None,
    }
}

/// The chains that an intent asks for, and what stands in the way of the others.
fn chains<'a>(intent: &'a DiscoverIntent, registry: &'a Registry) -> (Vec<Found<'a>>, Vec<SuggestError>) {
    let mut faults = Vec::new();
    let mut targets = Vec::new();
    let mut configured: BTreeSet<&str> = intent.config.keys().map(NodeId::as_str).collect();
    for (index, name) in intent.to.iter().enumerate() {
        match registry.filtered(Role::Sink, name, &intent.where_) {
            Ok(sink) => {
                // what is configured by the sink's name is the sink
                configured.retain(|key| !answers_to(sink, key));
                targets.push((index, Target::Sink(sink)));
            }
            Err(error) => faults.push(SuggestError { part: Part::To(index), error }),
        }
    }
    let wish = Wish {
        from: &intent.from,
        to: &intent.to,
        via: &intent.via,
        filter: &intent.where_,
        configured,
        max_hops: Wish::MAX_HOPS,
    };
    let chains = resolve(&wish, registry, &targets, &mut faults);
    (chains, faults)
}

impl<'a> Planner<'a> {
    /// Drafts of the nodes on all chains; notes a fault for each part of the intent
    /// that has none.
    pub(super) fn discover(&mut self, intent: &'a DiscoverIntent) -> Vec<Draft<'a>> {
        let (chains, mut faults) = chains(intent, self.registry);
        let is_complete = faults.is_empty() && self.document.is_whole();
        if self.document.holes().any(decides_the_way) {
            faults.retain(|fault| !is_about_the_way(&fault.error));
        }
        for fault in faults {
            self.unfulfilled(&fault);
        }
        let nodes = join(&chains, intent.dead_letter.iter().map(|sink| sink.id.clone()).collect());
        self.check_keys("config", intent.config.keys(), &nodes, is_complete);
        self.check_keys("nodes", intent.nodes.keys(), &nodes, is_complete);
        nodes.iter().map(|node| draft(node, &nodes, intent)).collect()
    }

    fn unfulfilled(&mut self, fault: &SuggestError) {
        if self.is_explained(&fault.error) {
            return;
        }
        let mut path = fault.part.path();
        if let Part::From(_) = fault.part {
            let key = match fault.error {
                ChainError::Lookup(_) | ChainError::SourceType { .. } | ChainError::Filtered { .. } => "source",
                _ => "type",
            };
            // one mapping may stand in place of a list
            let alone = vec![path[0].clone()];
            if self.written_key(&alone, &[key]).is_some() {
                path = alone;
            }
            path.extend(self.written_key(&path, &[key]).map(str::to_owned));
        }
        self.fault(&path, fault.error.code(), full_text(&fault.error), fault.hint());
    }

    /// Notes keys that stand for no node, or for several. Where chains are missing,
    /// a key may be meant for a node of theirs.
    fn check_keys(
        &mut self,
        section: &str,
        keys: impl Iterator<Item = &'a NodeId>,
        nodes: &[Shared<'_>],
        is_complete: bool,
    ) {
        let ids: Vec<&str> = nodes.iter().map(|node| node.id.as_str()).collect();
        for key in keys.filter(|key| !ids.contains(&key.as_str())) {
            let meant: Vec<&Shared<'_>> = nodes.iter().filter(|node| node.answers_to(key.as_str())).collect();
            let path = [section.to_owned(), key.to_string()];
            if meant.is_empty() {
                let is_known = self.registry.entries().any(|entry| answers_to(entry, key.as_str()));
                if is_complete || !is_known {
                    let near = did_you_mean(key.as_str(), ids.iter().copied());
                    let hint = near.or_else(|| is_complete.then(|| format!("the nodes are {}", all_of(&ids))));
                    self.fault(&path, Code::UnknownNode, format!("no node is called `{key}`"), hint);
                }
            } else if is_split(&meant) {
                let ids: Vec<&str> = meant.iter().map(|node| node.id.as_str()).collect();
                let hint = Some(format!("write {}", one_of(&ids)));
                self.fault(&path, Code::AmbiguousComponent, format!("`{key}` stands for several nodes"), hint);
            }
        }
    }
}

/// Whether a hole in this part of `spec` leaves it open which chain is meant. A key that
/// means nothing may have been meant for one that does.
fn decides_the_way(key: &str) -> bool {
    let others =
        ["from", "to", "config", "nodes", "types", "dead_letter", "limits", "batch", "queue", "checkpoint", "retry"];
    !others.contains(&key)
}

/// Whether an error is about the way between two ends, not about an end.
const fn is_about_the_way(error: &ChainError) -> bool {
    !matches!(
        error,
        ChainError::Lookup(_)
            | ChainError::UnknownType { .. }
            | ChainError::SourceType { .. }
            | ChainError::Filtered { .. }
            | ChainError::TooMany { .. }
    )
}

fn draft<'a>(node: &Shared<'a>, nodes: &[Shared<'a>], intent: &'a DiscoverIntent) -> Draft<'a> {
    let config = said_of(&intent.config, node, nodes);
    let options = said_of(&intent.nodes, node, nodes);
    let place = Place::Discovered {
        part: node.part,
        config: config.map_or(&node.id, |(key, _)| key).to_string(),
        options: options.map_or(&node.id, |(key, _)| key).to_string(),
    };
    let inputs = node.inputs.iter().enumerate().map(|(index, (from, only))| Input {
        from: *from,
        only: only.as_ref().map(|types| types.iter().cloned().collect()),
        index,
    });
    Draft {
        id: node.id.clone(),
        entry: Cow::Borrowed(node.entry),
        command: None,
        inputs: inputs.collect(),
        config: config.map(|(_, config)| config),
        options: options.map_or_else(NodeOptions::default, |(_, options)| options.clone()),
        wanted: node.wanted,
        place,
    }
}

/// What a section says of a node: by its id, else by its component's name or kind, where that
/// does not also stand for a node of another role.
fn said_of<'a, T>(
    section: &'a BTreeMap<NodeId, T>,
    node: &Shared<'_>,
    nodes: &[Shared<'_>],
) -> Option<(&'a NodeId, &'a T)> {
    section.get_key_value(&node.id).or_else(|| {
        let mut answered = section.iter().filter(|(key, _)| node.answers_to(key.as_str()));
        answered.find(|(key, _)| {
            let meant: Vec<&Shared<'_>> = nodes.iter().filter(|node| node.answers_to(key.as_str())).collect();
            !is_split(&meant)
        })
    })
}

fn is_split(nodes: &[&Shared<'_>]) -> bool {
    nodes.iter().any(|node| node.entry.role != nodes[0].entry.role)
}
