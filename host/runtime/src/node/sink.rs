//! A sink's task: writes, and takes epochs.
//!
//! Invariant: when it reports a barrier, everything before it was written or refused,
//! and nothing behind it. It flushes an epoch only when told that it is pending. An
//! epoch that it holds already is not written again.

use std::sync::Arc;

use flowctl_schema::Schema;
use flowctl_topology::OnFailure;
use flowctl_types::Batch;
use tokio::sync::mpsc;
use tracing::Instrument as _;

use super::{Control, Record, Report, Seat, Switched};
use crate::error::{Exit, NodeError, Setback};
use crate::inputs::{Arrival, Inputs};
use crate::letters::Refusal;
use crate::metrics::Stopwatch;
use crate::options::Backoff;
use crate::prepare::open_sink;
use crate::switch::{Becomes, Slot};
use crate::{Fault, Sink};

/// A sink's task.
pub(crate) struct SinkNode {
    pub(crate) seat: Seat,
    pub(crate) sink: Box<dyn Sink>,
    pub(crate) schemas: Vec<Schema>,
    pub(crate) control: mpsc::Receiver<Control>,
    pub(crate) inputs: Inputs,
    /// The epoch that is replayed, where the sink holds it.
    pub(crate) held: Option<u64>,
    pub(crate) slot: Slot,
}

impl SinkNode {
    /// Runs until the last barrier is taken. Always hands the sink back.
    pub(crate) async fn run(mut self) -> (Result<(), Exit>, Box<dyn Sink>) {
        let result = self.serve().await;
        (result, self.sink)
    }

    async fn serve(&mut self) -> Result<(), Exit> {
        loop {
            match self.inputs.next().await? {
                Arrival::Batch(batch) => {
                    self.seat.metrics.probe.show(&batch, &self.schemas, batch.columns.kind);
                    if self.held.is_some() {
                        self.skip(&batch);
                    } else {
                        let span = self.seat.sampler.span(&batch);
                        self.write(&batch).instrument(span).await?;
                    }
                }
                Arrival::Finished(_) => {}
                Arrival::Barrier(barrier) => {
                    self.seat.passed(barrier.epoch, Record::Nothing).await?;
                    self.take(barrier.epoch).await?;
                    if barrier.is_last {
                        return Ok(());
                    }
                    if let Some(revision) = barrier.revision
                        && self.switch(revision).await? == Switched::Left
                    {
                        return Ok(());
                    }
                }
                Arrival::Switch(revision) => {
                    if self.switch(revision).await? == Switched::Left {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Takes a revision of the topology.
    async fn switch(&mut self, revision: u64) -> Result<Switched, Exit> {
        let since = self.inputs.held_since();
        let order = self.slot.take(revision).ok_or(Exit::Severed)?;
        let n_stranded = self.inputs.rewire(order.inputs);
        match order.part {
            Becomes::Leave => {
                self.seat.switched(revision, since, n_stranded).await?;
                return Ok(Switched::Left);
            }
            Becomes::Sink { schemas, sink } => {
                if let Some(sink) = sink {
                    self.sink = sink;
                    let opened = open_sink(&mut *self.sink, &order.seat.backoff).await;
                    opened.map_err(|source| NodeError::Call { doing: "open", source })?;
                }
                self.schemas = schemas;
            }
            Becomes::Stay | Becomes::Exchange(_) | Becomes::Source { .. } => {}
        }
        self.seat = order.seat;
        self.seat.switched(revision, since, n_stranded).await?;
        Ok(Switched::Stays)
    }

    /// Passes over what the sink holds.
    fn skip(&mut self, batch: &Batch) {
        self.seat.metrics.received(batch);
        self.seat.metrics.took(batch.len());
    }

    async fn write(&mut self, batch: &Arc<Batch>) -> Result<(), Exit> {
        self.seat.metrics.received(batch);
        let backoff = self.seat.backoff;
        let stopwatch = Stopwatch::start();
        let mut attempt = 0;
        let rejected = loop {
            match self.sink.write(batch).await {
                Ok(rejected) => break rejected,
                Err(fault) => attempt = self.wait(fault, attempt, &backoff, "write").await?,
            }
        };
        self.seat.metrics.busy(&stopwatch);
        self.seat.metrics.latency.record(stopwatch.elapsed());
        self.seat.metrics.took(batch.len().saturating_sub(rejected.len()));
        if let Some(rejection) = rejected.iter().find(|rejection| rejection.index as usize >= batch.len()) {
            return Err(NodeError::Rejection { index: rejection.index, n_events: batch.len() }.into());
        }
        let refusals = rejected.into_iter().map(|rejection| Refusal {
            attempts: attempt + 1,
            ..Refusal::rejected(rejection.index as usize, rejection.reason)
        });
        let refusals: Vec<_> = refusals.collect();
        if self.seat.on_failure == OnFailure::Stop
            && let Some(refusal) = refusals.first()
        {
            let source = Fault::Fatal(refusal.reason.clone());
            return Err(NodeError::Poison { event: batch.ids.get(refusal.index), source }.into());
        }
        let schema = self.schemas.get(batch.columns.kind as usize);
        self.seat.letters.refuse(batch, schema, refusals).await
    }

    /// Waits until the epoch is pending, and makes it durable.
    async fn take(&mut self, epoch: u64) -> Result<(), Exit> {
        loop {
            match self.control.recv().await {
                Some(Control::Take(pending)) if pending == epoch => break,
                Some(_) => {}
                None => return Err(Exit::Severed),
            }
        }
        if self.held.take() != Some(epoch) {
            let backoff = self.seat.backoff;
            let stopwatch = Stopwatch::start();
            let mut attempt = 0;
            while let Err(fault) = self.sink.flush(epoch).await {
                attempt = self.wait(fault, attempt, &backoff, "flush").await?;
            }
            self.seat.metrics.busy(&stopwatch);
        }
        self.seat.report(Report::Taken { node: self.seat.node.clone(), epoch }).await
    }

    /// Waits before a call is repeated, and answers how often it was made.
    async fn wait(&mut self, fault: Fault, attempt: u32, backoff: &Backoff, doing: &'static str) -> Result<u32, Exit> {
        let attempt = attempt + 1;
        match (&fault, backoff.wait(attempt)) {
            (Fault::Retry(reason), Some(wait)) => {
                tracing::warn!(%reason, attempt, "sink is asked again");
                self.seat.tell_repeated(attempt, reason.clone());
                tokio::time::sleep(wait).await;
                Ok(attempt)
            }
            (Fault::Retry(_), None) => Err(NodeError::Exhausted { doing, attempts: attempt, source: fault }.into()),
            (Fault::Lost(_), _) => Err(Exit::Setback(Setback { node: self.seat.node.clone(), fault, culprit: None })),
            _ => Err(NodeError::Call { doing, source: fault }.into()),
        }
    }
}
