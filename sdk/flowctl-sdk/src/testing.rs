//! Runs a processor natively, without wasm: for `cargo test`.
//!
//! It is the same code that a component runs, except for the crossing itself.
//!
//! ```
//! use flowctl_sdk::testing::Host;
//!
//! #[flowctl_sdk::processor(input = "example.order.v1", output = "example.order.v1")]
//! mod order_filter {
//!     pub struct OrderFilter { minimum: u64 }
//!     pub struct Config { pub minimum: u64 }
//!
//!     impl OrderFilter {
//!         fn new(config: Config) -> Self { OrderFilter { minimum: config.minimum } }
//!
//!         fn process(&mut self, order: OrderRef<'_>, out: &mut Emitter<Order>) -> Result<(), Reject> {
//!             if order.currency != "EUR" {
//!                 return Err(format!("currency `{}` is not EUR", order.currency).into());
//!             }
//!             if order.total_cents >= self.minimum {
//!                 out.forward();
//!             }
//!             Ok(())
//!         }
//!     }
//! }
//! use order_filter::{Config, Order, OrderFilter, Status};
//!
//! let order = |total_cents, currency: &str| Order {
//!     id: "o-1".into(),
//!     customer: "ada".into(),
//!     status: Status::Placed,
//!     total_cents,
//!     currency: currency.into(),
//!     items: vec![],
//!     note: None,
//!     placed_at: 1_700_000_000,
//! };
//! let mut host = Host::<OrderFilter>::start(Config { minimum: 100 }).unwrap();
//! let answer = host.send([order(99, "EUR"), order(100, "EUR"), order(100, "USD")]).unwrap();
//! assert_eq!(answer.events, [order(100, "EUR")]);
//! assert_eq!(answer.rejected, [(2, "currency `USD` is not EUR".to_owned())]);
//! ```

use crate::codec::DecodeError;
use crate::contract::{Batch, Fault, Outcome};
use crate::host::{Recording, record};
use crate::instance::Instance;
use crate::log::Level;
use crate::state::Parts;
use crate::{Emit, FromPayload, Processor, State, Timer};

/// A host in miniature that holds one instance of a processor.
///
/// See the [module](self) for an example.
pub struct Host<P> {
    instance: Instance<P>,
    recording: Recording,
}

impl<P> std::fmt::Debug for Host<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("recording", &self.recording).finish_non_exhaustive()
    }
}

/// What a processor answered to one call.
///
/// ```
/// let answer = flowctl_sdk::testing::Answer::<u8> { events: vec![1], rejected: vec![], outcome: Default::default() };
/// assert_eq!(answer.events, [1]);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Answer<T> {
    /// What came out, decoded: of one kind after the other where there are
    /// several, each in order.
    pub events: Vec<T>,
    /// Index and reason of each event that was refused, ascending.
    pub rejected: Vec<(usize, String)>,
    /// The same as the host sees it, with times, keys and origins.
    pub outcome: Outcome,
}

impl<P: Processor> Host<P> {
    /// Makes an instance, as the host does with `configure`.
    ///
    /// # Errors
    ///
    /// What the processor's `new` says against the settings.
    pub fn start(config: P::Config) -> Result<Self, String> {
        let mut recording = Recording::default();
        let instance = record(&mut recording, || Instance::new(config))?;
        Ok(Self { instance, recording })
    }

    /// The processor itself, to look into.
    pub fn processor(&self) -> &P {
        self.instance.processor()
    }

    /// Sends events as one batch, with times 0, 1, 2, … nanoseconds. All are of
    /// one kind, that of the first.
    ///
    /// # Errors
    ///
    /// The fault, where the processor could not take the batch.
    ///
    /// # Panics
    ///
    /// Where events of several kinds are sent at once, and where the processor
    /// emitted bytes that are not an event, which generated code never does.
    pub fn send<E>(&mut self, events: impl IntoIterator<Item = E>) -> Result<Answer<P::Output>, Fault>
    where
        E: Emit<P::Input>,
        P::Output: for<'a> FromPayload<'a>,
    {
        self.send_batch(batch(events))
    }

    /// Sends a batch as it is; [`batch`] makes one to start from.
    ///
    /// # Errors
    ///
    /// The fault, where the processor could not take the batch.
    ///
    /// # Panics
    ///
    /// As [`Host::send`].
    pub fn send_batch(&mut self, batch: Batch) -> Result<Answer<P::Output>, Fault>
    where
        P::Output: for<'a> FromPayload<'a>,
    {
        record(&mut self.recording, || self.instance.process(batch)).map(answer)
    }

    /// Makes an instance and hands it state that another one saved, as a swap
    /// does. `version` is that of the processor that saved it.
    ///
    /// # Errors
    ///
    /// What the processor says against the settings or the state.
    pub fn restored(config: P::Config, version: &str, parts: &Parts) -> Result<Self, String>
    where
        P: State,
    {
        let mut host = Self::start(config)?;
        record(&mut host.recording, || host.instance.restore(version, parts))?;
        Ok(host)
    }

    /// The processor's state, as a checkpoint takes it.
    pub fn save(&mut self) -> Parts
    where
        P: State,
    {
        record(&mut self.recording, || self.instance.save())
    }

    /// Calls the timer at `now`, in nanoseconds since the Unix epoch.
    ///
    /// # Errors
    ///
    /// The fault, where the processor fails.
    ///
    /// # Panics
    ///
    /// As [`Host::send`].
    pub fn tick(&mut self, now: u64) -> Result<Answer<P::Output>, Fault>
    where
        P: Timer,
        P::Output: for<'a> FromPayload<'a>,
    {
        record(&mut self.recording, || self.instance.tick(now)).map(answer)
    }

    /// Says that the last event has come.
    ///
    /// # Errors
    ///
    /// The fault, where the processor fails.
    ///
    /// # Panics
    ///
    /// As [`Host::send`].
    pub fn end(&mut self) -> Result<Answer<P::Output>, Fault>
    where
        P: Timer,
        P::Output: for<'a> FromPayload<'a>,
    {
        record(&mut self.recording, || self.instance.end()).map(answer)
    }

    /// What the processor logged so far: the latest 10,000 lines.
    pub fn logs(&self) -> impl Iterator<Item = (Level, &str)> {
        self.recording.lines.iter().map(|(level, line)| (*level, line.as_str()))
    }

    /// What the processor counted so far under `name`; 0 where nothing.
    pub fn counter(&self, name: &str) -> u64 {
        self.recording.counters.get(name).copied().unwrap_or(0)
    }
}

/// Lays events out as a batch, with times 0, 1, 2, … nanoseconds.
///
/// ```
/// use flowctl_sdk::testing::batch;
///
/// // Opaque events are their bytes.
/// let batch = batch::<Vec<u8>, _>([b"ledger".to_vec()]);
/// assert_eq!((batch.len(), batch.data.as_slice()), (1, &b"ledger"[..]));
/// ```
///
/// # Panics
///
/// Where the events are of several kinds: a batch is of one.
pub fn batch<Set, E: Emit<Set>>(events: impl IntoIterator<Item = E>) -> Batch {
    let mut batch = Batch::default();
    for (index, event) in events.into_iter().enumerate() {
        assert!(index == 0 || batch.kind == event.kind(), "a batch holds events of one kind");
        batch.kind = event.kind();
        event.write_payload(&mut batch.data);
        batch.timestamps.push(index as u64);
        batch.ends.push(u32::try_from(batch.data.len()).expect("a test's batch is under 4 GiB"));
    }
    batch
}

fn answer<T: for<'a> FromPayload<'a>>(outcome: Outcome) -> Answer<T> {
    let decoded: Result<Vec<T>, DecodeError> = outcome
        .outputs
        .iter()
        .flat_map(|output| {
            let starts = std::iter::once(0).chain(output.ends.iter().copied());
            let spans = starts.zip(output.ends.iter().copied());
            spans.map(|(start, end)| T::from_payload(output.kind, &output.data[start as usize..end as usize]))
        })
        .collect();
    let events = decoded.expect("generated code emits what it can decode");
    let rejected = outcome.rejected.iter().map(|r| (r.index as usize, r.reason.clone())).collect();
    Answer { events, rejected, outcome }
}
