//! For generated code alone: no part of the API, may change at any time.
//!
//! Owns the cell that holds a component's one instance.

use std::cell::RefCell;

use crate::contract::{Batch, Fault, Outcome};
pub use crate::failure::Verdict;
pub use crate::instance::Instance;
use crate::state::Parts;
use crate::{Emitter, Events, Failure, Processor, State, Timer};

pub use wit_bindgen;

/// A component's one instance, before and after `configure`.
pub type Slot<P> = RefCell<Option<Instance<P>>>;

/// `configure`.
///
/// # Errors
///
/// What the processor says against its settings.
pub fn configure<P: Processor>(slot: &Slot<P>, config: P::Config) -> Result<(), String> {
    let instance = Instance::new(config)?;
    slot.replace(Some(instance));
    Ok(())
}

/// `handler.process`.
///
/// # Errors
///
/// What [`Instance::process`] says, and fatal where nothing was configured.
pub fn process<P: Processor>(slot: &Slot<P>, batch: Batch) -> Result<Outcome, Fault> {
    with(slot, |instance| instance.process(batch)).map_err(Fault::Fatal)?
}

/// `state.save`. Nothing where nothing was configured.
pub fn save<P: State>(slot: &Slot<P>) -> Vec<(u32, Vec<u8>)> {
    with(slot, |instance| instance.save()).unwrap_or_default().into_contract()
}

/// `state.restore`.
///
/// # Errors
///
/// What the processor says against the state.
pub fn restore<P: State>(slot: &Slot<P>, version: &str, parts: Vec<(u32, Vec<u8>)>) -> Result<(), String> {
    let parts = Parts::from_contract(parts)?;
    with(slot, |instance| instance.restore(version, &parts))?
}

/// `timer.tick`.
///
/// # Errors
///
/// As [`process`].
pub fn tick<P: Timer>(slot: &Slot<P>, now: u64) -> Result<Outcome, Fault> {
    with(slot, |instance| instance.tick(now)).map_err(Fault::Fatal)?
}

/// `timer.end`.
///
/// # Errors
///
/// As [`process`].
pub fn end<P: Timer>(slot: &Slot<P>) -> Result<Outcome, Fault> {
    with(slot, Instance::end).map_err(Fault::Fatal)?
}

/// Calls `call` with each event from `first` on.
///
/// # Errors
///
/// The first failure, with the event's index.
#[inline]
pub fn each_event<'b, T>(
    events: Events<'b>,
    first: usize,
    out: &mut Emitter<'b, T>,
    mut call: impl FnMut(crate::Received<'b>, &mut Emitter<'b, T>) -> Result<(), Failure>,
) -> Result<(), (usize, Failure)> {
    for index in first..events.len() {
        let Some(event) = events.get(index) else { break };
        out.made.mark();
        out.follow(&event);
        call(event, out).map_err(|failure| (index, failure))?;
    }
    Ok(())
}

/// Calls `call` with the batch as a whole. Where it refuses, it refuses every
/// event.
///
/// # Errors
///
/// The failure, as if it came from the first event that is left.
pub fn whole_batch<'b, T>(
    events: Events<'b>,
    first: usize,
    out: &mut Emitter<'b, T>,
    call: impl FnOnce(&mut Emitter<'b, T>) -> Result<(), Failure>,
) -> Result<(), (usize, Failure)> {
    if first > 0 {
        return Ok(());
    }
    out.made.mark();
    match call(out) {
        Err(Failure::Reject(reject)) => {
            out.made.roll_back();
            for index in 0..events.len() {
                out.made.reject(index, &reject);
            }
            Ok(())
        }
        Err(failure) => Err((0, failure)),
        Ok(()) => Ok(()),
    }
}

fn with<P, R>(slot: &Slot<P>, call: impl FnOnce(&mut Instance<P>) -> R) -> Result<R, String> {
    let mut instance = slot.try_borrow_mut().map_err(|_| "the processor was called from within itself".to_owned())?;
    let instance = instance.as_mut().ok_or("the processor was called before `configure`")?;
    Ok(call(instance))
}

/// Appends an event's payload: its bytes where it is opaque, else its encoding.
#[inline]
pub fn write_payload<T: Payload + ?Sized>(event: &T, out: &mut Vec<u8>) {
    event.write(out);
}

/// Tells opaque events, which are bytes, from encoded ones.
pub trait Payload {
    /// Appends the payload.
    fn write(&self, out: &mut Vec<u8>);
}

impl Payload for [u8] {
    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

impl Payload for Vec<u8> {
    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

/// Makes the instance of a processor without settings, unless it is there.
///
/// # Errors
///
/// What the processor says.
pub fn start<P: Processor>(slot: &Slot<P>, config: impl FnOnce() -> P::Config) -> Result<(), String> {
    if slot.borrow().is_none() {
        configure(slot, config())?;
    }
    Ok(())
}
