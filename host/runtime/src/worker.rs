//! One instance of a processor: calls it, repeats what is worth repeating, and never
//! calls it again when it broke or said that it cannot go on.
//!
//! Invariant: an outcome that leaves here names only events that were in the input.

use std::sync::Arc;
use std::time::Duration;

use flowctl_topology::Node;
use flowctl_types::{Batch, NodeId};

use crate::error::NodeError;
use crate::metrics::{NodeMetrics, Stopwatch};
use crate::options::{Backoff, Options};
use crate::{Fault, Outcome, Processor, RunEvent, Stage, State, Usage};

/// One instance, or the room for one.
pub(crate) struct Worker {
    node: NodeId,
    stage: Arc<dyn Stage>,
    instance: Option<Box<dyn Processor>>,
    /// What the last instance broke of, until there is another.
    broken: Option<String>,
    /// What the instance was said to use.
    usage: Usage,
    backoff: Backoff,
    options: Arc<Options>,
    metrics: Arc<NodeMetrics>,
}

/// Why a call gave no outcome.
pub(crate) enum Trouble {
    /// The input may be to blame. Holds [`Fault::Fatal`], [`Fault::Crashed`], or the
    /// [`Fault::Retry`] that the last attempt ended with.
    Input(Fault),
    /// The node cannot go on.
    Node(NodeError),
}

/// What to call an instance for.
#[derive(Clone, Copy)]
pub(crate) enum Call<'a> {
    Process(&'a Batch),
    Tick(u64),
    End,
}

impl Worker {
    /// Takes over an instance; where there is none, makes one when it is needed.
    pub(crate) fn new(
        node: &Node,
        stage: Arc<dyn Stage>,
        instance: Option<Box<dyn Processor>>,
        options: Arc<Options>,
        metrics: Arc<NodeMetrics>,
    ) -> Self {
        let backoff = options.backoff(&node.settings.retry, node.id.as_str());
        let (node, usage) = (node.id.clone(), Usage::default());
        let mut worker = Self { node, stage, instance, broken: None, usage, backoff, options, metrics };
        worker.account();
        worker
    }

    /// Makes a call, repeating it while the instance asks for that.
    pub(crate) async fn call(&mut self, call: Call<'_>) -> Result<Outcome, Trouble> {
        let stopwatch = Stopwatch::start();
        let result = self.repeat(call).await;
        if let Call::Process(_) = call {
            self.metrics.latency.record(stopwatch.elapsed());
        }
        result
    }

    async fn repeat(&mut self, call: Call<'_>) -> Result<Outcome, Trouble> {
        let mut attempt = 0;
        loop {
            let metrics = Arc::clone(&self.metrics);
            let instance = self.instance().await?;
            let stopwatch = Stopwatch::start();
            let result = match call {
                Call::Process(batch) => instance.process(batch).await,
                Call::Tick(now) => instance.tick(now).await,
                Call::End => instance.end().await,
            };
            metrics.busy(&stopwatch);
            self.account();
            match result {
                Ok(outcome) => {
                    let checked = check(call, outcome);
                    if let Err(fault) = &checked {
                        self.discard(fault);
                    }
                    return checked.map_err(Trouble::Input);
                }
                Err(fault) => match self.after(fault, attempt, call.doing()).await {
                    Ok(n_attempts) => attempt = n_attempts,
                    Err(Trouble::Node(NodeError::Exhausted { source, .. })) if matches!(call, Call::Process(_)) => {
                        return Err(Trouble::Input(source));
                    }
                    Err(trouble) => return Err(trouble),
                },
            }
        }
    }

    /// The state in parts.
    pub(crate) async fn save(&mut self) -> Result<State, Trouble> {
        let mut attempt = 0;
        loop {
            let saved = self.instance().await?.save().await;
            self.account();
            match saved {
                Ok(state) => return Ok(state),
                Err(fault) => attempt = self.after(fault, attempt, "save its state").await?,
            }
        }
    }

    /// Hands over the state that `version` saved.
    pub(crate) async fn restore(&mut self, version: &str, state: &State) -> Result<(), Trouble> {
        let mut attempt = 0;
        loop {
            let restored = self.instance().await?.restore(version, state.clone()).await;
            self.account();
            match restored {
                Ok(()) => return Ok(()),
                Err(fault) => attempt = self.after(fault, attempt, "restore its state").await?,
            }
        }
    }

    async fn instance(&mut self) -> Result<&mut Box<dyn Processor>, Trouble> {
        let instance = match self.instance.take() {
            Some(instance) => instance,
            None => self.make().await?,
        };
        Ok(self.instance.insert(instance))
    }

    async fn make(&mut self) -> Result<Box<dyn Processor>, Trouble> {
        let made = self.stage.instantiate().await;
        let instance = made.map_err(|error| Trouble::Node(NodeError::Instantiate(Arc::new(error))))?;
        if let Some(reason) = self.broken.take() {
            let short = reason.lines().next().unwrap_or_default();
            tracing::warn!(reason = short, "component was made anew");
            self.metrics.restarted();
            self.options.observer.observe(&RunEvent::NodeRestarted { node: self.node.clone(), reason });
        }
        Ok(instance)
    }

    /// Lets go of an instance that broke.
    fn discard(&mut self, fault: &Fault) {
        self.release();
        self.broken = Some(fault.to_string());
    }

    /// Lets go of the instance, and of what it was said to use.
    fn release(&mut self) {
        self.account();
        self.instance = None;
        let gone = Usage { memory_bytes: 0, ..self.usage };
        self.metrics.uses(self.usage, gone);
        self.usage = Usage::default();
    }

    /// Says what the instance uses now.
    fn account(&mut self) {
        if let Some(instance) = &self.instance {
            let usage = instance.usage();
            self.metrics.uses(self.usage, usage);
            self.usage = usage;
        }
    }

    /// Waits before the call is repeated, and answers how often it was made.
    async fn after(&mut self, fault: Fault, attempt: u32, doing: &'static str) -> Result<u32, Trouble> {
        let attempt = attempt + 1;
        match fault {
            Fault::Retry(reason) => match self.backoff.wait(attempt) {
                Some(wait) => {
                    tracing::debug!(%reason, attempt, wait_ms = wait.as_millis(), "call is repeated");
                    tokio::time::sleep(wait.max(Duration::from_millis(1))).await;
                    Ok(attempt)
                }
                None => {
                    Err(Trouble::Node(NodeError::Exhausted { doing, attempts: attempt, source: Fault::Retry(reason) }))
                }
            },
            // the contract lets an instance that cannot go on rest, broken or not
            Fault::Fatal(_) | Fault::Lost(_) | Fault::Crashed { .. } => {
                self.discard(&fault);
                Err(Trouble::Input(fault))
            }
        }
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Input(fault) => f.write_str(&fault.in_full()),
            Self::Node(error) => error.fmt(f),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.release();
    }
}

impl Call<'_> {
    pub(crate) fn doing(&self) -> &'static str {
        match self {
            Self::Process(_) => "process a batch",
            Self::Tick(_) => "tick",
            Self::End => "end",
        }
    }
}

/// Refuses an outcome that names events which were not there.
fn check(call: Call<'_>, outcome: Outcome) -> Result<Outcome, Fault> {
    let n_events = if let Call::Process(batch) = call { batch.len() } else { 0 };
    let nonsense = |what: &str, index: u32| Fault::Crashed {
        reason: format!("{what} event {index} of a batch of {n_events}"),
        log_tail: String::new(),
    };
    let is_out = |index: &u32| *index as usize >= n_events;
    if let Call::Process(_) = call
        && let Some(rejection) = outcome.rejected.iter().find(|rejection| is_out(&rejection.index))
    {
        return Err(nonsense("refused", rejection.index));
    }
    for output in &outcome.outputs {
        let n_origins = output.origins.len();
        if n_origins != 0 && n_origins != output.columns.len() {
            return Err(nonsense("gave origins for", u32::try_from(n_origins).unwrap_or(u32::MAX)));
        }
        if let Some(origin) = output.origins.iter().find(|origin| is_out(origin)) {
            return Err(nonsense("emitted from", *origin));
        }
    }
    Ok(outcome)
}
