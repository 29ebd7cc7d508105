//! One running processor: what the generated exports call, and what the test
//! host calls natively.
//!
//! Invariant: a call that fails has given nothing. Where a processor asks for a
//! retry in the middle of a batch, the events before it are not processed again:
//! the instance goes on from that event when the same batch comes again.

use crate::contract::{Batch, Fault, Outcome};
use crate::emitter::Made;
use crate::state::Parts;
use crate::{Emitter, Events, Failure, Processor, State, Timer};

/// A processor with what is kept between two calls.
#[derive(Debug)]
pub struct Instance<P> {
    processor: P,
    /// Payload bytes of the call before, by output kind.
    hints: Vec<usize>,
    /// Time of the latest event so far.
    latest: u64,
    unfinished: Option<Box<Unfinished>>,
}

/// A batch that is waiting for the host's next attempt.
#[derive(Debug)]
struct Unfinished {
    batch: Batch,
    next: usize,
    made: Made,
}

impl<P: Processor> Instance<P> {
    /// Makes the processor.
    ///
    /// # Errors
    ///
    /// What the processor says against its settings.
    pub fn new(config: P::Config) -> Result<Self, String> {
        let processor = P::create(config)?;
        Ok(Self { processor, hints: Vec::new(), latest: 0, unfinished: None })
    }

    /// The processor itself.
    pub fn processor(&self) -> &P {
        &self.processor
    }

    /// Takes one batch.
    ///
    /// # Errors
    ///
    /// A [`Fault`], where the processor could not take the batch.
    pub fn process(&mut self, batch: Batch) -> Result<Outcome, Fault> {
        if batch.kind as usize >= P::INPUTS.len() {
            return Err(Fault::Fatal(format!("kind {} of the input is not declared", batch.kind)));
        }
        let (mut next, made) = match self.unfinished.take() {
            Some(unfinished) if unfinished.batch == batch => (unfinished.next, unfinished.made),
            _ => (0, Made::with_hints(&self.hints)),
        };
        let events = Events::new(&batch).map_err(into_fault)?;
        let mut out = Emitter::new(events, self.latest, made);
        while let Err((index, failure)) = self.processor.run(events, next, &mut out) {
            out.made.roll_back();
            match failure {
                Failure::Reject(reject) => {
                    out.made.reject(index, &reject);
                    next = index + 1;
                }
                Failure::Retry(reason) => {
                    let made = out.made;
                    self.unfinished = Some(Box::new(Unfinished { batch, next: index, made }));
                    return Err(Fault::Retry(reason));
                }
                Failure::Fatal(reason) => return Err(Fault::Fatal(reason)),
            }
        }
        let made = out.made;
        self.latest = batch.timestamps.iter().copied().fold(self.latest, u64::max);
        made.hints(&mut self.hints);
        made.into_outcome(batch).map_err(into_fault)
    }
}

impl<P: State> Instance<P> {
    /// The processor's state.
    pub fn save(&self) -> Parts {
        let mut parts = Parts::default();
        self.processor.save(&mut parts);
        parts
    }

    /// Takes over state.
    ///
    /// # Errors
    ///
    /// What the processor says against it.
    pub fn restore(&mut self, version: &str, parts: &Parts) -> Result<(), String> {
        self.processor.restore(version, parts)
    }
}

impl<P: Timer> Instance<P> {
    /// Time has passed: it is `now`, in nanoseconds since the Unix epoch.
    ///
    /// # Errors
    ///
    /// A [`Fault`], where the processor fails.
    pub fn tick(&mut self, now: u64) -> Result<Outcome, Fault> {
        self.on_time(now, |processor, out| processor.tick(now, out))
    }

    /// The last event has been processed.
    ///
    /// # Errors
    ///
    /// A [`Fault`], where the processor fails.
    pub fn end(&mut self) -> Result<Outcome, Fault> {
        self.on_time(self.latest, P::end)
    }

    fn on_time(
        &mut self,
        timestamp: u64,
        call: impl FnOnce(&mut P, &mut Emitter<'_, P::Output>) -> Result<(), Failure>,
    ) -> Result<Outcome, Fault> {
        let nothing = Batch::default();
        let events = Events::new(&nothing).map_err(into_fault)?;
        let mut out = Emitter::new(events, timestamp, Made::default());
        call(&mut self.processor, &mut out).map_err(into_fault)?;
        let made = out.made;
        made.into_outcome(nothing).map_err(into_fault)
    }
}

/// A failure that concerns no single event.
#[cold]
fn into_fault(failure: Failure) -> Fault {
    match failure {
        Failure::Reject(reject) => Fault::Fatal(reject.reason().to_owned()),
        Failure::Retry(reason) => Fault::Retry(reason),
        Failure::Fatal(reason) => Fault::Fatal(reason),
    }
}
