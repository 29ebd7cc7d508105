//! Several instances of a stateless processor that share the work.
//!
//! Invariant: results come out in the order the batches went in. At most two batches
//! an instance are under way or wait for an earlier one.

use std::collections::VecDeque;
use std::sync::Arc;

use flowctl_types::Batch;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use crate::Outcome;
use crate::error::NodeError;
use crate::worker::{Call, Trouble, Worker};

/// The instances of one node.
pub(crate) struct Crew {
    size: usize,
    idle: Vec<Worker>,
    returned: mpsc::Receiver<Worker>,
    give_back: mpsc::Sender<Worker>,
    jobs: VecDeque<Job>,
}

/// A task that ends when nobody waits for it any more.
pub(crate) struct Guarded<T>(JoinHandle<T>);

struct Job {
    batch: Arc<Batch>,
    task: Guarded<Result<Outcome, Trouble>>,
}

/// A batch and what came of it.
pub(crate) type Done = (Arc<Batch>, Result<Outcome, Trouble>);

impl Crew {
    pub(crate) fn new(workers: Vec<Worker>) -> Self {
        let (give_back, returned) = mpsc::channel(workers.len().max(1));
        Self { size: workers.len(), idle: workers, returned, give_back, jobs: VecDeque::new() }
    }

    /// Whether a batch can be started now.
    pub(crate) fn has_room(&self) -> bool {
        !self.idle.is_empty() && self.jobs.len() < self.size * 2
    }

    /// Starts a batch. Call it only when there is room.
    pub(crate) fn start(&mut self, batch: Arc<Batch>) {
        let mut worker = self.idle.pop().expect("asked for room before");
        let give_back = self.give_back.clone();
        let input = Arc::clone(&batch);
        let call = async move {
            let result = worker.call(Call::Process(&input)).await;
            // fails only when the node is gone, and the worker with it
            let _ = give_back.send(worker).await;
            result
        };
        let task = Guarded(tokio::spawn(call.in_current_span()));
        self.jobs.push_back(Job { batch, task });
    }

    /// Waits for the next result in order, or for room. None: something is different
    /// now, ask again. Never ends when nothing is under way. Cancel-safe.
    pub(crate) async fn progress(&mut self) -> Result<Option<Done>, NodeError> {
        let is_short = self.idle.len() < self.size;
        let Some(job) = self.jobs.front_mut() else {
            if is_short {
                let worker = self.returned.recv().await;
                self.idle.extend(worker);
                return Ok(None);
            }
            return std::future::pending().await;
        };
        let result = tokio::select! {
            biased;
            worker = self.returned.recv(), if is_short => {
                self.idle.extend(worker);
                return Ok(None);
            }
            result = job.task.join() => result?,
        };
        let batch = self.jobs.pop_front().map(|job| job.batch);
        Ok(batch.map(|batch| (batch, result)))
    }

    /// The next result in order; none when nothing is under way.
    pub(crate) async fn next(&mut self) -> Result<Option<Done>, NodeError> {
        while !self.jobs.is_empty() {
            if let Some(done) = self.progress().await? {
                return Ok(Some(done));
            }
        }
        Ok(None)
    }

    /// An instance that has nothing to do; waits for one. Hand it back with
    /// [`Crew::put`].
    pub(crate) async fn take(&mut self) -> Option<Worker> {
        match self.idle.pop() {
            Some(worker) => Some(worker),
            None => self.returned.recv().await,
        }
    }

    pub(crate) fn put(&mut self, worker: Worker) {
        self.idle.push(worker);
    }

    /// All instances, once nothing is under way.
    pub(crate) async fn all(&mut self) -> &mut [Worker] {
        while self.idle.len() < self.size {
            match self.returned.recv().await {
                Some(worker) => self.idle.push(worker),
                None => break,
            }
        }
        &mut self.idle
    }
}

impl<T> Guarded<T> {
    pub(crate) fn new(task: JoinHandle<T>) -> Self {
        Self(task)
    }

    /// Waits for the task's end. Cancel-safe.
    pub(crate) async fn join(&mut self) -> Result<T, NodeError> {
        (&mut self.0).await.map_err(panicked)
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a task said when it panicked.
pub(crate) fn panicked(error: tokio::task::JoinError) -> NodeError {
    if !error.is_panic() {
        return NodeError::Panicked("its task was cancelled".to_owned());
    }
    let payload = error.into_panic();
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    NodeError::Panicked(text.to_owned())
}
