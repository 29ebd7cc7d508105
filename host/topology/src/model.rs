//! The typed graph of nodes that the runtime runs.

use std::fmt;
use std::num::NonZeroU16;
use std::path::{Component as PathPart, Path, PathBuf};
use std::time::Duration;

use flowctl_intent::Retry;
use flowctl_schema::{Conversion, Role, Schema};
use flowctl_types::{Digest, NodeId};

/// A pipeline, planned: every component pinned, every edge's types checked.
#[derive(Debug, Clone)]
pub struct Topology {
    /// The pipeline's name.
    pub name: NodeId,
    /// The nodes, each after those it reads from.
    pub nodes: Vec<Node>,
    /// The edges, in the order of the nodes that they leave.
    pub edges: Vec<Edge>,
    /// What holds for all of it.
    pub settings: Settings,
    /// Where rejected events go; none for a file in the state directory. It has one
    /// input, whatever it is: [`dead_letter_schema`](crate::dead_letter_schema), or what
    /// the sink has of that type.
    pub dead_letter: Option<Node>,
}

/// One node.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its id, unique within the topology.
    pub id: NodeId,
    /// What it does.
    pub role: Role,
    /// What runs there.
    pub component: Component,
    /// Whether this build can run it. Discovery knows connectors that can only be
    /// planned and shown.
    pub is_available: bool,
    /// The types it is sent, by the `kind` of its input batches. A sink that takes any
    /// type, and a component in another process, has those of its edges here.
    pub inputs: Vec<Schema>,
    /// The types it emits, by the `kind` of its output batches.
    pub outputs: Vec<Schema>,
    /// Its configuration, as checked against the component's record, with the
    /// record's defaults filled in. An object. Secrets included: not for print or store.
    pub config: serde_json::Value,
    /// The same with `${NAME}` in place of what the environment holds: for print and store.
    pub shown_config: serde_json::Value,
    /// What it is granted beyond nothing.
    pub grants: Grants,
    /// Instances that share the work.
    pub parallelism: NonZeroU16,
    /// The field that events are partitioned by, where one was named; else it is by the
    /// keys that they bring.
    pub key: Option<String>,
    /// Whether every event that it emits brings a partition key.
    pub brings_keys: bool,
    /// Whether the component keeps state between batches.
    pub is_stateful: bool,
    /// Whether the component is told the time.
    pub has_timer: bool,
    /// Time between two calls of the component's `tick`; none = it is not called.
    pub tick: Option<Duration>,
    /// What each call may use.
    pub limits: CallLimits,
    /// The topology's settings with those that the node sets differently: of the
    /// batches and edges that reach it, of a source those it fills.
    pub settings: Settings,
}

/// What runs at a node. `Debug` shows of a command what its file says, never what a
/// variable holds.
#[derive(Clone, PartialEq, Eq)]
pub enum Component {
    /// A WebAssembly component.
    Plugin {
        /// Its name.
        name: String,
        /// Its version, where it says one.
        version: Option<String>,
        /// Its file.
        path: PathBuf,
        /// The digest its file must have.
        digest: Digest,
    },
    /// A connector of this binary.
    Connector {
        /// Its name.
        name: String,
    },
    /// A process that runs by itself and registered as a live component. Its types match
    /// by name alone: [`Node::inputs`] are those of its edges, [`Node::outputs`] have the
    /// structure that their readers want.
    Remote {
        /// Its id, `ttp-processor-v1`.
        id: String,
        /// Where it listens, `host:port`.
        endpoint: String,
    },
    /// A process that is started for this node, and registers under the node's id. Its
    /// types match by name alone, as those of a remote component.
    Command {
        /// The program and its arguments; at least the program. Secrets included: not for
        /// print or store.
        argv: Vec<String>,
        /// What is added to its environment, name and value, by name. Secrets included.
        env: Vec<(String, String)>,
        /// `argv` as the file has it, with `${NAME}` in place of what the environment
        /// holds: for print and store.
        shown_argv: Vec<String>,
    },
}

/// What a plugin may reach. Empty is the default: nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// Hosts it may connect to, `name:port` or `address:port`.
    pub hosts: Vec<String>,
    /// Environment variables it may read, resolved: name and value.
    pub env: Vec<(String, String)>,
    /// Directories it may read, as written: relative ones from where the host runs, unless
    /// [`Topology::with_dirs_below`] says from where.
    pub dirs: Vec<PathBuf>,
}

/// Bounds of a plugin's instance and of each call of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// Bytes of all its memories and tables together. Default 256 MiB.
    pub memory_bytes: u64,
    /// Time that one call may keep a thread of the host, executing or having the host work
    /// for it, waiting aside. Default 5 s.
    pub cpu: Duration,
    /// Time one call may take on the wall clock, waiting included. Default 30 s.
    pub timeout: Duration,
}

/// What holds for all nodes of a topology.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Most events in one batch. Default 1,000.
    pub max_events: usize,
    /// Most bytes in one batch a source makes; an event that is larger travels alone.
    /// Default 4 MiB.
    pub max_bytes: usize,
    /// How long a source may hold an unfilled batch. Default 1 ms.
    pub linger: Duration,
    /// Most batches waiting on one edge. Default 8.
    pub queue_batches: usize,
    /// Most bytes waiting on one edge; one batch always fits. Default 16 MiB.
    pub queue_bytes: usize,
    /// Time between two barriers. Default 5 s.
    pub checkpoint_interval: Duration,
    /// Committed checkpoints that are kept, at least 1. Default 3.
    pub checkpoints_kept: u32,
    /// What happens when a call fails. Of a source and of the dead-letter sink
    /// `on_failure` is always [`OnFailure::Stop`](crate::OnFailure::Stop).
    pub retry: Retry,
}

/// From one node to another.
#[derive(Debug, Clone)]
pub struct Edge {
    /// The node that emits.
    pub from: NodeId,
    /// The node that receives.
    pub to: NodeId,
    /// Which types take this edge; others of the emitter are not sent along it.
    pub routes: Vec<Route>,
}

/// How events of one type take an edge.
#[derive(Debug, Clone)]
pub struct Route {
    /// Index into the emitter's `outputs`.
    pub output_kind: u32,
    /// Index into the receiver's `inputs`.
    pub input_kind: u32,
    /// What payloads go through on the way.
    pub conversion: Conversion,
}

impl Component {
    /// What it is called: a plugin's or connector's name, a remote component's id, a
    /// command's program as the file has it.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Plugin { name, .. } | Self::Connector { name } => name,
            Self::Remote { id, .. } => id,
            Self::Command { shown_argv, .. } => shown_argv.first().map_or("", String::as_str),
        }
    }
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plugin { name, version, path, digest } => f
                .debug_struct("Plugin")
                .field("name", name)
                .field("version", version)
                .field("path", path)
                .field("digest", digest)
                .finish(),
            Self::Connector { name } => f.debug_struct("Connector").field("name", name).finish(),
            Self::Remote { id, endpoint } => {
                f.debug_struct("Remote").field("id", id).field("endpoint", endpoint).finish()
            }
            Self::Command { env, shown_argv, .. } => {
                let names: Vec<&String> = env.iter().map(|(name, _)| name).collect();
                f.debug_struct("Command").field("argv", shown_argv).field("env", &names).finish()
            }
        }
    }
}

impl Default for CallLimits {
    fn default() -> Self {
        Self { memory_bytes: 256 << 20, cpu: Duration::from_secs(5), timeout: Duration::from_secs(30) }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_events: 1_000,
            max_bytes: 4 << 20,
            linger: Duration::from_millis(1),
            queue_batches: 8,
            queue_bytes: 16 << 20,
            checkpoint_interval: Duration::from_secs(5),
            checkpoints_kept: 3,
            retry: Retry::default(),
        }
    }
}

impl Topology {
    /// A topology without nodes, from which a start is the difference.
    #[must_use]
    pub fn empty(name: NodeId) -> Self {
        Self { name, nodes: Vec::new(), edges: Vec::new(), settings: Settings::default(), dead_letter: None }
    }

    /// The same, with the directories that plugins are granted below `base_dir` where they
    /// are relative: absolute, and without `.` and `..`, which go by the text alone.
    #[must_use]
    pub fn with_dirs_below(mut self, base_dir: &Path) -> Self {
        let plain = |path: &Path| {
            let mut plain = PathBuf::new();
            for part in path.components() {
                match part {
                    PathPart::CurDir => {}
                    PathPart::ParentDir => {
                        plain.pop();
                    }
                    part => plain.push(part),
                }
            }
            plain
        };
        for node in self.nodes.iter_mut().chain(&mut self.dead_letter) {
            for dir in &mut node.grants.dirs {
                *dir = plain(&base_dir.join(&*dir));
            }
        }
        self
    }

    /// The node of this id.
    #[must_use]
    pub fn node(&self, id: &NodeId) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == *id)
    }

    /// The nodes whose component is known, but not part of this build, the dead-letter
    /// sink included. They can be planned and shown, not run.
    pub fn unavailable(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().chain(&self.dead_letter).filter(|node| !node.is_available)
    }

    /// Types that a node emits and no edge takes: events of them are not sent anywhere.
    pub fn untaken(&self) -> impl Iterator<Item = (&Node, &Schema)> {
        let is_taken = |node: &Node, kind: usize| {
            let mut routes = self.edges.iter().filter(|edge| edge.from == node.id).flat_map(|edge| &edge.routes);
            routes.any(|route| route.output_kind as usize == kind)
        };
        self.nodes.iter().flat_map(move |node| {
            let outputs = node.outputs.iter().enumerate();
            outputs.filter(move |(kind, _)| !is_taken(node, *kind)).map(move |(_, schema)| (node, schema))
        })
    }
}
