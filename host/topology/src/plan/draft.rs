//! A node as a pipeline asks for it, before anything of it is checked.

use std::borrow::Cow;

use flowctl_intent::{Config, NodeOptions};
use flowctl_registry::Entry;
use flowctl_schema::Schema;
use flowctl_types::{EventType, NodeId};

use crate::Component;
use crate::suggest::Part;

/// A node to be.
pub(crate) struct Draft<'a> {
    pub(crate) id: NodeId,
    /// What is known of its component; of a command nobody but its node knows.
    pub(crate) entry: Cow<'a, Entry>,
    /// How it is started, where it is a command.
    pub(crate) command: Option<Component>,
    /// What it reads from.
    pub(crate) inputs: Vec<Input>,
    /// What is configured; none where nothing is.
    pub(crate) config: Option<&'a Config>,
    pub(crate) options: NodeOptions,
    /// The type that a source is wanted for, where its configuration says which.
    pub(crate) wanted: Option<&'a Schema>,
    pub(crate) place: Place,
}

/// An edge to be.
pub(crate) struct Input {
    /// Index of the draft that emits.
    pub(crate) from: usize,
    /// The types that take this edge; none = all that the receiver takes.
    pub(crate) only: Option<Vec<EventType>>,
    /// Index into the `inputs` that are written.
    pub(crate) index: usize,
}

/// Where a node stands in its file.
#[derive(Clone)]
pub(crate) enum Place {
    /// Nowhere: it was discovered for this entry of `from` or `to`. Its configuration
    /// and its options are below these keys, where it has some.
    Discovered { part: Part, config: String, options: String },
    /// In this section, by its id.
    Written { section: &'static str, id: String },
    /// Below `dead_letter`.
    DeadLetter,
}

impl Place {
    /// The path to what names the component.
    pub(crate) fn component(&self) -> Vec<String> {
        match self {
            Self::Discovered { part, .. } => part.path(),
            Self::Written { section, id } => path(&[section, id]),
            Self::DeadLetter => path(&["dead_letter"]),
        }
    }

    /// The path to a value of its configuration.
    pub(crate) fn config(&self, rest: &[String]) -> Vec<String> {
        let start = match self {
            Self::Discovered { config, .. } => path(&["config", config]),
            Self::Written { section, id } => path(&[section, id, "config"]),
            Self::DeadLetter => path(&["dead_letter", "config"]),
        };
        [start, rest.to_vec()].concat()
    }

    /// The path to one of its options.
    pub(crate) fn option(&self, rest: &[&str]) -> Vec<String> {
        let start = match self {
            Self::Discovered { options, .. } => path(&["nodes", options]),
            Self::Written { section, id } => path(&[section, id]),
            Self::DeadLetter => path(&["dead_letter"]),
        };
        [start, path(rest)].concat()
    }

    /// The path to one of its inputs.
    pub(crate) fn input(&self, index: usize) -> Vec<String> {
        match self {
            Self::Written { section, id } => path(&[section, id, "inputs", &index.to_string()]),
            Self::Discovered { .. } | Self::DeadLetter => self.component(),
        }
    }
}

fn path(segments: &[&str]) -> Vec<String> {
    segments.iter().map(|segment| (*segment).to_owned()).collect()
}
