//! What a pipeline file asks for, once it is known to be well-formed.
//!
//! Invariant: ids are unique, the inputs of an [`ExplicitIntent`] name nodes of it
//! that have an output, every output is read, and there is no cycle. Configuration,
//! commands and their environment are [`Interpolated`]: `Debug` and `Serialize` print
//! them as they were written, so that a secret of the environment does not show.

use std::collections::BTreeMap;

use flowctl_types::{EventType, NodeId, Reference};
use serde::{Serialize, Serializer};

use crate::{Config, Interpolated, Overrides, Settings};

/// What the author of a file wants to run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    /// `flowctl/v2`, kind Topology: the ends are named, the chain is discovered.
    Discover(DiscoverIntent),
    /// `flowctl/v1`, kind Pipeline: every node is named.
    Explicit(ExplicitIntent),
}

/// From these types, to those sinks: discovery finds the processors between.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DiscoverIntent {
    /// Where events come from; at least one.
    pub from: Vec<Endpoint>,
    /// Sinks by id or by kind (`postgres`); at least one.
    pub to: Vec<String>,
    /// Plugins or nodes that a chain passes through, in this order.
    pub via: Vec<String>,
    /// Metadata that every entry on the chain agrees with, such as `network: pubnet`;
    /// an entry that is silent on a key passes.
    #[serde(rename = "where")]
    pub where_: BTreeMap<String, String>,
    /// Configuration by node id. Each value is an object.
    pub config: BTreeMap<NodeId, Config>,
    /// How single nodes run, by node id.
    pub nodes: BTreeMap<NodeId, NodeOptions>,
    /// Files or folders of WIT text whose event types the pipeline may name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<Interpolated<String>>,
    /// Where rejected events go; none = a file in the pipeline's state directory.
    pub dead_letter: Option<SinkSpec>,
    /// How the pipeline runs.
    pub settings: Settings,
}

/// One entry of `from`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    /// The event type that is wanted.
    pub event_type: EventType,
    /// The source that emits it, by id or kind; none = the only one that does.
    pub source: Option<String>,
}

/// Nodes and edges, as written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExplicitIntent {
    /// Where events come from; at least one.
    pub sources: Vec<SourceSpec>,
    /// What events pass through.
    pub processors: Vec<ProcessorSpec>,
    /// Where events go; at least one.
    pub sinks: Vec<SinkSpec>,
    /// Files or folders of WIT text whose event types the pipeline may name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<Interpolated<String>>,
    /// Where rejected events go; none = a file in the pipeline's state directory.
    pub dead_letter: Option<SinkSpec>,
    /// How the pipeline runs.
    pub settings: Settings,
}

/// A source of an [`ExplicitIntent`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SourceSpec {
    /// Its id, unique in the file.
    pub id: NodeId,
    /// What runs there.
    pub component: Component,
    /// Its configuration: an object.
    pub config: Config,
    /// How it runs.
    pub options: NodeOptions,
}

/// A processor of an [`ExplicitIntent`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProcessorSpec {
    /// Its id, unique in the file.
    pub id: NodeId,
    /// What runs there.
    pub component: Component,
    /// Sources and processors that it reads from; at least one, none twice.
    pub inputs: Vec<NodeId>,
    /// Its configuration: an object.
    pub config: Config,
    /// How it runs.
    pub options: NodeOptions,
}

/// A sink of an [`ExplicitIntent`], or the dead-letter sink of either format.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SinkSpec {
    /// Its id, unique in the file; `dead-letter` for the dead-letter sink.
    pub id: NodeId,
    /// What runs there.
    pub component: Component,
    /// Sources and processors that it reads from; at least one, none twice. Empty for
    /// the dead-letter sink, which every node feeds.
    pub inputs: Vec<NodeId>,
    /// Its configuration: an object.
    pub config: Config,
    /// How it runs.
    pub options: NodeOptions,
}

/// What runs at a node.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Component {
    /// `type:` a connector, plugin or live component by the name that the registry
    /// knows it by; of a processor perhaps with a version, `name@version`.
    Type(String),
    /// `plugin:` or `image:` a WebAssembly component.
    Plugin(#[serde(serialize_with = "serialize_reference")] Reference),
    /// `command:` a process of its own, which registers as a live component.
    Command {
        /// The program and its arguments; at least the program.
        argv: Vec<Interpolated<String>>,
        /// What is added to the process's environment.
        env: BTreeMap<String, Interpolated<String>>,
        /// The types that it reads: of a processor at least one. Empty for a source, and
        /// for a sink that says none and takes any.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        input_event_types: Vec<EventType>,
        /// The types that it emits: of a source or processor at least one.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        output_event_types: Vec<EventType>,
    },
}

/// How a node runs. The default grants nothing and inherits every setting.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeOptions {
    /// What the plugin may reach beyond its sandbox.
    #[serde(skip_serializing_if = "Grants::is_empty")]
    pub allow: Grants,
    /// Number of instances, 1 to 256; 1 where it is left out.
    pub parallelism: u32,
    /// The field that events are partitioned by; none = what the plugin says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Settings of the pipeline that this node overrides, and its tick.
    pub overrides: Overrides,
}

/// What a plugin may reach beyond its sandbox; the default is nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Grants {
    /// Hosts that it may connect to, `name` or `name:port`.
    pub hosts: Vec<String>,
    /// Names of environment variables that it may read.
    pub env: Vec<String>,
    /// Directories that it may read, on the host.
    pub dirs: Vec<String>,
}

impl Intent {
    /// How the pipeline runs.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        match self {
            Self::Discover(intent) => &intent.settings,
            Self::Explicit(intent) => &intent.settings,
        }
    }

    /// Files or folders of WIT text whose event types the pipeline may name.
    #[must_use]
    pub fn types(&self) -> &[Interpolated<String>] {
        match self {
            Self::Discover(intent) => &intent.types,
            Self::Explicit(intent) => &intent.types,
        }
    }

    /// The environment variables that its plugins are granted.
    pub fn granted_variables(&self) -> impl Iterator<Item = &str> {
        let of_nodes: Vec<&NodeOptions> = match self {
            Self::Discover(intent) => intent.nodes.values().collect(),
            Self::Explicit(intent) => {
                let sources = intent.sources.iter().map(|spec| &spec.options);
                let processors = intent.processors.iter().map(|spec| &spec.options);
                sources.chain(processors).chain(intent.sinks.iter().map(|spec| &spec.options)).collect()
            }
        };
        let options = of_nodes.into_iter().chain(self.dead_letter().map(|spec| &spec.options));
        options.flat_map(|options| &options.allow.env).map(String::as_str)
    }

    /// Where rejected events go.
    #[must_use]
    pub const fn dead_letter(&self) -> Option<&SinkSpec> {
        match self {
            Self::Discover(intent) => intent.dead_letter.as_ref(),
            Self::Explicit(intent) => intent.dead_letter.as_ref(),
        }
    }
}

impl Grants {
    /// Whether nothing is granted.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.hosts.is_empty() && self.env.is_empty() && self.dirs.is_empty()
    }
}

impl Default for NodeOptions {
    fn default() -> Self {
        Self { allow: Grants::default(), parallelism: 1, key: None, overrides: Overrides::default() }
    }
}

fn serialize_reference<S: Serializer>(reference: &Reference, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(reference)
}
