//! Starts barriers, commits epochs, and decides how a run goes on when a node ends.
//!
//! Invariant: an epoch is committed only when every sink and the dead-letter sink took
//! it, and is acknowledged only then. The protocol is in [`crate::checkpoint`].

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flowctl_schema::Role;
use flowctl_types::NodeId;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::Instrument as _;

use crate::checkpoint::{Checkpoint, SavedState, StoreError};
use crate::edge::Barrier;
use crate::error::{NodeError, RunError, Setback};
use crate::generation::{Generation, Parts, Plan, failed, version};
use crate::metrics::Counters;
use crate::node::{Control, Record, Report};
use crate::prepare::{open_source, rewind_sink};
use crate::progress::{Progress, UnderWay};
use crate::recovery::Recovery;
use crate::resume::{Replay, Resume};
use crate::run::{Shared, Stop};
use crate::summary::Status;
use crate::{Fault, RunEvent, Sink};

/// Time that sinks get to come back when a run ends before its last barrier.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Leads a run from its start to its end.
pub(crate) struct Coordinator {
    pub(crate) plan: Plan,
    pub(crate) shared: Arc<Shared>,
    pub(crate) reports: mpsc::Receiver<Report>,
    pub(crate) stop: watch::Receiver<Option<Stop>>,
    pub(crate) letters: JoinHandle<Result<(), Fault>>,
    /// Whether what the dead-letter task ended with was seen.
    pub(crate) have_letters_ended: bool,
    /// Sources that can repeat their events.
    pub(crate) replayable: HashSet<NodeId>,
    pub(crate) committed: Option<Checkpoint>,
    /// The epoch that the next generation repeats.
    pub(crate) replay: Option<Replay>,
    /// The last epoch that was given a number.
    pub(crate) epoch: u64,
    /// What the nodes had counted at the committed barrier.
    pub(crate) counted: HashMap<NodeId, Counters>,
    pub(crate) recovery: Recovery,
}

/// How a generation ended.
enum Verdict {
    /// Everything was taken.
    Over,
    /// It was told to stop at once.
    Stopped,
    Failed(RunError),
    Back(Setback),
}

impl Verdict {
    /// Why a barrier that was under way did not end as planned.
    fn reason(&self) -> Option<String> {
        match self {
            Self::Failed(error) => Some(error.describe()),
            Self::Back(setback) => Some(setback.fault.to_string()),
            Self::Over | Self::Stopped => None,
        }
    }
}

impl Coordinator {
    /// Runs to the end. The dead-letter task has ended when this returns.
    pub(crate) async fn lead(mut self, parts: Parts) -> (Status, Option<RunError>, HashMap<NodeId, Counters>) {
        let result = self.generations(parts).await;
        let Self { plan, reports, mut letters, have_letters_ended, epoch, counted, .. } = self;
        drop(reports);
        let delivered = if have_letters_ended { Ok(()) } else { close_letters(plan, &mut letters, epoch).await };
        let (status, error) = match (result, delivered) {
            (Ok(status), Ok(())) => (status, None),
            (Ok(_), Err(error)) | (Err(error), _) => (Status::Failed, Some(error)),
        };
        (status, error, counted)
    }

    async fn generations(&mut self, mut parts: Parts) -> Result<Status, RunError> {
        let stages = parts.stages.clone();
        let mut is_started = false;
        loop {
            let replay = self.replay.take();
            if let Some(replay) = &replay {
                tracing::info!(epoch = replay.epoch, "epoch is replayed: some sinks hold it, others do not");
                self.plan.tell(&RunEvent::Replayed { epoch: replay.epoch });
                self.epoch = replay.epoch - 1;
                // fails only when the dead-letter task has ended, which is seen on its own
                let _ = self.plan.postbox.skip(replay.epoch).await;
            }
            let suspicions = &self.recovery.suspicions;
            let committed = self.committed.as_ref();
            let mut generation =
                self.plan.launch(parts, committed, self.epoch + 1, replay.as_ref(), suspicions).await?;
            self.shared.watch(generation.links.clone());
            if !std::mem::replace(&mut is_started, true) {
                self.plan.tell(&RunEvent::Started { n_nodes: self.plan.nodes.len() });
            }
            let mut progress = Progress::new(&self.plan);
            if replay.is_some() {
                self.inject(&generation, &mut progress, false);
            }
            let verdict = self.conduct(&mut generation, &mut progress).await;
            if let Some(reason) = verdict.reason()
                && let Some(under_way) = &progress.under_way
            {
                self.plan.tell(&RunEvent::CheckpointFailed { epoch: under_way.barrier.epoch, reason });
            }
            match verdict {
                Verdict::Over if progress.unfinished.is_empty() => return Ok(Status::Completed),
                Verdict::Over => return Ok(Status::Stopped),
                Verdict::Stopped => {
                    self.give_up(generation, progress).await;
                    return Ok(Status::Stopped);
                }
                Verdict::Failed(error) => {
                    self.give_up(generation, progress).await;
                    return Err(error);
                }
                Verdict::Back(setback) => {
                    let mut stop = self.stop.clone();
                    let resumed = async {
                        let sinks = self.halt(generation, progress).await?;
                        self.go_back(setback, sinks).await
                    };
                    // to reach a sink again may take long
                    parts = tokio::select! {
                        biased;
                        _ = stop.wait_for(|stop| *stop == Some(Stop::Now)) => return Ok(Status::Stopped),
                        resumed = resumed => resumed?,
                    };
                    parts.stages.clone_from(&stages);
                }
            }
        }
    }

    async fn conduct(&mut self, generation: &mut Generation, progress: &mut Progress) -> Verdict {
        let every = self.plan.change.settings.checkpoint_interval.max(Duration::from_millis(1));
        let mut barriers = interval_at(Instant::now() + every, every);
        barriers.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            match *self.stop.borrow_and_update() {
                Some(Stop::Now) => return Verdict::Stopped,
                Some(Stop::Drain) if !progress.is_draining => {
                    progress.is_draining = true;
                    self.plan.of_role(Role::Source).for_each(|node| generation.tell(&node.id, Control::Drain));
                }
                _ => {}
            }
            if progress.awaits_last() {
                self.inject(generation, progress, true);
            }
            let result = tokio::select! {
                biased;
                _ = self.stop.changed() => Ok(()),
                report = self.reports.recv() => match report {
                    Some(report) => self.note(generation, progress, report).await,
                    None => Err(RunError::Internal("the report channel is closed".to_owned())),
                },
                ended = &mut self.letters => {
                    self.have_letters_ended = true;
                    Err(letters_error(ended))
                }
                ended = generation.join() => match ended {
                    Some(ended) => progress.settle(ended),
                    None if progress.is_last_committed => return Verdict::Over,
                    None => Err(RunError::Internal("all nodes left before the last barrier".to_owned())),
                },
                _ = barriers.tick() => {
                    let activity = self.plan.activity.load(Ordering::Relaxed);
                    if progress.is_free() && activity != progress.activity {
                        progress.activity = activity;
                        self.inject(generation, progress, false);
                    }
                    Ok(())
                }
            };
            if let Err(error) = result {
                return Verdict::Failed(error);
            }
            // sinks that are taking the epoch finish that first, unless one of them has lost it
            let is_pending = progress.is_pending();
            if let Some(setback) = progress.setback.take_if(|setback| setback.is_loss() || !is_pending) {
                return Verdict::Back(setback);
            }
        }
    }

    /// Starts the next barrier at all sources.
    fn inject(&mut self, generation: &Generation, progress: &mut Progress, is_last: bool) {
        self.epoch += 1;
        let barrier = Barrier { epoch: self.epoch, is_last };
        let ids = |node: &Arc<flowctl_topology::Node>| node.id.clone();
        progress.under_way = Some(UnderWay {
            barrier,
            started: Instant::now(),
            passing: self.plan.nodes.iter().map(ids).collect(),
            taking: self.plan.of_role(Role::Sink).map(ids).collect(),
            is_pending: false,
            checkpoint: Checkpoint { epoch: self.epoch, ..Checkpoint::default() },
            counters: HashMap::new(),
        });
        for node in self.plan.of_role(Role::Source) {
            generation.tell(&node.id, Control::Barrier(barrier));
        }
    }

    async fn note(&mut self, generation: &Generation, progress: &mut Progress, report: Report) -> Result<(), RunError> {
        let under_way = progress.under_way.as_mut();
        match report {
            Report::Finished { node } => {
                progress.unfinished.remove(&node);
            }
            Report::Passed { node, epoch, record, counters } => {
                if let Some(under_way) = under_way.filter(|under_way| under_way.barrier.epoch == epoch) {
                    self.pass(under_way, node, record, counters).await?;
                }
            }
            Report::Taken { node, epoch } => {
                if let Some(under_way) = under_way.filter(|under_way| under_way.barrier.epoch == epoch) {
                    under_way.taking.remove(&node);
                }
            }
            Report::LettersTaken { epoch } => {
                if under_way.is_some_and(|under_way| under_way.barrier.epoch == epoch) {
                    for sink in self.plan.of_role(Role::Sink) {
                        generation.tell(&sink.id, Control::Take(epoch));
                    }
                }
            }
        }
        if let Some(taken) = progress.under_way.take_if(|under_way| under_way.is_taken()) {
            let stored = self.plan.options.store.commit(taken.barrier.epoch).await;
            if let Err(error) = stored {
                let epoch = taken.barrier.epoch;
                progress.under_way = Some(taken);
                return Err(unkept(epoch, error));
            }
            progress.is_last_committed = taken.barrier.is_last;
            self.commit(generation, taken);
        }
        Ok(())
    }

    /// A node has passed the barrier; when all have, the epoch is pending, and the
    /// letters of it are flushed.
    async fn pass(
        &mut self,
        under_way: &mut UnderWay,
        node: NodeId,
        record: Record,
        counters: Counters,
    ) -> Result<(), RunError> {
        under_way.passing.remove(&node);
        under_way.counters.insert(node.clone(), counters);
        match record {
            Record::Nothing => {}
            Record::Source { position, is_finished } => {
                if let Some(position) = position {
                    under_way.checkpoint.positions.insert(node.clone(), position);
                }
                if is_finished {
                    under_way.checkpoint.finished.insert(node);
                }
            }
            Record::State(parts) => {
                let version = self.plan.nodes.iter().find(|known| known.id == node).map(|node| version(node));
                let saved = SavedState { version: version.unwrap_or_default(), parts };
                under_way.checkpoint.states.insert(node, saved);
            }
        }
        if !under_way.passing.is_empty() {
            return Ok(());
        }
        let epoch = under_way.barrier.epoch;
        let stored = self.plan.options.store.put_pending(under_way.checkpoint.clone()).await;
        stored.map_err(|error| unkept(epoch, error))?;
        under_way.is_pending = true;
        // fails only when the dead-letter task has ended, which is seen on its own
        let _ = self.plan.postbox.flush(epoch).await;
        Ok(())
    }

    /// Every sink took the epoch, and the store knows it.
    fn commit(&mut self, generation: &Generation, taken: UnderWay) {
        let epoch = taken.barrier.epoch;
        self.committed = Some(taken.checkpoint);
        self.counted = taken.counters;
        self.recovery = Recovery::default();
        self.shared.committed(epoch);
        for link in &generation.links {
            link.edge.ack(epoch);
        }
        for source in self.plan.of_role(Role::Source) {
            generation.tell(&source.id, Control::Ack(epoch));
        }
        self.plan.tell(&RunEvent::Committed { epoch, took: taken.started.elapsed() });
    }

    /// Drops all tasks. Sinks that are not in the middle of a long call forget what no
    /// epoch covers, so that nothing half-written stays.
    async fn give_up(&mut self, mut generation: Generation, mut progress: Progress) {
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
    async fn halt(
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
                    let is_missing = |node: &&Arc<flowctl_topology::Node>| !progress.sinks.contains_key(&node.id);
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
    async fn go_back(
        &mut self,
        setback: Setback,
        mut sinks: BTreeMap<NodeId, Box<dyn Sink>>,
    ) -> Result<Parts, RunError> {
        self.recovery.learn(&setback, self.plan.options.max_rewinds, self.plan.options.max_isolated)?;
        tracing::warn!(
            node = %setback.node,
            error = %setback.fault,
            epoch = self.committed.as_ref().map_or(0, |committed| committed.epoch),
            "run goes back to the last barrier"
        );
        if let Some(source) = self.plan.of_role(Role::Source).find(|node| !self.replayable.contains(&node.id)) {
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
        if !setback.is_loss() {
            self.plan.restarted(setback.node, setback.fault.to_string());
        }
        for (node, metrics) in &self.plan.metrics {
            metrics.rewind(&self.counted.get(node).copied().unwrap_or_default());
        }
        Ok(Parts { sources, stages: BTreeMap::new(), instances: BTreeMap::new(), sinks })
    }
}

/// Lets the dead-letter task write what it has, also after a failure: these letters say
/// what happened.
async fn close_letters(plan: Plan, letters: &mut JoinHandle<Result<(), Fault>>, epoch: u64) -> Result<(), RunError> {
    let patience = plan.options.patience;
    let closing = async {
        let _ = plan.postbox.flush(epoch).await;
        drop(plan);
        (&mut *letters).await
    };
    let closed = tokio::time::timeout(patience, closing).await;
    match closed {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(ended) => Err(letters_error(ended)),
        Err(_) => {
            letters.abort();
            Err(RunError::DeadLetters(Fault::Fatal(format!("not written within {} s", patience.as_secs()))))
        }
    }
}

fn unkept(epoch: u64, error: StoreError) -> RunError {
    RunError::Checkpoint { epoch, source: Arc::new(error) }
}

fn letters_error(ended: Result<Result<(), Fault>, tokio::task::JoinError>) -> RunError {
    match ended {
        Ok(Ok(())) => RunError::Internal("the dead-letter task left early".to_owned()),
        Ok(Err(fault)) => RunError::DeadLetters(fault),
        Err(error) => RunError::DeadLetters(Fault::Fatal(crate::node::panicked(error).to_string())),
    }
}
