//! Starts barriers, commits epochs, and decides how a run goes on when a node ends.
//!
//! Invariant: an epoch is committed only when every sink and the dead-letter sink took
//! it, and is acknowledged only then. The protocol is in [`crate::checkpoint`]. One barrier
//! or change of the topology is under way at a time.

mod changing;
mod rewind;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flowctl_schema::Role;
use flowctl_topology::Node;
use flowctl_types::NodeId;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use self::changing::Changing;
use crate::checkpoint::{Checkpoint, SavedState, StoreError};
use crate::edge::Barrier;
use crate::error::{RunError, Setback};
use crate::generation::{Ended, Generation, Parts};
use crate::live::Request;
use crate::metrics::Counters;
use crate::node::{Control, Record, Report};
use crate::plan::{Beginning, Plan};
use crate::progress::{Progress, UnderWay};
use crate::recovery::Recovery;
use crate::resume::Replay;
use crate::run::{Shared, Stop};
use crate::summary::Status;
use crate::{Fault, RunEvent};

/// Between two looks at what is on trial.
const LOOK_PERIOD: Duration = Duration::from_millis(10);

/// Leads a run from its start to its end.
pub(crate) struct Coordinator {
    pub(crate) plan: Plan,
    pub(crate) shared: Arc<Shared>,
    pub(crate) reports: mpsc::Receiver<Report>,
    pub(crate) stop: watch::Receiver<Option<Stop>>,
    pub(crate) letters: JoinHandle<Result<(), Fault>>,
    /// Whether what the dead-letter task ended with was seen.
    pub(crate) have_letters_ended: bool,
    /// Changes that are asked for.
    pub(crate) requests: mpsc::Receiver<Request>,
    /// The change that is not settled.
    pub(crate) changing: Option<Changing>,
    /// Sources that cannot repeat their events.
    pub(crate) fixed: HashSet<NodeId>,
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
            let beginning = Beginning {
                checkpoint: self.committed.as_ref(),
                next_epoch: self.epoch + 1,
                replay: replay.as_ref(),
                suspicions: &self.recovery.suspicions,
            };
            let mut generation = self.plan.launch(parts, beginning).await?;
            self.shared.watch(&self.plan, generation.links.clone());
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
                }
            }
        }
    }

    async fn conduct(&mut self, generation: &mut Generation, progress: &mut Progress) -> Verdict {
        let mut every = self.checkpoint_interval();
        let mut barriers = periodic(every);
        let mut looks = periodic(LOOK_PERIOD);
        loop {
            if every != self.checkpoint_interval() {
                every = self.checkpoint_interval();
                barriers = periodic(every);
            }
            match *self.stop.borrow_and_update() {
                Some(Stop::Now) => return Verdict::Stopped,
                Some(Stop::Drain) if !progress.is_draining => {
                    progress.is_draining = true;
                    self.plan.of_role(Role::Source).for_each(|node| generation.tell(&node.id, Control::Drain));
                }
                _ => {}
            }
            if progress.awaits_last() && !self.is_switching() {
                self.inject(generation, progress, true);
            } else if progress.is_free() && self.awaits_settling() {
                self.inject(generation, progress, false);
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
                    Some(ended) => self.settle(generation, progress, ended),
                    None if progress.is_last_committed => return Verdict::Over,
                    None => Err(RunError::Internal("all nodes left before the last barrier".to_owned())),
                },
                request = self.requests.recv(), if progress.is_free() && self.changing.is_none() => {
                    if let Some(request) = request {
                        self.begin(generation, progress, request);
                    }
                    Ok(())
                }
                _ = looks.tick(), if self.is_on_trial() => {
                    self.judge(generation, progress);
                    Ok(())
                }
                _ = barriers.tick() => {
                    let activity = self.plan.activity.load(Ordering::Relaxed);
                    if progress.is_free() && self.changing.is_none() && activity != progress.activity {
                        progress.activity = activity;
                        self.inject(generation, progress, false);
                    }
                    Ok(())
                }
            };
            if let Err(error) = result {
                match self.blamed_on_change(&error) {
                    Some(setback) => progress.setback.get_or_insert(setback),
                    None => return Verdict::Failed(error),
                };
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
        let barrier = Barrier { epoch: self.epoch, is_last, revision: None };
        begin_barrier(&self.plan, barrier, generation, progress);
    }

    fn checkpoint_interval(&self) -> Duration {
        self.plan.topology.settings.checkpoint_interval.max(Duration::from_millis(1))
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
                if let Some(under_way) = under_way.filter(|under_way| under_way.barrier.epoch == epoch) {
                    under_way.taking.iter().for_each(|sink| generation.tell(sink, Control::Take(epoch)));
                }
            }
            Report::Switched { node, revision, held, n_stranded } => {
                self.switched(&node, revision, held, n_stranded);
            }
            Report::FellBack { node, reason } => self.fell_back(generation, &node, &reason),
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
            Record::State { version, parts } => {
                under_way.checkpoint.states.insert(node, SavedState { version, parts });
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
        // those that left keep what they counted
        self.counted.extend(taken.counters);
        self.recovery = Recovery::default();
        self.shared.committed(epoch);
        for link in &generation.links {
            link.edge.ack(epoch);
        }
        for source in &taken.sources {
            generation.tell(source, Control::Ack(epoch));
        }
        self.plan.tell(&RunEvent::Committed { epoch, took: taken.started.elapsed() });
        self.committed_change(taken.barrier);
    }

    /// Takes note of a task's end.
    fn settle(&self, generation: &mut Generation, progress: &mut Progress, ended: Ended) -> Result<(), RunError> {
        let node = ended.node.clone();
        let settled = progress.settle(ended);
        if self.plan.node(&node).is_none() {
            // it left with a change
            generation.forget(&node);
            progress.sinks.remove(&node);
        }
        settled
    }
}

/// Starts `barrier` at all sources of `plan`.
fn begin_barrier(plan: &Plan, barrier: Barrier, generation: &Generation, progress: &mut Progress) {
    let ids = |node: &Arc<Node>| node.id.clone();
    let sources: Vec<_> = plan.of_role(Role::Source).map(ids).collect();
    for source in &sources {
        generation.tell(source, Control::Barrier(barrier));
    }
    progress.under_way = Some(UnderWay {
        barrier,
        started: Instant::now(),
        sources,
        passing: plan.nodes.iter().map(ids).collect(),
        taking: plan.of_role(Role::Sink).map(ids).collect(),
        is_pending: false,
        checkpoint: Checkpoint { epoch: barrier.epoch, ..Checkpoint::default() },
        counters: HashMap::new(),
    });
}

/// The sources that cannot repeat their events.
pub(crate) fn fixed_sources(parts: &Parts) -> HashSet<NodeId> {
    parts.sources.iter().filter(|(_, source)| !source.is_replayable()).map(|(id, _)| id.clone()).collect()
}

fn periodic(every: Duration) -> Interval {
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
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
