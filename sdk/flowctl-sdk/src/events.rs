//! A batch as the processor sees it: event by event, or by columns.
//!
//! Invariant: the columns agree with each other from [`Events::new`] on, so the
//! views below cannot be out of bounds.

use crate::contract::Batch;
use crate::processor::FromPayload;
use crate::{Failure, Reject};

/// The events of one batch, for a processor that takes batches as a whole.
///
/// ```
/// use flowctl_sdk::{Events, contract::Batch};
///
/// let batch = Batch { timestamps: vec![7, 8], ends: vec![1, 3], data: b"abb".to_vec(), ..Batch::default() };
/// let events = Events::new(&batch).unwrap();
/// let payloads: Vec<&[u8]> = events.iter().map(|event| event.payload).collect();
/// assert_eq!(payloads, [&b"a"[..], b"bb"]);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Events<'b> {
    batch: &'b Batch,
}

impl<'b> Events<'b> {
    /// Views a batch.
    ///
    /// # Errors
    ///
    /// [`Failure::Fatal`] where the columns do not agree with each other, which
    /// a host never sends.
    pub fn new(batch: &'b Batch) -> Result<Self, Failure> {
        let n_events = batch.ends.len();
        let sound = batch.timestamps.len() == n_events
            && covers(&batch.ends, batch.data.len())
            && (batch.key_ends.is_empty() || batch.key_ends.len() == n_events)
            && covers(&batch.key_ends, batch.keys.len());
        if sound { Ok(Self { batch }) } else { Err(Failure::fatal("the columns of the input batch do not agree")) }
    }

    /// The number of events.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batch.len()
    }

    /// Whether there is no event.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// Which of the declared input types these events are; 0 where one is
    /// declared.
    #[must_use]
    pub fn kind(&self) -> u32 {
        self.batch.kind
    }

    /// The event at `index`, from 0.
    #[inline]
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Received<'b>> {
        let batch = self.batch;
        let end = *batch.ends.get(index)? as usize;
        let start = if index == 0 { 0 } else { batch.ends[index - 1] as usize };
        let key = batch.key_ends.get(index).map(|&key_end| {
            let key_start = if index == 0 { 0 } else { batch.key_ends[index - 1] as usize };
            &batch.keys[key_start..key_end as usize]
        });
        Some(Received {
            index,
            timestamp: batch.timestamps[index],
            key,
            payload: &batch.data[start..end],
            kind: batch.kind,
        })
    }

    /// All events, in stream order.
    pub fn iter(&self) -> impl Iterator<Item = Received<'b>> + use<'b> {
        let events = *self;
        (0..events.len()).filter_map(move |index| events.get(index))
    }

    /// A fact about the whole batch, such as `network`.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&'b str> {
        self.batch.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The columns themselves.
    #[must_use]
    pub fn batch(&self) -> &'b Batch {
        self.batch
    }
}

/// One input event with what the host knows of it.
///
/// ```
/// use flowctl_sdk::{Events, contract::Batch};
///
/// let batch = Batch { timestamps: vec![7], ends: vec![2], data: b"\x01x".to_vec(), ..Batch::default() };
/// let event = Events::new(&batch).unwrap().get(0).unwrap();
/// assert_eq!((event.index, event.timestamp, event.key), (0, 7, None));
/// assert_eq!(event.decode::<&[u8]>().unwrap(), b"\x01x");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received<'b> {
    /// Its place in the batch, from 0.
    pub index: usize,
    /// Event time in nanoseconds since the Unix epoch.
    pub timestamp: u64,
    /// Its partition key, where it has one.
    pub key: Option<&'b [u8]>,
    /// Its encoded bytes.
    pub payload: &'b [u8],
    kind: u32,
}

impl<'b> Received<'b> {
    /// Decodes the payload as an input type of the processor, owned or borrowed.
    ///
    /// # Errors
    ///
    /// A [`Reject`] that says what is wrong with the bytes.
    #[inline]
    pub fn decode<T: FromPayload<'b>>(&self) -> Result<T, Reject> {
        T::from_payload(self.kind, self.payload).map_err(|error| undecodable(&error))
    }
}

#[cold]
fn undecodable(error: &crate::codec::DecodeError) -> Reject {
    Reject::from(format!("the payload cannot be decoded: {error}"))
}

/// Whether `ends` ascend and the last one is `length`; both may be empty.
fn covers(ends: &[u32], length: usize) -> bool {
    ends.is_sorted() && ends.last().map_or(0, |&end| end as usize) == length
}
