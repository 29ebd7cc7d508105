//! What the runtime tells of a run, in the words of the run's log.

use flowctl_runtime::{Observer, RunEvent};
use flowctl_store::EventLevel::{self, Error, Info, Warn};

use super::RunLog;

/// Writes what happens to one run into its log.
pub(super) struct RunObserver {
    pub(super) run: String,
    pub(super) log: RunLog,
}

impl Observer for RunObserver {
    fn observe(&self, event: &RunEvent) {
        if let Some((level, kind, node, message)) = words(event) {
            self.log.append(&self.run, level, kind, &node, &message);
        }
    }
}

/// How an event is written down; none where it happens all the time.
fn words(event: &RunEvent) -> Option<(EventLevel, &'static str, String, String)> {
    let none = String::new;
    Some(match event {
        RunEvent::Started { n_nodes } => (Info, "started", none(), format!("{n_nodes} nodes run")),
        RunEvent::NodeRestarted { node, reason } => (Warn, "node-restarted", node.to_string(), reason.clone()),
        RunEvent::CallRepeated { node, attempt, reason } => {
            (Warn, "call-repeated", node.to_string(), format!("attempt {attempt} failed: {reason}"))
        }
        RunEvent::BatchTakenApart { node, n_events, reason } => {
            (Warn, "batch-taken-apart", node.to_string(), format!("{n_events} events one by one: {reason}"))
        }
        RunEvent::WentBack { epoch, node, reason } => {
            let node = node.as_ref().map_or_else(none, ToString::to_string);
            (Warn, "went-back", node, format!("to epoch {epoch}: {reason}"))
        }
        RunEvent::Replayed { epoch } => (Info, "replayed", none(), format!("epoch {epoch} is repeated exactly")),
        RunEvent::CheckpointFailed { epoch, reason } => {
            (Error, "checkpoint-failed", none(), format!("epoch {epoch}: {reason}"))
        }
        RunEvent::LettersWritten { epoch, n_letters } => {
            (Warn, "dead-letters", none(), format!("{n_letters} events were set aside in epoch {epoch}"))
        }
        RunEvent::TopologyChanged { revision, pause } => {
            let pause = pause.as_secs_f64() * 1e3;
            (Info, "topology-changed", none(), format!("change {revision} was made, pause {pause:.2} ms"))
        }
        RunEvent::ChangeKept { revision } => (Info, "change-kept", none(), format!("change {revision} is kept")),
        RunEvent::ChangeRolledBack { reason, .. } => (Warn, "change-rolled-back", none(), reason.clone()),
        RunEvent::Finished { source } => {
            (Info, "source-finished", source.to_string(), "the source has no more events".to_owned())
        }
        _ => return None,
    })
}
