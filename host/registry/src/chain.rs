//! The ends of a chain and what lies between them, or why there is none.
//!
//! Each question is one method, so that a caller can ask all of them and report
//! every fault. Invariant: when a search fails, the reason given was tried: what is
//! said to stand in the way is on a chain that would exist without it.

use std::collections::{BTreeMap, BTreeSet};

use flowctl_schema::{Role, Schema};
use flowctl_types::{EventType, all_of};

use crate::graph::Link;
use crate::search::{Candidates, Found, Search};
use crate::{Accepts, ChainError, Emits, Entry, LookupError, Refusal, Registry, kind, less_version};

/// Most processors in a chain, unless the caller says otherwise.
pub const MAX_HOPS: usize = 8;

/// Most processors in a chain, whatever the caller says.
const LONGEST: usize = 64;

/// Most chains that an ambiguity lists.
const MAX_CHAINS: usize = 10;

/// Which source is wanted.
#[derive(Debug, Clone, Copy)]
pub struct SourceQuery<'a> {
    /// The type that it must emit.
    pub event_type: &'a EventType,
    /// Its name or kind; none = the only one that emits the type.
    pub source: Option<&'a str>,
    /// Metadata that it must not contradict.
    pub filter: &'a BTreeMap<String, String>,
    /// What the pipeline configures, by name or kind: these sources are meant although
    /// nobody named them, those without a type of their own included.
    pub configured: &'a BTreeSet<&'a str>,
}

/// Which processors are wanted between a source and a sink.
#[derive(Debug, Clone, Copy)]
pub struct ChainQuery<'a> {
    /// What the source emits.
    pub from: &'a Schema,
    /// The source.
    pub source: &'a Entry,
    /// Where the chain ends.
    pub to: Target<'a>,
    /// Processors to pass through, in this order.
    pub via: &'a [&'a Entry],
    /// Metadata that no processor may contradict.
    pub filter: &'a BTreeMap<String, String>,
    /// Most processors; 64 where it is more.
    pub max_hops: usize,
}

/// Where a chain ends.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// At a sink.
    Sink(&'a Entry),
    /// At the first processor that emits the type.
    Type(&'a EventType),
}

impl<'a> Target<'a> {
    /// The sink's name, or the type's.
    #[must_use]
    pub fn name(&self) -> &'a str {
        match self {
            Self::Sink(sink) => &sink.name,
            Self::Type(event_type) => event_type.as_str(),
        }
    }

    const fn sink(&self) -> Option<&'a Entry> {
        match self {
            Self::Sink(sink) => Some(*sink),
            Self::Type(_) => None,
        }
    }

    /// What it takes, in words.
    fn takes(&self) -> String {
        match self.sink().map(|sink| &sink.accepts) {
            None => format!("`{}`", self.name()),
            Some(Accepts::Any) => "any type".to_owned(),
            Some(Accepts::AnyRecord) => "any type but opaque ones".to_owned(),
            Some(Accepts::Nothing) => "nothing".to_owned(),
            Some(Accepts::Types(types)) => {
                all_of(&types.iter().map(|schema| schema.event_type().as_str()).collect::<Vec<_>>())
            }
        }
    }
}

impl Registry {
    /// The source that a pipeline means, and the structure of the type it emits.
    ///
    /// Where several emit the type, those that the pipeline configures are meant; where
    /// it configures none of them, those that run in other processes; where there is none,
    /// those that run as they are. One that is unhealthy must be named.
    ///
    /// # Errors
    ///
    /// [`ChainError`] where none emits the type, or several of those that are meant do.
    pub fn source(&self, query: &SourceQuery<'_>) -> Result<(&Entry, &Schema), ChainError> {
        let known = self.event_type(query.event_type)?;
        if let Some(name) = query.source {
            let entry = self.find(Role::Source, name)?;
            Self::check_filter(entry, query.filter)?;
            return Ok((entry, emitted(entry, query.event_type, known)?));
        }
        let emits = |entry: &&Entry| match &entry.emits {
            Emits::Types(_) => entry.emits_type(query.event_type),
            Emits::Configured { .. } => query.configured.contains(entry.name.as_str()),
            Emits::Nothing => false,
        };
        let sources = || self.entries().filter(|entry| entry.role == Role::Source);
        let emitters = meant(sources().filter(emits).filter(|entry| entry.is_healthy()).collect(), query);
        let mut passing: Vec<&Entry> =
            emitters.iter().copied().filter(|entry| entry.contradicts(query.filter).is_none()).collect();
        // what emits the type whatever it is told comes before what has to be told
        if passing.iter().any(|entry| entry.emits_type(query.event_type)) {
            passing.retain(|entry| entry.emits_type(query.event_type));
        }
        match (passing.as_slice(), emitters.first()) {
            ([only], _) => Ok((self.unrivalled(only)?, emitted(only, query.event_type, known)?)),
            ([], Some(filtered)) => {
                Self::check_filter(filtered, query.filter)?;
                Ok((filtered, emitted(filtered, query.event_type, known)?))
            }
            ([], None) if sources().any(|entry| !entry.is_healthy() && emits(&entry)) => {
                let unhealthy = sources().filter(|entry| !entry.is_healthy() && emits(entry));
                Err(ChainError::UnhealthySource { event_type: query.event_type.clone(), unhealthy: names(unhealthy) })
            }
            ([], None) => Err(ChainError::NoSource {
                event_type: query.event_type.clone(),
                configurable: names(sources().filter(|entry| matches!(entry.emits, Emits::Configured { .. }))),
                emitted: {
                    let types =
                        sources().flat_map(|entry| entry.outputs()).map(|schema| schema.event_type().to_string());
                    types.collect::<BTreeSet<_>>().into_iter().collect()
                },
            }),
            (several, _) => Err(ChainError::AmbiguousSource {
                event_type: query.event_type.clone(),
                candidates: names(several.iter().copied()),
            }),
        }
    }

    /// Checks that no filter excludes an entry that was named.
    ///
    /// # Errors
    ///
    /// [`ChainError::Filtered`], naming the key.
    pub fn check_filter(entry: &Entry, filter: &BTreeMap<String, String>) -> Result<(), ChainError> {
        match entry.contradicts(filter) {
            None => Ok(()),
            Some((key, found)) => Err(ChainError::Filtered {
                name: entry.name.clone(),
                key: key.to_owned(),
                found: found.to_owned(),
                wanted: filter.get(key).cloned().unwrap_or_default(),
            }),
        }
    }

    /// The sink or the processor that a pipeline names, where no filter excludes it.
    ///
    /// # Errors
    ///
    /// [`ChainError::Lookup`] or [`ChainError::Filtered`].
    pub fn filtered(&self, role: Role, name: &str, filter: &BTreeMap<String, String>) -> Result<&Entry, ChainError> {
        let entry = self.find(role, name)?;
        Self::check_filter(entry, filter)?;
        Ok(entry)
    }

    /// The shortest chain of processors; empty where the sink takes what the source
    /// emits. A processor stands in it twice only where `via` asks for that.
    ///
    /// # Errors
    ///
    /// [`ChainError`] where several are shortest, or there is none: then it says what
    /// stands in the way, as far as one thing does.
    pub fn chain(&self, query: &ChainQuery<'_>) -> Result<Vec<&Entry>, ChainError> {
        let via: Vec<usize> = query.via.iter().filter_map(|entry| self.index_of(entry)).collect();
        let found = self.search(query, &via, query.filter, (Link::Fits, Candidates::Healthy));
        match found.chains.as_slice() {
            [only] => {
                // what `via` names was looked up, and may be one of two that pass for the same
                let found = only.iter().filter(|index| !via.contains(index));
                if let Some(conflict) = found.copied().find_map(|index| self.conflict_of(index)) {
                    return Err(LookupError::Conflict(Box::new(conflict.clone())).into());
                }
                Ok(only.iter().map(|index| &self.entries[*index]).collect())
            }
            [] => Err(self.why_none(query, &via)),
            several => Err(ChainError::Ambiguous {
                source_name: query.source.name.clone(),
                from: query.from.event_type().clone(),
                to: query.to.name().to_owned(),
                chains: several.iter().map(|chain| self.names_of(chain)).collect(),
                has_more: found.has_more,
            }),
        }
    }

    fn search(
        &self,
        query: &ChainQuery<'_>,
        via: &[usize],
        filter: &BTreeMap<String, String>,
        (follows, candidates): (Link, Candidates),
    ) -> Found {
        let is_end = |schema: &Schema| match query.to {
            Target::Type(event_type) => schema.event_type() == event_type,
            Target::Sink(sink) => match sink.takes(schema) {
                Ok(_) => true,
                Err(Refusal::Structure(_)) => follows == Link::Differs,
                Err(Refusal::Type | Refusal::Opaque) => false,
            },
        };
        Search {
            registry: self,
            from: query.from,
            source: query.source,
            is_end: &is_end,
            via,
            filter,
            max_hops: query.max_hops.min(LONGEST),
            follows,
            candidates,
            max_chains: MAX_CHAINS,
        }
        .run()
    }

    /// Searches again with one demand less, to learn which one is in the way.
    fn why_none(&self, query: &ChainQuery<'_>, via: &[usize]) -> ChainError {
        let (from, to) = (query.from.event_type().clone(), query.to.name().to_owned());
        let max_hops = query.max_hops.min(LONGEST);
        let healthy = |follows| (follows, Candidates::Healthy);
        if let Some(chain) = self.search(query, via, query.filter, healthy(Link::Differs)).chains.first()
            && let Some(error) = self.disagreement(query, chain)
        {
            return error;
        }
        let all = (Link::Fits, Candidates::All);
        if let Some(chain) = self.search(query, via, query.filter, all).chains.first() {
            let chosen = chain.iter().filter(|index| !via.contains(index)).map(|index| &self.entries[*index]);
            let unhealthy = names(chosen.filter(|entry| !entry.is_healthy()));
            return ChainError::Unhealthy { from, to, max_hops, unhealthy };
        }
        if let Some(chain) = self.search(query, via, &BTreeMap::new(), healthy(Link::Fits)).chains.first() {
            let contradicting = chain.iter().map(|index| &self.entries[*index]);
            let excluded = names(contradicting.filter(|entry| entry.contradicts(query.filter).is_some()));
            let (chain, filter) = (self.whole(query, chain), filter_text(query.filter));
            return ChainError::Excluded { from, to, max_hops, filter, chain, excluded };
        }
        if let Some(chain) = self.search(query, &[], query.filter, healthy(Link::Fits)).chains.first() {
            return ChainError::Via { from, to, max_hops, via: self.names_of(via), chain: self.whole(query, chain) };
        }
        ChainError::Unreachable { from, to, max_hops, takes: query.to.takes() }
    }

    /// The first link of a chain where names are equal and structures are not.
    fn disagreement(&self, query: &ChainQuery<'_>, chain: &[usize]) -> Option<ChainError> {
        let mut emitter = (query.source, std::slice::from_ref(query.from));
        // what runs in another process agrees with every structure
        let takes = |receiver: &Entry, emitter: &Entry, schema: &Schema| match receiver.takes(schema) {
            Err(Refusal::Structure(_)) if emitter.is_live() => Ok(()),
            taken => taken.map(drop),
        };
        let receivers = chain.iter().map(|index| &self.entries[*index]).chain(query.to.sink());
        for receiver in receivers {
            let refused = |schema| takes(receiver, emitter.0, schema).err();
            let refusals: Vec<Refusal> = emitter.1.iter().map_while(refused).collect();
            let mismatch = refusals.iter().find_map(|refusal| match refusal {
                Refusal::Structure(mismatch) => Some(mismatch.clone()),
                Refusal::Type | Refusal::Opaque => None,
            });
            if refusals.len() == emitter.1.len()
                && let Some(source) = mismatch
            {
                return Some(ChainError::Structure {
                    emitter: emitter.0.name.clone(),
                    receiver: receiver.name.clone(),
                    event_type: source.expected.clone(),
                    source: Box::new(source),
                });
            }
            emitter = (receiver, receiver.outputs());
        }
        None
    }

    /// The names along a chain, both ends included.
    fn whole(&self, query: &ChainQuery<'_>, chain: &[usize]) -> Vec<String> {
        let ends = (vec![query.source.name.clone()], vec![query.to.name().to_owned()]);
        [ends.0, self.names_of(chain), ends.1].concat()
    }

    fn names_of(&self, chain: &[usize]) -> Vec<String> {
        names(chain.iter().map(|index| &self.entries[*index]))
    }
}

/// Those of several sources that a pipeline means without naming one.
fn meant<'a>(mut emitters: Vec<&'a Entry>, query: &SourceQuery<'_>) -> Vec<&'a Entry> {
    let is_configured = |entry: &Entry| {
        let names = [entry.name.as_str(), less_version(&entry.name), kind(entry)];
        names.iter().any(|name| query.configured.contains(name))
    };
    let is_live = |entry: &Entry| entry.is_live() && entry.contradicts(query.filter).is_none();
    let runs_as_it_is = |entry: &Entry| entry.config.iter().all(|config| config.fields.iter().all(|f| f.is_optional));
    let ways: [&dyn Fn(&Entry) -> bool; 3] = [&is_configured, &is_live, &runs_as_it_is];
    if let Some(way) = ways.iter().find(|way| emitters.iter().any(|entry| way(entry))) {
        emitters.retain(|entry| way(entry));
    }
    emitters
}

fn names<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<String> {
    entries.map(|entry| entry.name.clone()).collect()
}

/// What a source emits under a type's name; a source that is configured takes the
/// structure that is known.
fn emitted<'a>(entry: &'a Entry, event_type: &EventType, known: &'a Schema) -> Result<&'a Schema, ChainError> {
    if matches!(entry.emits, Emits::Configured { .. }) {
        return Ok(known);
    }
    entry.outputs().iter().find(|schema| schema.event_type() == event_type).ok_or_else(|| ChainError::SourceType {
        source_name: entry.name.clone(),
        event_type: event_type.clone(),
        emits: entry.outputs().iter().map(|schema| schema.event_type().to_string()).collect(),
    })
}

fn filter_text(filter: &BTreeMap<String, String>) -> Box<str> {
    let filters: Vec<String> = filter.iter().map(|(key, value)| format!("`{key}: {value}`")).collect();
    filters.join(" and ").into()
}
