//! A run: one topology at work, from its start to its summary.
//!
//! Invariant: a run owns its tasks and shares nothing with other runs but what its
//! workshop shares. A panic in one of its tasks is a failure of that node; dropping
//! the run ends its tasks.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Instant;

use flowctl_schema::Role;
use flowctl_topology::Topology;
use flowctl_types::NodeId;
use tokio::sync::{mpsc, watch};
use tracing::Instrument as _;

use crate::change::letters_retry;
use crate::coordinator::{Coordinator, fixed_sources};
use crate::error::{ApplyError, RunError};
use crate::generation::Link;
use crate::letters::{Postbox, deliver};
use crate::live::{self, ChangeOptions, ReadyChange, Request};
use crate::metrics::{Counters, NodeMetrics};
use crate::node::Guarded;
use crate::options::Options;
use crate::plan::Plan;
use crate::prepare::{Prepared, prepare};
use crate::recovery::Recovery;
use crate::spans::Spans;
use crate::summary::{EdgeFigures, NodeFigures, Snapshot, Status, Summary};
use crate::tap::Tap;
use crate::{Change, Workshop};

/// Reports that may wait for the coordinator.
const REPORTS_LEN: usize = 64;
/// Changes that may wait for the coordinator: one is made at a time.
const CHANGES_LEN: usize = 1;

/// One topology at work. Dropping it ends its tasks at once.
pub struct Run {
    workshop: Arc<dyn Workshop>,
    options: Arc<Options>,
    handle: RunHandle,
    lead: Option<Guarded<Summary>>,
}

/// What steers and shows a run. Cheap to clone.
#[derive(Clone)]
pub struct RunHandle {
    id: Arc<str>,
    stop: Arc<watch::Sender<Option<Stop>>>,
    shared: Arc<OnceLock<Arc<Shared>>>,
    /// Held by whoever changes the topology.
    permit: Arc<tokio::sync::Mutex<()>>,
}

/// How a run is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Sources emit nothing more; what is under way flows to the sinks, which take it.
    Drain,
    /// At once. What the run leaves is the last committed epoch.
    Now,
}

/// What can be seen of a run while it goes.
pub(crate) struct Shared {
    started: Instant,
    shown: Mutex<Shown>,
    epoch: AtomicU64,
    changes: mpsc::Sender<Request>,
    options: Arc<Options>,
    spans: Spans,
    /// Weak: whoever looks at a run that is over must not keep its components.
    workshop: Weak<dyn Workshop>,
}

/// What runs now, and what did.
struct Shown {
    topology: Arc<Topology>,
    revision: u64,
    /// In the topology's order; those that left stay at the end.
    nodes: Vec<(NodeId, Role, Arc<NodeMetrics>)>,
    links: Vec<Link>,
}

/// Ends all taps when the run ends, however it does.
struct Ending(Arc<Shared>);

impl Run {
    /// A run of the empty topology.
    #[must_use]
    pub fn new(workshop: Arc<dyn Workshop>, options: Options) -> Self {
        let random = || format!("{:016x}", RandomState::new().build_hasher().finish());
        let id = options.run_id.clone().unwrap_or_else(random);
        let (stop, _) = watch::channel(None);
        let handle = RunHandle { id: id.into(), stop: Arc::new(stop), shared: Arc::default(), permit: Arc::default() };
        Self { workshop, options: Arc::new(options), handle, lead: None }
    }

    /// Makes a change: prepares every node that it adds, and starts them when all are
    /// ready. It is the one way to a running topology; of one that runs already it is
    /// [`RunHandle::prepare`] and [`ReadyChange::switch`], without a trial.
    ///
    /// # Errors
    ///
    /// [`ApplyError`] with every node that cannot be prepared. Nothing ran then, no sink
    /// was written to, and the run is as it was.
    pub async fn apply(&mut self, change: Change) -> Result<(), ApplyError> {
        if self.lead.is_some() {
            return self.handle.prepare(change, ChangeOptions::default()).await?.switch().await.map(drop);
        }
        let spans = Spans::new(Arc::clone(&self.handle.id));
        let topology = Arc::new(change.topology);
        let prepared = prepare(&topology, &self.workshop, &self.options, &spans).await?;
        self.start(topology, prepared, spans);
        Ok(())
    }

    /// What steers and shows the run.
    #[must_use]
    pub fn handle(&self) -> RunHandle {
        self.handle.clone()
    }

    /// Waits for the end. A run without a topology has completed. Cancel-safe.
    pub async fn wait(&mut self) -> Summary {
        match &mut self.lead {
            None => self.handle.summary(Status::Completed, None, &HashMap::new()),
            Some(lead) => match lead.join().await {
                Ok(summary) => summary,
                Err(error) => {
                    let error = RunError::Internal(error.to_string());
                    self.handle.summary(Status::Failed, Some(error), &HashMap::new())
                }
            },
        }
    }

    fn start(&mut self, topology: Arc<Topology>, prepared: Prepared, spans: Spans) {
        let Prepared { stages, parts, letters, checkpoint, replay, last_epoch } = prepared;
        let (changes, requests) = mpsc::channel(CHANGES_LEN);
        let (reporter, reports) = mpsc::channel(REPORTS_LEN);
        let (postbox, mail) = Postbox::new(self.options.letter_bytes);
        let backoff = self.options.backoff(&letters_retry(&topology), "dead-letters");
        let observer = Arc::clone(&self.options.observer);
        let letters = deliver(letters, mail, backoff, reporter.clone(), observer);
        let run_span = spans.run();
        let letters = tokio::spawn(letters.instrument(run_span.clone()));
        let metrics: HashMap<_, _> =
            topology.nodes.iter().map(|node| (node.id.clone(), Arc::new(NodeMetrics::default()))).collect();
        let plan = Plan {
            nodes: topology.nodes.iter().cloned().map(Arc::new).collect(),
            topology,
            revision: 1,
            stages,
            metrics,
            workshop: Arc::clone(&self.workshop),
            options: Arc::clone(&self.options),
            activity: Arc::default(),
            postbox,
            reports: reporter,
            spans,
            next_link: Arc::default(),
        };
        let epoch = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.epoch);
        let shared = Arc::new(Shared::new(&plan, epoch, changes));
        shared.watch(&plan, Vec::new());
        // a run starts once: `apply` refuses another
        let _ = self.handle.shared.set(Arc::clone(&shared));
        let ending = Ending(Arc::clone(&shared));
        let coordinator = Coordinator {
            plan,
            shared,
            reports,
            stop: self.handle.stop.subscribe(),
            letters,
            have_letters_ended: false,
            requests,
            changing: None,
            fixed: fixed_sources(&parts),
            committed: checkpoint,
            replay,
            epoch: last_epoch,
            counted: HashMap::new(),
            recovery: Recovery::default(),
        };
        let handle = self.handle.clone();
        let lead = async move {
            let _ending = ending;
            let (status, error, counted) = coordinator.lead(parts).await;
            handle.summary(status, error, &counted)
        };
        self.lead = Some(Guarded::new(tokio::spawn(lead.instrument(run_span))));
    }
}

impl RunHandle {
    /// The run's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Tells the run to stop, and returns at once. [`Stop::Now`] overrules a drain.
    pub fn stop(&self, stop: Stop) {
        self.stop.send_modify(|wanted| *wanted = (*wanted).max(Some(stop)));
    }

    /// What the run looks like now; none before it has started.
    #[must_use]
    pub fn snapshot(&self) -> Option<Snapshot> {
        self.shared.get().map(|shared| shared.snapshot())
    }

    /// Shows the batches that leave `node`, or reach it where it is a sink, from now on.
    /// The stream does not wait for whoever looks: when `capacity` batches wait, further
    /// ones are left out. None where the run has no such node, has not started, or is
    /// over.
    #[must_use]
    pub fn tap(&self, node: &NodeId, capacity: usize) -> Option<Tap> {
        self.shared.get()?.metrics(node)?.probe.tap(capacity)
    }

    /// What runs now; none before it has started.
    #[must_use]
    pub fn topology(&self) -> Option<Arc<Topology>> {
        self.shared.get().map(|shared| Arc::clone(&shared.shown().topology))
    }

    /// The number of changes that made what runs now, the start included; 0 before it has
    /// started. A change that is rolled back is another change.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.shared.get().map_or(0, |shared| shared.shown().revision)
    }

    /// Makes everything new that `change` needs, while the run goes on as it is. Changes of
    /// one run are made one after the other: this waits until the one before is settled.
    ///
    /// # Errors
    ///
    /// [`ApplyError`] with every node that cannot be prepared; nothing has changed then.
    pub async fn prepare(&self, change: Change, options: ChangeOptions) -> Result<ReadyChange, ApplyError> {
        let permit = Arc::clone(&self.permit).lock_owned().await;
        let shared = self.shared.get().ok_or(ApplyError::Over)?;
        let workshop = shared.workshop.upgrade().ok_or(ApplyError::Over)?;
        let running = Arc::clone(&shared.shown().topology);
        let epoch = shared.epoch.load(Ordering::Relaxed);
        let with = (&workshop, &*shared.options, &shared.spans);
        let ready = live::prepare(change, &running, with, options.discards_state, epoch).await?;
        Ok(ReadyChange { ready, trial: options.trial, permit, changes: shared.changes.clone() })
    }

    fn summary(&self, status: Status, error: Option<RunError>, counted: &HashMap<NodeId, Counters>) -> Summary {
        let shared = self.shared.get();
        let nodes = shared.map(|shared| shared.figures()).unwrap_or_default();
        let of_role = |role| nodes.iter().filter(move |(_, figures)| figures.role == role);
        let taken = |id: &NodeId| counted.get(id).map_or(0, |counters| counters.events_out);
        Summary {
            run_id: self.id.to_string(),
            status,
            duration_ms: shared
                .map_or(0, |shared| u64::try_from(shared.started.elapsed().as_millis()).unwrap_or(u64::MAX)),
            events_in: of_role(Role::Source).map(|(_, figures)| figures.counters.events_in).sum(),
            events_out: of_role(Role::Sink).map(|(id, _)| taken(id)).sum(),
            rejected: nodes.iter().map(|(_, figures)| figures.counters.rejected).sum(),
            epoch: shared.map_or(0, |shared| shared.epoch.load(Ordering::Relaxed)),
            per_node: nodes
                .into_iter()
                .map(|(id, mut figures)| {
                    // what a sink was given and did not keep is not what it took
                    if figures.role == Role::Sink {
                        figures.counters.events_out = taken(&id);
                    }
                    (id, figures)
                })
                .collect::<BTreeMap<_, _>>(),
            error: error.as_ref().map(RunError::describe),
            fault: error,
        }
    }
}

impl Shared {
    fn new(plan: &Plan, epoch: u64, changes: mpsc::Sender<Request>) -> Self {
        let topology = Arc::clone(&plan.topology);
        Self {
            started: Instant::now(),
            shown: Mutex::new(Shown { topology, revision: 0, nodes: Vec::new(), links: Vec::new() }),
            epoch: AtomicU64::new(epoch),
            changes,
            options: Arc::clone(&plan.options),
            spans: plan.spans.clone(),
            workshop: Arc::downgrade(&plan.workshop),
        }
    }

    /// Shows what `plan` has, and these edges, from now on.
    pub(crate) fn watch(&self, plan: &Plan, links: Vec<Link>) {
        let mut shown = self.shown();
        let mut nodes: Vec<_> =
            plan.nodes.iter().map(|node| (node.id.clone(), node.role, plan.node_metrics(&node.id))).collect();
        let is_gone = |(id, ..): &(NodeId, Role, Arc<NodeMetrics>)| plan.node(id).is_none();
        nodes.extend(shown.nodes.drain(..).filter(is_gone));
        *shown = Shown { topology: Arc::clone(&plan.topology), revision: plan.revision, nodes, links };
    }

    /// What a node counted, one that left included.
    pub(crate) fn metrics(&self, node: &NodeId) -> Option<Arc<NodeMetrics>> {
        self.shown().nodes.iter().find(|(id, ..)| id == node).map(|(_, _, metrics)| Arc::clone(metrics))
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        // no code that can panic runs while the lock is held
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn committed(&self, epoch: u64) {
        self.epoch.store(epoch, Ordering::Relaxed);
    }

    fn figures(&self) -> Vec<(NodeId, NodeFigures)> {
        let figures = |(id, role, metrics): &(NodeId, Role, Arc<NodeMetrics>)| {
            let (restarts, memory_bytes, cpu_ns) = metrics.upkeep();
            let figures = NodeFigures {
                role: *role,
                counters: metrics.counters(),
                restarts,
                latency: metrics.latency.figures(),
                memory_bytes,
                cpu_ns,
                held_ns: metrics.held_ns(),
                waiting: None,
            };
            (id.clone(), figures)
        };
        self.shown().nodes.iter().map(figures).collect()
    }

    /// The figures, with what the nodes wait for.
    fn figures_now(&self) -> Vec<(NodeId, NodeFigures)> {
        let mut nodes = self.figures();
        if let Some(workshop) = self.workshop.upgrade() {
            nodes.iter_mut().for_each(|(id, figures)| figures.waiting = workshop.waiting(id));
        }
        nodes
    }

    fn snapshot(&self) -> Snapshot {
        let mut nodes = self.figures_now();
        let shown = self.shown();
        nodes.retain(|(id, _)| shown.topology.node(id).is_some());
        let edge = |link: &Link| EdgeFigures {
            from: link.from.clone(),
            to: link.to.clone(),
            pending: link.edge.pending(),
            max_batches: link.bounds.batches,
            max_bytes: link.bounds.bytes,
        };
        Snapshot {
            elapsed: self.started.elapsed(),
            epoch: self.epoch.load(Ordering::Relaxed),
            revision: shown.revision,
            nodes,
            edges: shown.links.iter().map(edge).collect(),
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.shown().nodes.iter().for_each(|(_, _, metrics)| metrics.probe.close());
    }
}
