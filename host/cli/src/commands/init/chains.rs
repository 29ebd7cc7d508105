//! The chains between a source and a sink that one can choose from.
//!
//! Discovery knows the shortest one. Here each processor is asked for once, so that longer
//! ones are found too. Invariant: every chain is one that discovery finds, and naming its
//! processors in `via` gives exactly that chain.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Error, Result, anyhow};
use flowctl_intent::Endpoint;
use flowctl_registry::{ChainError, Entry, Registry, arrows};
use flowctl_schema::Role;
use flowctl_topology::{SuggestError, Wish, suggest};
use flowctl_types::EventType;

use crate::report::Hinted;

/// Most chains that are offered.
const MAX_CHAINS: usize = 40;

/// Between what chains are looked for.
pub(super) struct Ends<'a> {
    pub(super) registry: &'a Registry,
    pub(super) from: &'a EventType,
    pub(super) source: &'a Entry,
    pub(super) sink: &'a Entry,
}

impl<'a> Ends<'a> {
    /// The one chain through these processors.
    ///
    /// # Errors
    ///
    /// Why there is none, or not one alone.
    pub(super) fn one(&self, via: &[String]) -> Result<Vec<&'a Entry>> {
        match self.found(via) {
            Ok(mut chains) if chains.len() == 1 => Ok(chains.swap_remove(0)),
            Ok(chains) => Err(self.several(&chains)),
            Err(error) => Err(error),
        }
    }

    /// Every chain, shortest first; at least one.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(super) fn all(&self) -> Result<Vec<Vec<&'a Entry>>> {
        let shortest = self.found(&[]);
        let processors = self.registry.entries().filter(|entry| entry.role == Role::Processor);
        let through: Vec<Vec<&Entry>> =
            processors.filter_map(|entry| self.found(std::slice::from_ref(&entry.name)).ok()).flatten().collect();
        if through.is_empty() {
            return shortest;
        }
        let mut chains: Vec<Vec<&Entry>> = shortest.into_iter().flatten().chain(through).collect();
        chains.sort_by_key(|chain| (chain.len(), names(chain)));
        chains.dedup_by_key(|chain| names(chain));
        chains.truncate(MAX_CHAINS);
        Ok(chains)
    }

    /// The shortest chains through these processors, of which there may be several.
    fn found(&self, via: &[String]) -> Result<Vec<Vec<&'a Entry>>> {
        let from = [Endpoint { event_type: self.from.clone(), source: Some(self.source.name.clone()) }];
        let to = [self.sink.name.clone()];
        let filter = BTreeMap::new();
        let wish =
            Wish { from: &from, to: &to, via, filter: &filter, configured: BTreeSet::new(), max_hops: Wish::MAX_HOPS };
        let chains = suggest(&wish, self.registry);
        match chains {
            Ok(chains) => Ok(chains.0.into_iter().map(|(_, processors)| processors).collect()),
            Err(faults) => match faults.as_slice() {
                [SuggestError { error: ChainError::Ambiguous { chains, .. }, .. }] => {
                    let entry = |name: &String| self.registry.find_component(Role::Processor, name);
                    let entries = |chain: &Vec<String>| chain.iter().map(entry).collect::<Result<Vec<_>, _>>();
                    Ok(chains.iter().map(entries).collect::<Result<_, _>>()?)
                }
                faults => Err(error_of(faults)),
            },
        }
    }

    fn several(&self, chains: &[Vec<&Entry>]) -> Error {
        let line = |chain: &Vec<&Entry>| {
            let along = [self.source].into_iter().chain(chain.iter().copied()).chain([self.sink]);
            format!("\n  {}", arrows(&along.map(|entry| entry.name.as_str()).collect::<Vec<_>>()))
        };
        let flags: Vec<String> = chains.first().map_or_else(Vec::new, |chain| names(chain));
        let flags: Vec<String> = flags.iter().map(|name| format!("--via {name}")).collect();
        Hinted::error(
            format!("{} chains are equally short:{}", chains.len(), chains.iter().map(line).collect::<String>()),
            format!("choose one, such as `{}`", flags.join(" ")),
        )
    }
}

/// The names of a chain's processors.
pub(super) fn names(chain: &[&Entry]) -> Vec<String> {
    chain.iter().map(|entry| entry.name.clone()).collect()
}

fn error_of(faults: &[SuggestError]) -> Error {
    let text = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\nerror: ");
    match faults.iter().find_map(SuggestError::command_line_hint) {
        Some(hint) => Hinted::error(text, hint),
        None => anyhow!(text),
    }
}
