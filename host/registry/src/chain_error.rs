//! Why there is no chain, and what to do about it.

use flowctl_schema::Mismatch;
use flowctl_types::{Code, EventType, all_of, one_of};

use crate::LookupError;

/// Why there is no chain, or not one alone.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// A name stands for no entry.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// No entry emits or reads the type, and it is not well known.
    #[error("unknown event type `{event_type}`")]
    UnknownType {
        /// As it was written.
        event_type: EventType,
        /// Names that are near, nearest first.
        nearest: Vec<String>,
    },
    /// The type is known, but no source emits it.
    #[error("no source emits `{event_type}`")]
    NoSource {
        /// The type.
        event_type: EventType,
        /// Sources that emit it when they are configured to.
        configurable: Vec<String>,
        /// The types that sources emit by themselves.
        emitted: Vec<String>,
    },
    /// Only live sources that are unhealthy emit the type.
    #[error("no source emits `{event_type}`: {} would do and is unhealthy", one_of(unhealthy))]
    UnhealthySource {
        /// The type.
        event_type: EventType,
        /// Their names.
        unhealthy: Vec<String>,
    },
    /// The source that was named emits other types.
    #[error("source `{source_name}` emits {}, not `{event_type}`", all_of(emits))]
    SourceType {
        /// The source.
        source_name: String,
        /// The type that was asked for.
        event_type: EventType,
        /// What it emits.
        emits: Vec<String>,
    },
    /// Several sources emit the type.
    #[error("several sources emit `{event_type}`: {}", candidates.join(", "))]
    AmbiguousSource {
        /// The type.
        event_type: EventType,
        /// Their names.
        candidates: Vec<String>,
    },
    /// An entry that was named contradicts a filter.
    #[error("`{name}` has `{key}: {found}`, but `where:` asks for `{wanted}`")]
    Filtered {
        /// The entry.
        name: String,
        /// The key of its metadata.
        key: String,
        /// Its value.
        found: String,
        /// The value that was asked for.
        wanted: String,
    },
    /// Several chains are shortest.
    #[error("{}", ambiguous_text(from, source_name, to, chains, *has_more))]
    Ambiguous {
        /// The source's name.
        source_name: String,
        /// What the source emits.
        from: EventType,
        /// The sink.
        to: String,
        /// The names of their processors; at most ten chains.
        chains: Vec<Vec<String>>,
        /// Whether there are more than those listed.
        has_more: bool,
    },
    /// A chain would exist if two components agreed about a type.
    #[error("`{emitter}` and `{receiver}` disagree about `{event_type}`")]
    Structure {
        /// What emits the type.
        emitter: String,
        /// What reads it.
        receiver: String,
        /// The type.
        event_type: EventType,
        /// Where they differ.
        #[source]
        source: Box<Mismatch>,
    },
    /// A chain exists only through what a filter excludes.
    #[error("no chain from `{from}` to `{to}` within {max_hops} hops where {filter}")]
    Excluded {
        /// What the source emits.
        from: EventType,
        /// The sink.
        to: String,
        /// Most processors in a chain.
        max_hops: usize,
        /// The filter, in words.
        filter: Box<str>,
        /// A chain that it excludes, both ends included.
        chain: Vec<String>,
        /// The processors on that chain which contradict it.
        excluded: Vec<String>,
    },
    /// A chain exists only through live components that are unhealthy.
    #[error("no chain from `{from}` to `{to}` within {max_hops} hops: {} would do and {} unhealthy",
        all_of(unhealthy), if unhealthy.len() == 1 { "is" } else { "are" })]
    Unhealthy {
        /// What the source emits.
        from: EventType,
        /// The sink.
        to: String,
        /// Most processors in a chain.
        max_hops: usize,
        /// Their names.
        unhealthy: Vec<String>,
    },
    /// A chain exists, but none through the processors that were asked for.
    #[error("no chain from `{from}` to `{to}` within {max_hops} hops goes through {}", all_of(via))]
    Via {
        /// What the source emits.
        from: EventType,
        /// The sink.
        to: String,
        /// Most processors in a chain.
        max_hops: usize,
        /// The processors asked for, in order.
        via: Vec<String>,
        /// The shortest chain without them, both ends included.
        chain: Vec<String>,
    },
    /// More pairs of a source and a sink than are searched.
    #[error("{n_chains} chains are asked for, more than {limit}")]
    TooMany {
        /// The pairs asked for.
        n_chains: usize,
        /// How many there may be.
        limit: usize,
    },
    /// Both ends are known, but nothing links them.
    #[error("no chain from `{from}` to `{to}` within {max_hops} hops")]
    Unreachable {
        /// What the source emits.
        from: EventType,
        /// The sink.
        to: String,
        /// Most processors in a chain.
        max_hops: usize,
        /// What the sink takes, in words.
        takes: String,
    },
}

/// How what is wanted was said, and so how hints say what to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wording {
    /// In a pipeline file: `from:`, `via:`, `where:`.
    File,
    /// On a command line: `--source`, `--via`, `--where`.
    CommandLine,
}

impl Wording {
    fn source(self, event_type: &EventType, source: &str) -> String {
        match self {
            Self::File => format!("`from: {{type: {event_type}, source: {source}}}`"),
            Self::CommandLine => format!("`--source {source}`"),
        }
    }

    fn via(self, processor: &str) -> String {
        match self {
            Self::File => format!("`via: [{processor}]`"),
            Self::CommandLine => format!("`--via {processor}`"),
        }
    }

    const fn filter(self) -> &'static str {
        match self {
            Self::File => "`where:`",
            Self::CommandLine => "`--where`",
        }
    }
}

impl ChainError {
    /// Its code.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::Lookup(error) => error.code(),
            Self::UnknownType { .. } => Code::UnknownEventType,
            Self::NoSource { .. } | Self::SourceType { .. } => Code::NoSource,
            Self::UnhealthySource { .. } | Self::Unhealthy { .. } => Code::UnhealthyComponent,
            Self::AmbiguousSource { .. } => Code::AmbiguousSource,
            Self::Ambiguous { .. } => Code::AmbiguousChain,
            Self::Structure { .. } => Code::TypesDiffer,
            Self::Filtered { .. } | Self::Excluded { .. } | Self::Via { .. } | Self::Unreachable { .. } => {
                Code::NoChain
            }
            Self::TooMany { .. } => Code::TooLarge,
        }
    }

    /// Whether more components could help: something is unknown, or nothing leads there.
    #[must_use]
    pub const fn is_for_want(&self) -> bool {
        match self {
            Self::Lookup(error) => {
                matches!(error, LookupError::Unknown { .. } | LookupError::Version { .. } | LookupError::Remote { .. })
            }
            Self::UnknownType { .. }
            | Self::NoSource { .. }
            | Self::UnhealthySource { .. }
            | Self::Unhealthy { .. }
            | Self::Excluded { .. }
            | Self::Via { .. }
            | Self::Unreachable { .. } => true,
            _ => false,
        }
    }

    /// What to do about it, where that is known, in the words of a pipeline file.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        self.hint_in(Wording::File)
    }

    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint_in(&self, wording: Wording) -> Option<String> {
        match self {
            Self::Lookup(error) => error.hint(),
            Self::UnknownType { nearest, .. } if nearest.is_empty() => Some(
                "`--plugins DIR` makes the types of plugins known, `types: FILE` in the pipeline those of WIT text"
                    .to_owned(),
            ),
            Self::UnknownType { nearest, .. } => Some(format!("did you mean {}?", one_of(nearest))),
            Self::NoSource { configurable, emitted, .. } if configurable.is_empty() => {
                (!emitted.is_empty()).then(|| format!("sources emit {}", all_of(emitted)))
            }
            Self::NoSource { event_type, configurable, .. } => {
                let source = wording.source(event_type, configurable.first()?);
                Some(format!("{} can be made to: write {source}", one_of(configurable)))
            }
            Self::UnhealthySource { event_type, unhealthy } => {
                let source = wording.source(event_type, unhealthy.first()?);
                Some(format!("start it anew, or use it as it is: write {source}"))
            }
            Self::Unhealthy { unhealthy, .. } => {
                let via = wording.via(unhealthy.first()?);
                Some(format!("start it anew, or use it as it is: write {via}"))
            }
            Self::SourceType { .. } | Self::Filtered { .. } => None,
            Self::TooMany { .. } => Some("ask for fewer types or sinks at once".to_owned()),
            Self::AmbiguousSource { event_type, candidates } => {
                Some(format!("choose one: write {}", wording.source(event_type, candidates.first()?)))
            }
            Self::Ambiguous { chains, .. } => {
                let first = chains.first()?;
                let own = first.iter().find(|name| !chains[1..].iter().any(|chain| chain.contains(name)));
                let name = own.or(first.last())?;
                let (via, filter) = (wording.via(name), wording.filter());
                Some(format!("choose one with {via}, or with {filter} if their metadata differ"))
            }
            Self::Structure { emitter, receiver, .. } => {
                Some(format!("build `{emitter}` and `{receiver}` against one version of the type's WIT package"))
            }
            Self::Excluded { chain, excluded, .. } => {
                let filter = wording.filter();
                Some(format!("{filter} excludes {}; without it there is {}", all_of(excluded), arrows(chain)))
            }
            Self::Via { chain, .. } if wording == Wording::File => {
                Some(format!("without `via:` there is {}", arrows(chain)))
            }
            Self::Via { chain, .. } => Some(format!("without `--via` there is {}", arrows(chain))),
            Self::Unreachable { to, takes, .. } => {
                let more = "`--plugins DIR` makes more processors known";
                let is_type = takes.trim_matches('`') == to;
                Some(if is_type { more.to_owned() } else { format!("`{to}` takes {takes}; {more}") })
            }
        }
    }
}

/// The names of a chain with arrows between them: `a → b`.
#[must_use]
pub fn arrows<T: AsRef<str>>(names: &[T]) -> String {
    names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" → ")
}

fn ambiguous_text(from: &EventType, source: &str, to: &str, chains: &[Vec<String>], has_more: bool) -> String {
    let count = if has_more { format!("more than {}", chains.len()) } else { chains.len().to_string() };
    let mut text = format!("{count} chains from `{from}` to `{to}` are equally short:");
    for chain in chains {
        text.push_str("\n  ");
        let along = [source].into_iter().chain(chain.iter().map(String::as_str)).chain([to]);
        text.push_str(&arrows(&along.collect::<Vec<_>>()));
    }
    text
}
