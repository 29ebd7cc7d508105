//! From "this type, to that sink" to chains of components.
//!
//! Planning a `flowctl/v2` file and `flowctl topology suggest` ask the same question
//! here. Invariant: every fault of the wish is reported, each with the part of the
//! wish that it concerns.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use flowctl_intent::Endpoint;
use flowctl_registry::{
    ChainError, ChainQuery, Entry, MAX_HOPS, Registry, SourceQuery, Target, Wording, arrows, less_version,
};
use flowctl_schema::{Role, Schema};
use flowctl_types::{EventType, Reference};

/// Most pairs of `from` and `to` in one wish.
const MAX_CHAINS: usize = 1_000;

/// What is wanted, before anything is found.
#[derive(Debug, Clone)]
pub struct Wish<'a> {
    /// The types to start from, and perhaps their sources.
    pub from: &'a [Endpoint],
    /// Sinks by name or kind. [`suggest`] takes event types too.
    pub to: &'a [String],
    /// Processors to pass through, in this order.
    pub via: &'a [String],
    /// Metadata that no component may contradict.
    pub filter: &'a BTreeMap<String, String>,
    /// Names that the wish configures: sources such as `file` count only when they are
    /// named here or in `from`, and of several that emit a type these are meant.
    pub configured: BTreeSet<&'a str>,
    /// Most processors in a chain.
    pub max_hops: usize,
}

/// The part of a wish that a fault concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// An entry of `from`.
    From(usize),
    /// An entry of `to`.
    To(usize),
    /// An entry of `via`.
    Via(usize),
}

/// Why a wish has no chain.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{}", full_text(error))]
pub struct SuggestError {
    /// The part that it concerns.
    pub part: Part,
    /// What is wrong with it.
    #[source]
    pub error: ChainError,
}

/// One chain, end to end.
#[derive(Debug, Clone, Copy)]
pub struct Link<'a> {
    /// Where events come from.
    pub source: &'a Entry,
    /// The type that the source is asked for.
    pub emitted: &'a Schema,
    /// Where they go.
    pub to: Target<'a>,
}

/// Chains, each with the processors between its ends.
///
/// `Display` prints one line a chain: `Chain found: a → b → c`, each named as the node that
/// it is in a pipeline: without its `-vN`.
#[derive(Debug, Clone)]
pub struct Chains<'a>(pub Vec<(Link<'a>, Vec<&'a Entry>)>);

/// A chain, and the entries of `from` and `to` that it is for.
pub(crate) struct Found<'a> {
    pub(crate) link: Link<'a>,
    pub(crate) processors: Vec<&'a Entry>,
    pub(crate) from: usize,
    pub(crate) to: usize,
}

impl Wish<'_> {
    /// The bound on a chain's length where nobody says otherwise.
    pub const MAX_HOPS: usize = MAX_HOPS;
}

impl Part {
    /// The path to it below `spec`.
    pub(crate) fn path(self) -> Vec<String> {
        let (key, index) = match self {
            Self::From(index) => ("from", index),
            Self::To(index) => ("to", index),
            Self::Via(index) => ("via", index),
        };
        vec![key.to_owned(), index.to_string()]
    }
}

impl SuggestError {
    /// What to do about it, where that is known, in the words of a pipeline file.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        self.error.hint()
    }

    /// What to do about it, where that is known, in the words of `topology suggest`.
    #[must_use]
    pub fn command_line_hint(&self) -> Option<String> {
        self.error.hint_in(Wording::CommandLine)
    }
}

impl Chains<'_> {
    /// The names along each chain, source and end included. Where a chain ends at a
    /// type, the last name is that of the last component.
    #[must_use]
    pub fn names(&self) -> Vec<Vec<&str>> {
        self.0
            .iter()
            .map(|(link, processors)| {
                let mut along = vec![link.source.name.as_str()];
                along.extend(processors.iter().map(|entry| entry.name.as_str()));
                if let Target::Sink(sink) = link.to {
                    along.push(&sink.name);
                }
                along
            })
            .collect()
    }
}

impl fmt::Display for Chains<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, names) in self.names().iter().enumerate() {
            let newline = if index > 0 { "\n" } else { "" };
            let nodes: Vec<&str> = names.iter().map(|name| less_version(name)).collect();
            write!(f, "{newline}Chain found: {}", arrows(&nodes))?;
        }
        Ok(())
    }
}

/// Finds the chain for each pair of `from` and `to`.
///
/// # Errors
///
/// Every fault of the wish, in its order.
pub fn suggest<'a>(wish: &Wish<'_>, registry: &'a Registry) -> Result<Chains<'a>, Vec<SuggestError>> {
    // only in this place may a chain end at a type: a pipeline needs a sink
    let types: Vec<Option<EventType>> = wish.to.iter().map(|name| name.parse().ok()).collect();
    let mut faults = Vec::new();
    let mut targets = Vec::new();
    for (index, (name, event_type)) in wish.to.iter().zip(&types).enumerate() {
        let target = match event_type {
            Some(event_type) => registry.event_type(event_type).map(|known| Target::Type(known.event_type())),
            None => registry.filtered(Role::Sink, name, wish.filter).map(Target::Sink),
        };
        match target {
            Ok(target) => targets.push((index, target)),
            Err(error) => faults.push(SuggestError { part: Part::To(index), error }),
        }
    }
    let chains = resolve(wish, registry, &targets, &mut faults);
    faults.sort_by_key(|fault| fault.part);
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(Chains(chains.into_iter().map(|found| (found.link, found.processors)).collect()))
}

/// Finds the sources and the chains from each of them to each of `targets`; notes
/// every fault.
pub(crate) fn resolve<'a>(
    wish: &Wish<'_>,
    registry: &'a Registry,
    targets: &[(usize, Target<'a>)],
    faults: &mut Vec<SuggestError>,
) -> Vec<Found<'a>> {
    let n_before = faults.len();
    let mut via = Vec::new();
    for (index, name) in wish.via.iter().enumerate() {
        match find_via(wish, registry, name) {
            Ok(entry) => via.push(entry),
            Err(error) => faults.push(SuggestError { part: Part::Via(index), error }),
        }
    }
    let is_via_known = faults.len() == n_before;
    let n_chains = wish.from.len().saturating_mul(wish.to.len());
    if n_chains > MAX_CHAINS {
        faults.push(SuggestError { part: Part::To(0), error: ChainError::TooMany { n_chains, limit: MAX_CHAINS } });
        return Vec::new();
    }
    // a source that an entry of `from` names is configured for that entry, not for others
    let bound: BTreeSet<&str> = wish
        .from
        .iter()
        .filter_map(|endpoint| registry.find(Role::Source, endpoint.source.as_deref()?).ok())
        .map(|source| source.name.as_str())
        .collect();
    let configured = wish.configured.difference(&bound).copied().collect();
    let mut chains = Vec::new();
    for (from, endpoint) in wish.from.iter().enumerate() {
        let query = SourceQuery {
            event_type: &endpoint.event_type,
            source: endpoint.source.as_deref(),
            filter: wish.filter,
            configured: &configured,
        };
        let (source, emitted) = match registry.source(&query) {
            Ok(found) => found,
            Err(error) => {
                faults.push(SuggestError { part: Part::From(from), error });
                continue;
            }
        };
        if !is_via_known {
            continue;
        }
        for (index, to) in targets {
            let query =
                ChainQuery { from: emitted, source, to: *to, via: &via, filter: wish.filter, max_hops: wish.max_hops };
            match registry.chain(&query) {
                Ok(processors) => {
                    let link = Link { source, emitted, to: *to };
                    chains.push(Found { link, processors, from, to: *index });
                }
                Err(error) => faults.push(SuggestError { part: Part::To(*index), error }),
            }
        }
    }
    chains
}

/// The text of an error and of what caused it.
pub(crate) fn full_text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn find_via<'a>(wish: &Wish<'_>, registry: &'a Registry, name: &str) -> Result<&'a Entry, ChainError> {
    let entry = match name.parse::<Reference>() {
        Ok(Reference::Name { .. }) | Err(_) => registry.find_component(Role::Processor, name)?,
        Ok(reference) => registry.find_reference(Role::Processor, &reference)?,
    };
    Registry::check_filter(entry, wish.filter)?;
    Ok(entry)
}
