//! A processor's task: turns batches into others, and finds the events it breaks on.
//!
//! Invariant: every event that comes in is an input of a call that gave an outcome, or
//! is in the dead-letter queue; barriers pass only then.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use flowctl_schema::Schema;
use flowctl_topology::OnFailure;
use flowctl_types::{Batch, Ids};
use tokio::time::{Interval, MissedTickBehavior, interval_at};
use tracing::Instrument as _;

use super::hands::Hands;
use super::suspicion::{Part, Suspicion};
use super::{Record, Report, Seat, Switched};
use crate::edge::{Barrier, Finish};
use crate::error::{Exit, NodeError, Setback};
use crate::inputs::{Arrival, Inputs};
use crate::letters::Refusal;
use crate::outputs::Outputs;
use crate::switch::{Becomes, Exchange, Order, Slot, Trying};
use crate::worker::{Call, Trouble, Worker};
use crate::{Fault, Outcome, Output, Rejection, RunEvent, State};

/// A processor's task.
pub(crate) struct ProcessorNode {
    pub(crate) inputs: Inputs,
    pub(crate) desk: Desk,
    pub(crate) hands: Hands,
    pub(crate) tick: Option<Duration>,
    /// Whether the epoch up to the next barrier is replayed: it is not told the time
    /// then, which would not be the time that it was told before.
    pub(crate) is_replaying: bool,
    /// Whether it is told the end.
    pub(crate) has_timer: bool,
    /// Whether it was.
    pub(crate) was_told_end: bool,
    pub(crate) slot: Slot,
    /// What ran here before the change that is on trial.
    pub(crate) before: Option<Before>,
}

/// The instances that others on trial took the place of.
pub(crate) struct Before {
    hands: Hands,
    seat: Seat,
    schemas: Vec<Schema>,
    version: String,
    tick: Option<Duration>,
    has_timer: bool,
    trial: Trying,
}

/// Everything but the instances: what becomes of outcomes.
pub(crate) struct Desk {
    pub(crate) seat: Seat,
    pub(crate) outputs: Outputs,
    pub(crate) schemas: Vec<Schema>,
    pub(crate) is_stateful: bool,
    /// The version of the component.
    pub(crate) version: String,
    /// Whether its component is on trial.
    pub(crate) trial: Trying,
    pub(crate) suspicion: Suspicion,
    /// The epoch that the next barrier ends.
    pub(crate) epoch: u64,
    /// Events that no input led to, since the last barrier.
    pub(crate) n_own_events: u64,
    /// Calls that failed since one succeeded.
    pub(crate) n_faults: u32,
}

impl ProcessorNode {
    /// Runs until the last barrier, or until it is to leave.
    pub(crate) async fn run(mut self) -> Result<(), Exit> {
        let mut ticks = self.tick.map(ticks);
        loop {
            let arrival = match &mut self.hands {
                Hands::Crew(crew) => {
                    let has_room = crew.has_room();
                    tokio::select! {
                        biased;
                        done = crew.progress() => {
                            if let Some((batch, result)) = done? {
                                self.conclude(&batch, result).await?;
                            }
                            continue;
                        }
                        () = next(&mut ticks), if !self.is_replaying => None,
                        arrival = self.inputs.next(), if has_room => Some(arrival?),
                    }
                }
                Hands::One(_) | Hands::Partitions(_) => tokio::select! {
                    biased;
                    () = next(&mut ticks), if !self.is_replaying => None,
                    arrival = self.inputs.next() => Some(arrival?),
                },
            };
            match arrival {
                None => {
                    self.tick().await?;
                    // from its end: a tick that takes as long as its interval must not keep events waiting
                    if let Some(ticks) = &mut ticks {
                        ticks.reset();
                    }
                }
                Some(Arrival::Batch(batch)) => {
                    let span = self.desk.seat.sampler.span(&batch);
                    self.process(batch).instrument(span).await?;
                }
                Some(Arrival::Finished(finish)) => {
                    self.settle().await?;
                    if self.has_timer && finish == Finish::First && !std::mem::replace(&mut self.was_told_end, true) {
                        self.end().await?;
                    }
                    self.desk.outputs.finish(finish).await?;
                }
                Some(Arrival::Barrier(barrier)) => {
                    self.settle().await?;
                    self.pass(barrier).await?;
                    self.is_replaying = false;
                    if barrier.is_last {
                        return Ok(());
                    }
                    if let Some(revision) = barrier.revision {
                        if self.switch(revision).await? == Switched::Left {
                            return Ok(());
                        }
                        ticks = self.tick.map(self::ticks);
                    }
                }
                Some(Arrival::Switch(revision)) => {
                    self.settle().await?;
                    self.desk.outputs.switch(revision).await?;
                    if self.switch(revision).await? == Switched::Left {
                        return Ok(());
                    }
                    ticks = self.tick.map(self::ticks);
                }
            }
        }
    }

    /// Takes a revision of the topology: everything before it was processed, and the edges
    /// that the node had know of it.
    async fn switch(&mut self, revision: u64) -> Result<Switched, Exit> {
        let since = self.inputs.held_since();
        let order = self.slot.take(revision).ok_or(Exit::Severed)?;
        let Order { seat, inputs, outputs, part, .. } = *order;
        let n_stranded = self.inputs.rewire(inputs);
        match part {
            Becomes::Leave => {
                self.desk.seat.switched(revision, since, n_stranded).await?;
                return Ok(Switched::Left);
            }
            Becomes::Exchange(exchange) => self.exchange(*exchange, seat).await?,
            Becomes::Stay | Becomes::Source { .. } | Becomes::Sink { .. } => self.desk.seat = seat,
        }
        self.desk.outputs.rewire(outputs).await?;
        self.desk.seat.switched(revision, since, n_stranded).await?;
        Ok(Switched::Stays)
    }

    /// Puts other instances in place of those that there are.
    async fn exchange(&mut self, exchange: Exchange, seat: Seat) -> Result<(), Exit> {
        let Exchange { mut hands, schemas, version, is_stateful, tick, has_timer, hands_over, keeps_old, trial } =
            exchange;
        if hands_over {
            let desk = &self.desk;
            let state = self.hands.save().await.map_err(|trouble| desk.setback(trouble, None))?;
            hands.restore(&self.desk.version, &state).await?;
        }
        let before = Before {
            hands: std::mem::replace(&mut self.hands, hands),
            seat: std::mem::replace(&mut self.desk.seat, seat),
            schemas: std::mem::replace(&mut self.desk.schemas, schemas),
            version: std::mem::replace(&mut self.desk.version, version),
            tick: std::mem::replace(&mut self.tick, tick),
            has_timer: std::mem::replace(&mut self.has_timer, has_timer),
            trial: trial.clone(),
        };
        self.desk.is_stateful = is_stateful;
        self.desk.trial = trial;
        self.before = keeps_old.then_some(before);
        Ok(())
    }

    /// Puts what ran before a change back, where it is on trial: the new instance failed.
    async fn fall_back(&mut self, trouble: &Trouble) -> Result<bool, Exit> {
        let Some(before) = self.before.take().filter(|before| before.trial.is_going()) else { return Ok(false) };
        let Before { hands, seat, schemas, version, tick, has_timer, .. } = before;
        (self.hands, self.desk.seat, self.desk.schemas) = (hands, seat, schemas);
        (self.desk.version, self.tick, self.has_timer) = (version, tick, has_timer);
        self.desk.trial = Trying::default();
        let (node, reason) = (self.desk.seat.node.clone(), trouble.to_string());
        self.desk.seat.report(Report::FellBack { node, reason }).await?;
        Ok(true)
    }

    async fn process(&mut self, batch: Arc<Batch>) -> Result<(), Exit> {
        self.desk.seat.metrics.received(&batch);
        if let Some(before) = &self.before {
            if let Hands::One(worker) = &mut self.hands
                && before.trial.is_going()
            {
                match worker.call(Call::Process(&batch)).await {
                    Ok(outcome) => return self.desk.emit(&batch, outcome).await,
                    Err(trouble) => self.fall_back(&trouble).await?,
                };
            } else {
                self.before = None;
            }
        }
        self.work(batch).await
    }

    async fn work(&mut self, batch: Arc<Batch>) -> Result<(), Exit> {
        match &mut self.hands {
            Hands::Crew(crew) => {
                crew.start(batch);
                Ok(())
            }
            Hands::One(worker) if !self.desk.is_stateful => match worker.call(Call::Process(&batch)).await {
                Ok(outcome) => self.desk.emit(&batch, outcome).await,
                Err(Trouble::Input(fault)) => self.desk.step(worker, &batch, fault).await,
                Err(Trouble::Node(error)) => Err(error.into()),
            },
            hands => {
                for part in self.desk.suspicion.parts(&batch) {
                    match part {
                        Part::Whole => self.desk.process_with_state(hands, &batch).await?,
                        Part::Slice(start, end) => {
                            self.desk.process_with_state(hands, &batch.slice(start..end)).await?;
                        }
                        Part::Culprit(index, fault) => {
                            self.desk.isolate(&batch, index, &fault).await?;
                        }
                    }
                }
                Ok(())
            }
        }
    }

    /// Waits until nothing is under way.
    async fn settle(&mut self) -> Result<(), Exit> {
        loop {
            let Hands::Crew(crew) = &mut self.hands else { return Ok(()) };
            let Some((batch, result)) = crew.next().await? else { return Ok(()) };
            self.conclude(&batch, result).await?;
        }
    }

    /// Deals with the result of a crew's member.
    async fn conclude(&mut self, batch: &Batch, result: Result<Outcome, Trouble>) -> Result<(), Exit> {
        match result {
            Ok(outcome) => self.desk.emit(batch, outcome).await,
            Err(Trouble::Node(error)) => Err(error.into()),
            Err(Trouble::Input(fault)) => {
                let Hands::Crew(crew) = &mut self.hands else { return Ok(()) };
                let Some(mut worker) = crew.take().await else { return Err(Exit::Severed) };
                let stepped = self.desk.step(&mut worker, batch, fault).await;
                crew.put(worker);
                stepped
            }
        }
    }

    async fn pass(&mut self, barrier: Barrier) -> Result<(), Exit> {
        let state = match self.desk.is_stateful {
            true => self.hands.save().await.map_err(|trouble| self.desk.setback(trouble, None))?,
            false => State::new(),
        };
        self.desk.pass(barrier, state).await
    }

    async fn tick(&mut self) -> Result<(), Exit> {
        self.settle().await?;
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let call = Call::Tick(u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX));
        for worker in self.hands.all().await {
            match worker.call(call).await {
                Ok(outcome) => self.desk.emit_own(outcome).await?,
                Err(Trouble::Input(fault)) if !self.desk.is_stateful => self.desk.count(&fault)?,
                Err(trouble) => return Err(self.desk.setback(trouble, None)),
            }
        }
        Ok(())
    }

    async fn end(&mut self) -> Result<(), Exit> {
        for worker in self.hands.all().await {
            loop {
                match worker.call(Call::End).await {
                    Ok(outcome) => {
                        self.desk.emit_own(outcome).await?;
                        break;
                    }
                    Err(Trouble::Input(fault)) if !self.desk.is_stateful => self.desk.count(&fault)?,
                    Err(trouble) => return Err(self.desk.setback(trouble, None)),
                }
            }
        }
        Ok(())
    }
}

impl Desk {
    /// Emits what a batch led to.
    async fn emit(&mut self, batch: &Batch, outcome: Outcome) -> Result<(), Exit> {
        if !batch.is_empty() {
            self.n_faults = 0;
        }
        let Outcome { mut outputs, rejected } = outcome;
        if !rejected.is_empty() {
            let refusal =
                |Rejection { index, reason }| Refusal::rejected(usize::try_from(index).unwrap_or(usize::MAX), reason);
            self.refuse(batch, rejected.into_iter().map(refusal).collect()).await?;
        }
        let origins = outputs.iter_mut().map(|output| std::mem::take(&mut output.origins)).collect();
        for (output, ids) in outputs.into_iter().zip(Ids::derive(&batch.ids, origins)) {
            self.outputs.emit(emitted(output, ids)).await?;
        }
        Ok(())
    }

    /// Emits what no input led to: an id is node, epoch and number.
    async fn emit_own(&mut self, outcome: Outcome) -> Result<(), Exit> {
        let prefix: Arc<str> = format!("{}/{}", self.seat.node, self.epoch).into();
        for output in outcome.outputs {
            let ids = Ids::numbered(Arc::clone(&prefix), self.n_own_events);
            self.n_own_events += output.columns.len() as u64;
            self.seat.moved();
            self.outputs.emit(emitted(output, ids)).await?;
        }
        for rejection in outcome.rejected {
            let id = format!("{prefix}/{}", self.n_own_events);
            self.n_own_events += 1;
            self.seat.moved();
            self.seat.letters.refuse_nothing(id, rejection.reason).await?;
        }
        Ok(())
    }

    /// Processes the events of a batch one by one, after a stateless instance failed on
    /// the batch; those that it fails on alone are refused.
    async fn step(&mut self, worker: &mut Worker, batch: &Batch, fault: Fault) -> Result<(), Exit> {
        if self.trial.is_going() {
            return Err(self.setback(Trouble::Input(fault), None));
        }
        let n_events = batch.len();
        tracing::warn!(error = %fault.in_short(), n_events, "batch is taken apart");
        let (node, reason) = (self.seat.node.clone(), fault.to_string());
        self.seat.tell(&RunEvent::BatchTakenApart { node, n_events, reason });
        self.count(&fault)?;
        if let (1, Fault::Retry(_)) = (batch.len(), &fault) {
            // it was tried alone as often as it may be
            return self.isolate(batch, 0, &fault).await;
        }
        for index in 0..batch.len() {
            let single = batch.slice(index..index + 1);
            match worker.call(Call::Process(&single)).await {
                Ok(outcome) => self.emit(&single, outcome).await?,
                Err(Trouble::Node(error)) => return Err(error.into()),
                Err(Trouble::Input(fault)) => {
                    self.count(&fault)?;
                    self.isolate(batch, index, &fault).await?;
                }
            }
        }
        Ok(())
    }

    /// Sets aside the event that is to blame, or fails where that is not wanted.
    async fn isolate(&self, batch: &Batch, index: usize, fault: &Fault) -> Result<(), Exit> {
        if self.seat.on_failure == OnFailure::Stop {
            return Err(NodeError::Poison { event: batch.ids.get(index), source: fault.clone() }.into());
        }
        let attempts = if matches!(fault, Fault::Retry(_)) { self.seat.backoff.attempts } else { 2 };
        self.refuse(batch, vec![Refusal::fault(index, fault, attempts)]).await
    }

    /// Processes a batch where a fault means going back.
    async fn process_with_state(&mut self, hands: &mut Hands, batch: &Batch) -> Result<(), Exit> {
        let result = match hands {
            Hands::One(worker) => worker.call(Call::Process(batch)).await,
            Hands::Partitions(partitions) => {
                let schema = self.schemas.get(batch.columns.kind as usize);
                partitions.process(batch, schema).await
            }
            Hands::Crew(_) => return Err(Exit::Severed),
        };
        match result {
            Ok(outcome) => self.emit(batch, outcome).await,
            Err(trouble) => {
                let culprit = (self.suspicion.is_stepping && batch.len() == 1).then(|| batch.ids.get(0));
                match (trouble, culprit) {
                    (Trouble::Input(source), Some(event)) if self.seat.on_failure == OnFailure::Stop => {
                        Err(NodeError::Poison { event, source }.into())
                    }
                    (trouble, culprit) => Err(self.setback(trouble, culprit)),
                }
            }
        }
    }

    async fn pass(&mut self, barrier: Barrier, state: State) -> Result<(), Exit> {
        let record = match self.is_stateful {
            true => Record::State { version: self.version.clone(), parts: state },
            false => Record::Nothing,
        };
        self.seat.passed(barrier.epoch, record).await?;
        self.epoch = barrier.epoch + 1;
        self.n_own_events = 0;
        self.suspicion.is_stepping = false;
        self.outputs.pass(barrier).await
    }

    async fn refuse(&self, batch: &Batch, refusals: Vec<Refusal>) -> Result<(), Exit> {
        self.seat.letters.refuse(batch, self.schemas.get(batch.columns.kind as usize), refusals).await
    }

    /// Counts a call that failed, and gives up when no event gets through.
    fn count(&mut self, fault: &Fault) -> Result<(), Exit> {
        self.n_faults += 1;
        if self.n_faults >= self.seat.options.max_crashes {
            return Err(NodeError::Hopeless { n_faults: self.n_faults, source: fault.clone() }.into());
        }
        Ok(())
    }

    fn setback(&self, trouble: Trouble, culprit: Option<String>) -> Exit {
        match trouble {
            Trouble::Input(fault) => Exit::Setback(Setback { node: self.seat.node.clone(), fault, culprit }),
            Trouble::Node(error) => error.into(),
        }
    }
}

/// The batch of an output whose ids would be `derived`.
fn emitted(output: Output, derived: Ids) -> Batch {
    let Output { columns, ids, watermark, attributes, .. } = output;
    let ids = match ids {
        Some(own) => own.over(derived),
        None => derived,
    };
    Batch { columns, ids, watermark, attributes }
}

fn ticks(every: Duration) -> Interval {
    let every = every.max(Duration::from_millis(1));
    let mut ticks = interval_at(tokio::time::Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn next(ticks: &mut Option<Interval>) {
    match ticks {
        Some(ticks) => {
            ticks.tick().await;
        }
        None => std::future::pending().await,
    }
}
