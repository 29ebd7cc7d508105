//! How a run ends before its end, and how it goes back to the last barrier.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flowctl_schema::Role;
use flowctl_topology::Node;
use flowctl_types::NodeId;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::{Coordinator, unkept};
use crate::error::{NodeError, RunError, Setback};
use crate::generation::{Generation, Parts};
use crate::plan::failed;
use crate::prepare::{open_sink, open_source, rewind_sink};
use crate::progress::Progress;
use crate::resume::Resume;
use crate::{RunEvent, Sink};

/// Time that sinks get to come back when a run ends before its last barrier.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl Coordinator {
    /// Drops all tasks. Sinks that are not in the middle of a long call forget what no
    /// epoch covers, so that nothing half-written stays.
    pub(super) async fn give_up(&mut self, mut generation: Generation, mut progress: Progress) {
        generation.sever();
        let rewound = async {
            loop {
                tokio::select! {
                    ended = generation.join() => match ended {
                        // why the run ends is known already
                        Some(ended) => drop(progress.settle(ended)),
                        None => break,
                    },
                    _ = self.reports.recv() => {}
                }
            }
            for (node, sink) in &mut progress.sinks {
                if let Err(fault) = sink.rewind().instrument(self.plan.spans.node(node)).await {
                    tracing::debug!(%node, error = %fault, "what no epoch covers stays in the sink");
                }
            }
        };
        if tokio::time::timeout(LAST_WORDS, rewound).await.is_err() {
            tracing::debug!("a sink did not come back in time");
        }
        generation.abort().await;
    }

    /// Stops all tasks, and takes the sinks back.
    pub(super) async fn halt(
        &mut self,
        mut generation: Generation,
        mut progress: Progress,
    ) -> Result<BTreeMap<NodeId, Box<dyn Sink>>, RunError> {
        generation.sever();
        let deadline = Instant::now() + self.plan.options.patience;
        loop {
            tokio::select! {
                ended = generation.join() => match ended {
                    Some(ended) => progress.settle(ended)?,
                    None => break,
                },
                // nodes that are about to leave may still have something to say
                _ = self.reports.recv() => {}
                () = tokio::time::sleep_until(deadline) => {
                    let is_missing = |node: &&Arc<Node>| !progress.sinks.contains_key(&node.id);
                    let stuck = self.plan.of_role(Role::Sink).find(is_missing);
                    let error = stuck.map(|node| failed(&node.id, NodeError::Stuck));
                    return Err(error.unwrap_or_else(|| RunError::Internal("nodes do not stop".to_owned())));
                }
            }
        }
        while self.reports.try_recv().is_ok() {}
        Ok(progress.sinks)
    }

    /// Decides how the run goes on from what store and sinks hold.
    async fn resume(&mut self, held: &BTreeMap<NodeId, Option<u64>>) -> Result<(), RunError> {
        let store = &self.plan.options.store;
        let pending = store.pending().await.map_err(|error| unkept(self.epoch, error))?;
        let sources = self.plan.of_role(Role::Source).map(|node| node.id.clone());
        let resume = Resume::decide(self.committed.as_ref(), pending.as_ref(), held, sources);
        match resume.map_err(|ahead| failed(&ahead.sink.clone(), NodeError::Ahead(ahead.to_string())))? {
            Resume::Committed => {}
            Resume::Replay(replay) => self.replay = Some(replay),
            Resume::Promote => {
                if let Some(pending) = pending {
                    store.commit(pending.epoch).await.map_err(|error| unkept(pending.epoch, error))?;
                    self.shared.committed(pending.epoch);
                    self.committed = Some(pending);
                }
            }
        }
        Ok(())
    }

    /// Makes ready to start again from the committed barrier.
    pub(super) async fn go_back(
        &mut self,
        setback: Setback,
        mut sinks: BTreeMap<NodeId, Box<dyn Sink>>,
    ) -> Result<Parts, RunError> {
        let is_taken_back = self.take_back_change(&setback, &mut sinks);
        if !is_taken_back {
            self.recovery.learn(&setback, self.plan.options.max_rewinds, self.plan.options.max_isolated)?;
        }
        tracing::warn!(
            node = %setback.node,
            error = %setback.fault.in_short(),
            epoch = self.committed.as_ref().map_or(0, |committed| committed.epoch),
            "run goes back to the last barrier"
        );
        if let Some(source) = self.plan.of_role(Role::Source).find(|node| self.fixed.contains(&node.id)) {
            let blocker = source.id.clone();
            return Err(failed(&setback.node, NodeError::NotReplayable { blocker, source: setback.fault }));
        }
        self.plan.tell(&RunEvent::WentBack {
            epoch: self.committed.as_ref().map_or(0, |committed| committed.epoch),
            node: Some(setback.node.clone()),
            reason: setback.fault.to_string(),
        });
        // fails only when the dead-letter task has ended, which is seen on its own
        let _ = self.plan.postbox.back().await;
        let mut held = BTreeMap::new();
        for (node, sink) in &mut sinks {
            let rewound = rewind_sink(&mut **sink, &self.plan.options.reconnect);
            let last = rewound
                .instrument(self.plan.spans.node(node))
                .await
                .map_err(|source| failed(node, NodeError::Call { doing: "go back to the last barrier", source }))?;
            held.insert(node.clone(), last);
        }
        for node in
            self.plan.of_role(Role::Sink).filter(|node| !held.contains_key(&node.id)).cloned().collect::<Vec<_>>()
        {
            // a change had put another in its place
            let (sink, last) = self.remake(&node).instrument(self.plan.spans.node(&node.id)).await?;
            held.insert(node.id.clone(), last);
            sinks.insert(node.id.clone(), sink);
        }
        self.resume(&held).await?;
        let mut sources = BTreeMap::new();
        for node in self.plan.of_role(Role::Source) {
            let made = self.plan.workshop.source(node).instrument(self.plan.spans.node(&node.id)).await;
            let mut source = made.map_err(|error| failed(&node.id, NodeError::Instantiate(Arc::new(error))))?;
            let position = self.committed.as_ref().and_then(|committed| committed.positions.get(&node.id));
            let backoff = self.plan.options.backoff(&node.settings.retry, node.id.as_str());
            let opened = open_source(&mut *source, position.map(Vec::as_slice), &backoff);
            opened
                .instrument(self.plan.spans.node(&node.id))
                .await
                .map_err(|source| failed(&node.id, NodeError::Call { doing: "open at the last position", source }))?;
            sources.insert(node.id.clone(), source);
        }
        if !setback.is_loss() && !is_taken_back {
            self.plan.restarted(setback.node, setback.fault.to_string());
        }
        for (node, metrics) in &self.plan.metrics {
            metrics.rewind(&self.counted.get(node).copied().unwrap_or_default());
        }
        Ok(Parts { sources, instances: BTreeMap::new(), sinks })
    }

    /// Makes and opens a sink anew; answers the last epoch that it holds.
    async fn remake(&self, node: &Node) -> Result<(Box<dyn Sink>, Option<u64>), RunError> {
        let made = self.plan.workshop.sink(node).await;
        let mut sink = made.map_err(|error| failed(&node.id, NodeError::Instantiate(Arc::new(error))))?;
        let opened = open_sink(&mut *sink, &self.plan.options.reconnect).await;
        let held = opened.map_err(|source| failed(&node.id, NodeError::Call { doing: "open", source }))?;
        Ok((sink, held))
    }
}
