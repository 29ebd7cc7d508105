//! A run: one topology at work, from its start to its summary.
//!
//! Invariant: a run owns its tasks and shares nothing with other runs but what its
//! workshop shares. A panic in one of its tasks is a failure of that node; dropping
//! the run ends its tasks.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Instant;

use flowctl_schema::Role;
use flowctl_types::NodeId;
use tokio::sync::{mpsc, watch};
use tracing::Instrument as _;

use crate::coordinator::Coordinator;
use crate::error::{ApplyError, RunError};
use crate::generation::{Link, Parts, Plan};
use crate::letters::{Postbox, deliver};
use crate::metrics::{Counters, NodeMetrics};
use crate::node::Guarded;
use crate::options::Options;
use crate::prepare::{Prepared, prepare};
use crate::recovery::Recovery;
use crate::spans::Spans;
use crate::summary::{EdgeFigures, NodeFigures, Snapshot, Status, Summary};
use crate::tap::Tap;
use crate::{Change, Workshop};

/// Reports that may wait for the coordinator.
const REPORTS_LEN: usize = 64;

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
    nodes: Vec<(NodeId, Role, Arc<NodeMetrics>)>,
    links: Mutex<Vec<Link>>,
    epoch: AtomicU64,
    /// Weak: whoever looks at a run that is over must not keep its components.
    workshop: Weak<dyn Workshop>,
}

/// Ends all taps when the run ends, however it does.
struct Ending(Arc<Shared>);

impl Run {
    /// A run of the empty topology.
    #[must_use]
    pub fn new(workshop: Arc<dyn Workshop>, options: Options) -> Self {
        let id = format!("{:016x}", RandomState::new().build_hasher().finish());
        let (stop, _) = watch::channel(None);
        let handle = RunHandle { id: id.into(), stop: Arc::new(stop), shared: Arc::default() };
        Self { workshop, options: Arc::new(options), handle, lead: None }
    }

    /// Makes a change: prepares every node that it adds, and starts them when all are
    /// ready. It is the one way to a running topology.
    ///
    /// # Errors
    ///
    /// [`ApplyError`] with every node that cannot be prepared. Nothing ran then, no sink
    /// was written to, and the run is as it was.
    pub async fn apply(&mut self, change: Change) -> Result<(), ApplyError> {
        if self.lead.is_some() {
            return Err(ApplyError::Started);
        }
        let spans = Spans::new(Arc::clone(&self.handle.id));
        let prepared = prepare(&change, &self.workshop, &self.options, &spans).await?;
        self.start(change, prepared, spans);
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

    fn start(&mut self, change: Change, prepared: Prepared, spans: Spans) {
        let Prepared { sources, stages, instances, sinks, letters, checkpoint, replay, last_epoch } = prepared;
        let (reporter, reports) = mpsc::channel(REPORTS_LEN);
        let (postbox, mail) = Postbox::new(self.options.letter_bytes);
        let backoff = self.options.backoff(&change.letters_retry(), "dead-letters");
        let observer = Arc::clone(&self.options.observer);
        let letters = deliver(letters, mail, backoff, reporter.clone(), observer);
        let run_span = spans.run();
        let letters = tokio::spawn(letters.instrument(run_span.clone()));
        let metrics: HashMap<_, _> =
            change.nodes.iter().map(|node| (node.id.clone(), Arc::new(NodeMetrics::default()))).collect();
        let plan = Plan {
            nodes: change.nodes.iter().cloned().map(Arc::new).collect(),
            change,
            metrics,
            workshop: Arc::clone(&self.workshop),
            options: Arc::clone(&self.options),
            activity: Arc::default(),
            postbox,
            reports: reporter,
            spans,
        };
        let shared = Arc::new(Shared::new(&plan, checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.epoch)));
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
            replayable: sources.iter().filter(|(_, source)| source.is_replayable()).map(|(id, _)| id.clone()).collect(),
            committed: checkpoint,
            replay,
            epoch: last_epoch,
            counted: HashMap::new(),
            recovery: Recovery::default(),
        };
        let handle = self.handle.clone();
        let lead = async move {
            let _ending = ending;
            let parts = Parts { sources, stages, instances, sinks };
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
        let (_, _, metrics) = self.shared.get()?.nodes.iter().find(|(id, ..)| id == node)?;
        metrics.probe.tap(capacity)
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
            per_node: nodes.into_iter().collect::<BTreeMap<_, _>>(),
            error: error.as_ref().map(RunError::describe),
            fault: error,
        }
    }
}

impl Shared {
    fn new(plan: &Plan, epoch: u64) -> Self {
        let metrics = |id| plan.metrics.get(id).cloned().unwrap_or_default();
        Self {
            started: Instant::now(),
            nodes: plan.nodes.iter().map(|node| (node.id.clone(), node.role, metrics(&node.id))).collect(),
            links: Mutex::default(),
            epoch: AtomicU64::new(epoch),
            workshop: Arc::downgrade(&plan.workshop),
        }
    }

    /// Shows these edges from now on.
    pub(crate) fn watch(&self, links: Vec<Link>) {
        *self.links.lock().unwrap_or_else(PoisonError::into_inner) = links;
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
                waiting: None,
            };
            (id.clone(), figures)
        };
        self.nodes.iter().map(figures).collect()
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
        let nodes = self.figures_now();
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
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
            nodes,
            edges: links.iter().map(edge).collect(),
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.nodes.iter().for_each(|(_, _, metrics)| metrics.probe.close());
    }
}
