//! Where a processor puts what it makes: straight into the output's columns.
//!
//! Invariant: after every call the columns of a kind have one entry per event,
//! and nothing of a refused event stays. One allocation per column and batch;
//! none per event.

use std::marker::PhantomData;

use crate::columns::{Column, Origin};
use crate::contract::{Batch, Outcome, Rejection};
use crate::processor::{Emit, Passthrough};
use crate::{Events, Failure, Received, Reject};

/// Takes the events that a processor makes from an input event.
///
/// An emitted event inherits time and partition key from the input event, and
/// the host gives it an identity that follows from it. `T` is the output's type,
/// or the enum `Output` where there are several.
///
/// ```
/// #[flowctl_sdk::processor(input = "example.order.v1", output = "example.order.v1")]
/// mod splitter {
///     pub struct Splitter;
///
///     impl Splitter {
///         fn new() -> Self { Splitter }
///
///         /// One order per item, an hour later.
///         fn process(&mut self, order: Order, out: &mut Emitter<Order>) {
///             let later = out.timestamp() + 3_600_000_000_000;
///             for item in &order.items {
///                 let single = Order { items: vec![item.clone()], ..order.clone() };
///                 out.emit(single).at(later);
///             }
///         }
///     }
/// }
/// # fn main() {}
/// ```
#[derive(Debug)]
pub struct Emitter<'b, T> {
    events: Events<'b>,
    current: Option<Received<'b>>,
    timestamp: u64,
    pub(crate) made: Made,
    set: PhantomData<fn(T)>,
}

/// What was emitted so far; outlives the view of the input.
#[derive(Debug, Default)]
pub(crate) struct Made {
    columns: Vec<Column>,
    rejected: Vec<Rejection>,
    watermark: Option<Option<u64>>,
    attributes: Vec<(String, String)>,
}

/// The event just emitted, to change what it inherited.
///
/// ```
/// # use flowctl_sdk::prelude::*;
/// # mod types { flowctl_sdk::event_types!("example.order.v1"); }
/// # use types::Order;
/// fn emit_keyed(order: &Order, out: &mut Emitter<'_, Order>) {
///     out.emit(order).at(order.placed_at * 1_000_000_000).key(&order.customer);
/// }
/// ```
#[derive(Debug)]
pub struct Emitted<'c> {
    column: &'c mut Column,
}

impl Emitted<'_> {
    /// Sets the event time, in nanoseconds since the Unix epoch.
    pub fn at(self, timestamp: u64) -> Self {
        self.column.set_timestamp(timestamp);
        self
    }

    /// Sets the partition key.
    pub fn key(self, key: impl AsRef<[u8]>) -> Self {
        self.column.set_key(key.as_ref());
        self
    }
}

impl<'b, T> Emitter<'b, T> {
    /// Starts without output. `timestamp` is what events inherit outside of an
    /// input event, in nanoseconds since the Unix epoch.
    pub(crate) fn new(events: Events<'b>, timestamp: u64, made: Made) -> Self {
        Self { events, current: None, timestamp, made, set: PhantomData }
    }

    /// Adds an event, owned or borrowed, by value or by reference.
    #[inline]
    pub fn emit<E: Emit<T>>(&mut self, event: E) -> Emitted<'_> {
        let inherited = self.current.and_then(|input| input.key);
        let (origin, timestamp) = (self.origin(), self.timestamp);
        let column = self.made.column(event.kind(), self.events.len());
        column.push(timestamp, origin, |data| event.write_payload(data));
        column.push_key(inherited, |keys| event.write_key(keys));
        Emitted { column }
    }

    /// Adds the input event as it came, without decoding it again.
    ///
    /// It is there where the output's type is the input's type. Within
    /// `process_batch` it passes on the event that [`Emitter::follow`] named,
    /// and does nothing before that.
    #[inline]
    pub fn forward(&mut self)
    where
        T: Passthrough,
    {
        let Some(input) = self.current else { return };
        let kind = T::output_kind(self.events.kind());
        let (origin, timestamp) = (self.origin(), self.timestamp);
        let column = self.made.column(kind, self.events.len());
        column.push(timestamp, origin, |data| data.extend_from_slice(input.payload));
        column.push_key(input.key, |keys| T::write_key(kind, input.payload, keys));
    }

    /// The input event that is being processed; none within a timer, and within
    /// `process_batch` before [`Emitter::follow`].
    #[must_use]
    pub fn input(&self) -> Option<Received<'b>> {
        self.current
    }

    /// The event time that emitted events inherit, in nanoseconds since the
    /// Unix epoch: the input event's; within a timer, the time of the call for
    /// `tick`, and for `end` that of the latest event that this instance saw.
    #[must_use]
    pub fn timestamp(&self) -> u64 {
        self.timestamp
    }

    /// A fact about the input batch as a whole, such as `network`.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&'b str> {
        self.events.attribute(name)
    }

    /// States a fact about the output as a whole; those of the input are passed
    /// on unless this replaces them.
    pub fn set_attribute(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let (name, value) = (name.into(), value.into());
        self.made.attributes.retain(|(known, _)| *known != name);
        self.made.attributes.push((name, value));
    }

    /// Replaces the input's watermark, which is passed on otherwise: no event
    /// still to come is older, in nanoseconds since the Unix epoch. A processor
    /// that holds events back says here how far it has come; none = unknown.
    pub fn set_watermark(&mut self, watermark: Option<u64>) {
        self.made.watermark = Some(watermark);
    }

    /// Within `process_batch`: what is emitted from here on comes from `event`.
    /// Before the first call it comes from the batch as a whole.
    #[inline]
    pub fn follow(&mut self, event: &Received<'_>) {
        // Looked up again, so that an author's signature needs no lifetimes.
        if let Some(event) = self.events.get(event.index) {
            self.timestamp = event.timestamp;
            self.current = Some(event);
        }
    }

    /// Within `process_batch`: refuses one event, instead of emitting anything
    /// for it. The first reason given for an event counts.
    pub fn reject(&mut self, event: &Received<'_>, reason: impl Into<Reject>) {
        self.made.reject(event.index, &reason.into());
    }

    #[inline]
    fn origin(&self) -> Origin {
        self.current.map_or(Origin::WholeBatch, |input| Origin::Event(input.index as u32))
    }
}

impl Made {
    /// Remembers this point, to come back to.
    #[inline]
    pub(crate) fn mark(&mut self) {
        for column in &mut self.columns {
            column.mark();
        }
    }

    /// Forgets what was emitted since the last mark.
    #[cold]
    pub(crate) fn roll_back(&mut self) {
        for column in &mut self.columns {
            column.roll_back();
        }
    }

    #[cold]
    pub(crate) fn reject(&mut self, index: usize, reject: &Reject) {
        self.rejected.push(Rejection { index: index as u32, reason: reject.reason().to_owned() });
    }

    /// Reserves as much as the call before needed.
    pub(crate) fn with_hints(hints: &[usize]) -> Self {
        let columns = hints.iter().enumerate().map(|(kind, hint)| Column::new(kind as u32, *hint)).collect();
        Self { columns, ..Self::default() }
    }

    /// What the next call may need, by kind.
    pub(crate) fn hints(&self, hints: &mut Vec<usize>) {
        hints.clear();
        hints.extend(self.columns.iter().map(Column::data_bytes));
    }

    /// Turns columns into batches, with the watermark and attributes of `input`.
    ///
    /// # Errors
    ///
    /// [`Failure::Fatal`] where a column outgrew 4 GiB, or where an event was
    /// both refused and followed by output.
    pub(crate) fn into_outcome(mut self, input: Batch) -> Result<Outcome, Failure> {
        self.rejected.sort_by_key(|rejection| rejection.index);
        self.rejected.dedup_by_key(|rejection| rejection.index);
        let watermark = self.watermark.unwrap_or(input.watermark);
        let mut attributes = self.attributes;
        for (name, value) in input.attributes {
            if !attributes.iter().any(|(known, _)| *known == name) {
                attributes.push((name, value));
            }
        }
        let mut outputs = Vec::new();
        for column in self.columns.into_iter().filter(|column| !column.is_empty()) {
            if let Some(index) = column.first_origin_in(&self.rejected) {
                return Err(Failure::Fatal(format!("event {index} was both rejected and given output")));
            }
            outputs.push(column.into_batch()?);
        }
        if outputs.is_empty() && watermark.is_some() {
            outputs.push(Batch::default());
        }
        if let Some((last, others)) = outputs.split_last_mut() {
            for output in others {
                output.watermark = watermark;
                output.attributes.clone_from(&attributes);
            }
            last.watermark = watermark;
            last.attributes = attributes;
        }
        Ok(Outcome { outputs, rejected: self.rejected })
    }

    #[inline]
    fn column(&mut self, kind: u32, n_events: usize) -> &mut Column {
        let index = kind as usize;
        while self.columns.len() <= index {
            self.columns.push(Column::new(self.columns.len() as u32, 0));
        }
        let column = &mut self.columns[index];
        if column.is_empty() {
            column.reserve(n_events);
        }
        column
    }
}
