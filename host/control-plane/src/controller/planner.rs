//! What the control plane asks of whoever knows files, plugins, connectors and the
//! engine: to plan a pipeline, and to make a plan ready to run.
//!
//! The control plane names neither; the command implements [`Planner`].

use std::any::Any;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use flowctl_registry::LiveComponent;
use flowctl_runtime::{Options, Workshop};
use flowctl_topology::Topology;
use flowctl_types::{Code, Tie};

use super::RunLog;
use crate::Redaction;
use crate::directory::Directory;
use crate::tenants::{Policy, Tenant};

/// Plans pipelines and makes plans ready.
///
/// Both calls may take long and are dropped when nobody waits any more: what blocks
/// belongs on a thread that may.
#[async_trait]
pub trait Planner: Send + Sync + 'static {
    /// Plans a pipeline: reads the file, finds its components, checks types and policy.
    /// Starts nothing.
    async fn plan(&self, request: &PlanRequest) -> Result<Planned, PlanFailure>;

    /// Makes another file of one that runs, and plans that. The request has the file that
    /// runs, `running` what became of it.
    async fn edit(&self, request: &PlanRequest, running: &Topology, edit: &Edit) -> Result<Edited, PlanFailure>;

    /// Makes ready what a run needs: its state directory, its workshop. What was taken
    /// is given back when the future or [`Prepared::guard`] is dropped.
    async fn prepare(&self, request: &PrepareRequest) -> Result<Prepared, PlanFailure>;

    /// The code of an error that something this planner gave out has ended with, and what to
    /// do about it; none where that is not known.
    fn advice(&self, error: &(dyn Error + 'static)) -> (Option<Code>, Option<String>);

    /// The plugins and connectors that a tenant can use, live components aside.
    async fn catalogue(&self, tenant: &Tenant, policy: &Policy) -> Vec<CatalogueEntry>;
}

/// A pipeline to plan.
#[derive(Clone)]
pub struct PlanRequest {
    /// Whose pipeline it is.
    pub tenant: Tenant,
    /// What it may touch. Whoever plans refuses what it does not allow.
    pub policy: Arc<Policy>,
    /// What was submitted.
    pub file: PipelineFile,
    /// How the lock counts.
    pub locking: Locking,
    /// The tenant's live components that are well.
    pub live: Vec<LiveComponent>,
}

/// A pipeline file as it was submitted.
#[derive(Debug, Clone)]
pub struct PipelineFile {
    /// What faults call the file.
    pub name: String,
    /// YAML.
    pub text: String,
    /// What `${NAME}` stands for. Never stored.
    pub variables: Variables,
    /// What relative paths start from.
    pub base_dir: PathBuf,
    /// Folders of plugins, or components.
    pub plugins: Vec<PathBuf>,
    /// The lock file's text, where there is one.
    pub lock: Option<String>,
}

/// What `${NAME}` in a file stands for.
#[derive(Clone)]
pub enum Variables {
    /// These, which the client sent.
    Given(BTreeMap<String, String>),
    /// The control plane's own environment, as far as the policy allows: after a restart
    /// there is no client to ask.
    Host,
}

/// How the lock file counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locking {
    /// Plugins that it names are those; others are found.
    Follow,
    /// Every plugin must be in it.
    Demand,
}

/// A pipeline that was planned.
#[derive(Clone)]
pub struct Planned {
    /// What is to run. Its name is the pipeline's.
    pub topology: Topology,
    /// The chain in one line.
    pub chain: String,
    /// What the lock file is to say.
    pub lock: String,
    /// What is worth knowing and no fault.
    pub warnings: Vec<String>,
    /// Where each node's component comes from, for people: `wasm sha256:…`, `built-in`,
    /// an endpoint.
    pub origins: BTreeMap<String, String>,
    /// What its file took from the environment, to be kept out of texts.
    pub redaction: Redaction,
    /// What the planner wants back when it prepares.
    pub carried: Arc<dyn Any + Send + Sync>,
}

/// A change of a pipeline's nodes.
#[derive(Debug, Clone)]
pub enum Edit {
    /// A node comes.
    Add {
        /// What is to run there: a name, a reference or a file.
        component: String,
        /// Its id; none for the component's name.
        id: Option<String>,
        /// What it reads from.
        after: Vec<String>,
        /// Who reads from it, in the place of those; empty for whoever takes its events.
        before: Vec<String>,
        /// Its configuration.
        config: serde_json::Map<String, serde_json::Value>,
    },
    /// A node goes; whoever read from it reads from what it read.
    Remove {
        /// The node.
        node: String,
    },
    /// Another component runs at a node.
    Replace {
        /// The node.
        node: String,
        /// As in [`Edit::Add`].
        component: String,
        /// As in [`Edit::Configure`]; what is not named stays as it is.
        values: Vec<(String, serde_json::Value)>,
    },
    /// A node is configured differently.
    Configure {
        /// The node.
        node: String,
        /// Values by their path, fields joined with dots; null takes one away.
        values: Vec<(String, serde_json::Value)>,
    },
}

/// What a pipeline became by an edit.
pub struct Edited {
    /// The file's text.
    pub text: String,
    /// What it was planned to.
    pub planned: Planned,
}

/// A plan to make ready.
pub struct PrepareRequest {
    /// The run's id.
    pub run: String,
    /// What was planned.
    pub plan: PlanRequest,
    /// What came of it.
    pub planned: Planned,
    /// Where it starts.
    pub start: Start,
    /// What becomes of positions and states whose nodes are gone.
    pub orphans: flowctl_runtime::Orphans,
    /// Where `command:` nodes are waited for.
    pub directory: Directory,
    /// What happens in the run is written here.
    pub log: RunLog,
}

/// Where a run starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// From the last checkpoint.
    Resume,
    /// Over, without checkpoints.
    Fresh,
}

/// A plan that is ready.
pub struct Prepared {
    /// Makes the nodes' components.
    pub workshop: Arc<dyn Workshop>,
    /// How the run treats faults and time. The control plane adds its observer and the
    /// tenant's throttle.
    pub options: Options,
    /// Where rejected events go, as a path; empty where a sink takes them.
    pub dead_letters: String,
    /// Held until the run's tasks are gone: the lock of the state directory, child processes.
    pub guard: Box<dyn Guard>,
}

/// What a run holds. Dropped, it is given back without waiting.
#[async_trait]
pub trait Guard: Send {
    /// Gives it back, and waits until it is: the run has not ended before.
    async fn release(self: Box<Self>) {}
}

/// Why a pipeline cannot be planned or made ready.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PlanFailure {
    /// What kind of failure it is.
    pub kind: PlanFailureKind,
    /// Its code, where it has one.
    pub code: Option<Code>,
    /// What is wrong, with its causes.
    pub message: String,
    /// What to do about it, where that is known.
    pub hint: Option<String>,
    /// Every fault of the file by itself, where it is the file.
    pub faults: Vec<FileFault>,
    /// The chains among which its caller can choose, where nothing else is wrong.
    pub tie: Option<Box<Tie>>,
}

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanFailureKind {
    /// The file has faults.
    Invalid,
    /// Something that it names is not there.
    Missing,
    /// The tenant's policy does not allow it.
    Denied,
    /// It cannot be made ready at the moment.
    Unavailable,
}

/// One fault of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFault {
    /// `pipeline.yaml:3:5`.
    pub place: String,
    /// What is wrong there.
    pub message: String,
}

/// What can be a node, and is no live component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueEntry {
    /// Its id; unique within its role.
    pub id: String,
    /// The name that pipelines use.
    pub name: String,
    /// `source`, `processor` or `sink`.
    pub role: String,
    /// Event types that it reads; `any` and `any record` for sinks that take any.
    pub input_types: Vec<String>,
    /// Event types that it emits; `as configured` where the configuration says.
    pub output_types: Vec<String>,
    /// `available` or `planned`.
    pub status: String,
    /// The version that it says of itself.
    pub version: String,
    /// `wasm sha256:…` or `built-in`.
    pub origin: String,
    /// What filters see.
    pub metadata: BTreeMap<String, String>,
    /// What it does, in a sentence.
    pub description: String,
}

impl PlanFailure {
    /// A failure without hint and places.
    #[must_use]
    pub fn new(kind: PlanFailureKind, message: impl Into<String>) -> Self {
        Self { kind, code: None, message: message.into(), hint: None, faults: Vec::new(), tie: None }
    }
}

impl std::fmt::Debug for Variables {
    /// Names alone: values are secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Given(given) => f.debug_list().entries(given.keys()).finish(),
            Self::Host => f.write_str("Host"),
        }
    }
}
