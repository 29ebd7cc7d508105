//! Why WIT text defines no usable types, and where in the text.

use std::fmt;

use flowctl_types::EventTypeError;
use wit_parser::{Resolve, ResolveErrorKind, SourceMap, Span};

use super::{MAX_NESTING, MAX_TEXT_BYTES};
use crate::TypeError;

/// Most characters of a line that a message shows.
const MAX_SHOWN: usize = 40;

/// A place in WIT text. Displays as `orders.wit:3:5`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitPlace {
    /// The name that the text was given with.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, in characters, from 1.
    pub column: usize,
}

/// Why WIT text defines no usable types.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WitError {
    /// The text is no WIT, or uses what is not there.
    #[error("{place}: {reason}")]
    Syntax {
        /// Where.
        place: WitPlace,
        /// What the parser says, and what stands there.
        reason: String,
    },
    /// A package that is used is not known.
    #[error("{place}: package `{package}` is not known")]
    Unknown {
        /// Where it is used.
        place: WitPlace,
        /// The package, with its version.
        package: String,
        /// The package that was probably meant, with its version.
        near: Option<String>,
    },
    /// The text is too long, or its brackets nest too deep.
    #[error("WIT text `{name}` is longer than {MAX_TEXT_BYTES} bytes or nests deeper than {MAX_NESTING}")]
    Limit {
        /// The name that the text was given with.
        name: String,
    },
    /// No package has an interface `event`.
    #[error("{place}: package `{package}` has no interface `event`, so it defines no event type")]
    NoEvent {
        /// Where the text begins.
        place: WitPlace,
        /// The package.
        package: String,
    },
    /// The package's name is none that event types map to.
    #[error("{place}: package `{package}` cannot define an event type")]
    Name {
        /// Where its interface `event` is.
        place: WitPlace,
        /// The package.
        package: String,
        /// Why not.
        #[source]
        source: EventTypeError,
    },
    /// A package with an interface `event` but no version.
    #[error("{place}: package `{package}` defines an event type but has no version: write `package {package}@1.0.0;`")]
    Version {
        /// Where its interface `event` is.
        place: WitPlace,
        /// The package.
        package: String,
    },
    /// An interface `event` of which no type stands out.
    #[error("{place}: interface `event` of `{package}` has no type `event`, and {found} that no other type uses")]
    Ambiguous {
        /// Where its interface `event` is.
        place: WitPlace,
        /// The package.
        package: String,
        /// The types that are not used by others.
        found: String,
    },
    /// A type that events and configurations cannot hold.
    #[error("{place}: type `{name}` of `{package}` cannot be used")]
    Type {
        /// Where the type is defined.
        place: WitPlace,
        /// The package.
        package: String,
        /// The type.
        name: String,
        /// Why not.
        #[source]
        source: Box<TypeError>,
    },
    /// The text of a configuration has no record of that name.
    #[error("the text has no record `config`")]
    NoConfig,
}

impl WitError {
    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Type { source, .. } => source.hint(),
            Self::Unknown { near: Some(near), .. } => Some(format!("did you mean `{near}`?")),
            Self::Unknown { .. } => {
                Some("list the file that defines it in `types` too, or put it into `deps/` of the folder".to_owned())
            }
            Self::NoEvent { .. } => Some("write `interface event { record name { … } }`".to_owned()),
            Self::Ambiguous { .. } => Some("name the one that is meant: `type event = name;`".to_owned()),
            Self::Limit { .. } => Some("split the text into packages".to_owned()),
            Self::Syntax { .. } | Self::Name { .. } | Self::Version { .. } | Self::NoConfig => None,
        }
    }

    /// Where it is, as far as that is one place.
    #[must_use]
    pub const fn place(&self) -> Option<&WitPlace> {
        match self {
            Self::Syntax { place, .. }
            | Self::Unknown { place, .. }
            | Self::NoEvent { place, .. }
            | Self::Name { place, .. }
            | Self::Version { place, .. }
            | Self::Ambiguous { place, .. }
            | Self::Type { place, .. } => Some(place),
            Self::Limit { .. } | Self::NoConfig => None,
        }
    }

    /// The error of a parser, on one line, with what stands at its place.
    pub(super) fn syntax(place: WitPlace, message: &str, files: &[(&str, &str)]) -> Self {
        let reason = message.split('\n').map(str::trim).collect::<Vec<_>>().join("; ");
        let rest = place.rest_of_line(files);
        let reason = if rest.is_empty() { reason } else { format!("{reason}, at `{rest}`") };
        Self::Syntax { place, reason }
    }

    /// The error of a package that cannot be resolved among the others.
    pub(super) fn unresolved(resolve: &Resolve, files: &[(&str, &str)], error: &ResolveErrorKind) -> Self {
        let place = WitPlace::new(&resolve.source_map, files, error.span());
        match error {
            ResolveErrorKind::PackageNotFound { requested, .. } => {
                Self::Unknown { place, package: requested.to_string(), near: None }
            }
            ResolveErrorKind::DuplicatePackage { name, span2, .. } => {
                let first = WitPlace::new(&resolve.source_map, files, *span2);
                Self::Syntax { place, reason: format!("package `{name}` is defined twice, first at {first}") }
            }
            other => Self::syntax(place, &other.to_string(), files),
        }
    }
}

impl WitPlace {
    /// Where a text begins.
    pub(super) fn start(file: &str) -> Self {
        Self { file: file.to_owned(), line: 1, column: 1 }
    }

    /// The place of a span; where that is unknown, the start of the first file.
    pub(super) fn new(sources: &SourceMap, files: &[(&str, &str)], span: Span) -> Self {
        let first = files.first().map_or("", |(name, _)| name);
        let Some(found) = sources.resolve_span(span) else { return Self::start(first) };
        let text = files.iter().find(|(name, _)| *name == found.path).map_or("", |(_, text)| text);
        let before = text.get(..found.range.start).unwrap_or_default();
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Self { file: found.path.to_owned(), line: before.matches('\n').count() + 1, column }
    }

    /// What stands from here to the end of the line, as far as a message shows it.
    fn rest_of_line(&self, files: &[(&str, &str)]) -> String {
        let text = files.iter().find(|(name, _)| *name == self.file).map_or("", |(_, text)| text);
        let line = text.lines().nth(self.line - 1).unwrap_or_default();
        let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
        let rest: String = line.trim_end().chars().skip(self.column - 1).map(clean).collect();
        match rest.char_indices().nth(MAX_SHOWN) {
            Some((end, _)) => format!("{}…", &rest[..end]),
            None => rest,
        }
    }
}

impl fmt::Display for WitPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}
