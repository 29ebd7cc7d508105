//! Why something cannot be done with a pipeline or a run.

use flowctl_store::StateError;

use super::PlanFailure;

/// Why something cannot be done with a pipeline or a run. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The file cannot be planned.
    #[error(transparent)]
    Plan(#[from] PlanFailure),
    /// The pipeline has a run that goes on.
    #[error("pipeline `{pipeline}` runs already, as run `{run}`")]
    RunsAlready {
        /// The pipeline.
        pipeline: String,
        /// Its run.
        run: String,
    },
    /// The pipeline has a run that goes on in another process.
    #[error("pipeline `{pipeline}` runs already, in another process of this machine")]
    RunsElsewhere {
        /// The pipeline.
        pipeline: String,
    },
    /// The tenant has used up one of its quotas.
    #[error("the quota of tenant `{tenant}` is used up: {reason}")]
    Quota {
        /// The tenant.
        tenant: String,
        /// Which quota.
        reason: String,
    },
    /// The tenant has no such pipeline.
    #[error("there is no pipeline `{name}`")]
    NoPipeline {
        /// What was asked for.
        name: String,
        /// Names that are near, nearest first.
        nearest: Vec<String>,
    },
    /// The tenant has no such run.
    #[error("there is no run `{id}`")]
    NoRun {
        /// What was asked for.
        id: String,
        /// Ids that are near, nearest first.
        nearest: Vec<String>,
    },
    /// The run has no such node.
    #[error("pipeline `{pipeline}` has no node `{node}`")]
    NoNode {
        /// The pipeline.
        pipeline: String,
        /// What was asked for.
        node: String,
        /// Names that are near, nearest first.
        nearest: Vec<String>,
    },
    /// The pipeline has no run that goes on.
    #[error("pipeline `{pipeline}` does not run")]
    NotRunning {
        /// The pipeline.
        pipeline: String,
    },
    /// The pipeline has no such revision.
    #[error("pipeline `{pipeline}` has no revision {number} that is kept")]
    NoRevision {
        /// The pipeline.
        pipeline: String,
        /// What was asked for.
        number: u64,
    },
    /// The change would be another by now than the one that was looked at.
    #[error("the plan has changed: its hash is `{found}` by now")]
    PlanMoved {
        /// The hash.
        found: String,
    },
    /// A change could not be made; what ran goes on.
    #[error("the topology was not changed: {reason}")]
    NotChanged {
        /// Why, with every node that cannot be prepared.
        reason: String,
    },
    /// The host is about to stop.
    #[error("the control plane is stopping")]
    Draining,
    /// The store failed.
    #[error("the control plane's store failed")]
    Store(#[from] StateError),
}
