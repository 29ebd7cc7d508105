//! The growing columns of one output kind.
//!
//! Invariant: `timestamps`, `ends` and `origins` have one entry per event; the
//! key column has one per event too, or is empty while no event had a key.

use crate::Failure;
use crate::contract::{Batch, Rejection};

/// The most that is reserved ahead for payloads, in bytes.
const MAX_HINT_BYTES: usize = 4 << 20;

/// Where an emitted event came from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Origin {
    Event(u32),
    WholeBatch,
}

#[derive(Debug, Default)]
pub(crate) struct Column {
    kind: u32,
    timestamps: Vec<u64>,
    ends: Vec<u32>,
    data: Vec<u8>,
    key_ends: Vec<u32>,
    keys: Vec<u8>,
    origins: Vec<u32>,
    /// Some event came from the batch as a whole, so no origin can be given.
    without_origin: bool,
    mark: Mark,
    hint_bytes: usize,
}

#[derive(Debug, Default, Clone, Copy)]
struct Mark {
    n_events: usize,
    n_keys: usize,
    without_origin: bool,
}

impl Column {
    pub(crate) fn new(kind: u32, hint_bytes: usize) -> Self {
        Self { kind, hint_bytes, ..Self::default() }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(crate) fn data_bytes(&self) -> usize {
        self.data.len()
    }

    /// Makes room for about one output event per input event, and as many bytes
    /// as the call before had.
    #[cold]
    pub(crate) fn reserve(&mut self, n_events: usize) {
        self.timestamps.reserve(n_events);
        self.ends.reserve(n_events);
        self.origins.reserve(n_events);
        self.data.reserve((self.hint_bytes + self.hint_bytes / 8).min(MAX_HINT_BYTES));
    }

    #[inline]
    pub(crate) fn push(&mut self, timestamp: u64, origin: Origin, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.data);
        self.timestamps.push(timestamp);
        // An end past `u32` is found, for all events at once, by `into_batch`.
        self.ends.push(self.data.len() as u32);
        match origin {
            Origin::Event(index) => self.origins.push(index),
            Origin::WholeBatch => {
                self.without_origin = true;
                self.origins.push(0);
            }
        }
    }

    /// Gives the last event the key that `write` appends; where it says that
    /// there is none, the inherited one.
    #[inline]
    pub(crate) fn push_key(&mut self, inherited: Option<&[u8]>, write: impl FnOnce(&mut Vec<u8>) -> bool) {
        let has_key = write(&mut self.keys)
            || inherited.is_some_and(|key| {
                self.keys.extend_from_slice(key);
                true
            });
        if has_key {
            self.end_key();
        } else if !self.key_ends.is_empty() {
            self.key_ends.push(self.keys.len() as u32);
        }
    }

    pub(crate) fn set_timestamp(&mut self, timestamp: u64) {
        if let Some(last) = self.timestamps.last_mut() {
            *last = timestamp;
        }
    }

    /// Replaces the key of the last event.
    pub(crate) fn set_key(&mut self, key: &[u8]) {
        if self.key_ends.len() == self.ends.len() {
            self.key_ends.pop();
        }
        self.keys.truncate(self.key_ends.last().map_or(0, |&end| end as usize));
        self.keys.extend_from_slice(key);
        self.end_key();
    }

    #[inline]
    pub(crate) fn mark(&mut self) {
        self.mark =
            Mark { n_events: self.ends.len(), n_keys: self.key_ends.len(), without_origin: self.without_origin };
    }

    pub(crate) fn roll_back(&mut self) {
        let Mark { n_events, n_keys, without_origin } = self.mark;
        self.timestamps.truncate(n_events);
        self.ends.truncate(n_events);
        self.origins.truncate(n_events);
        self.data.truncate(self.ends.last().map_or(0, |&end| end as usize));
        self.key_ends.truncate(n_keys);
        self.keys.truncate(self.key_ends.last().map_or(0, |&end| end as usize));
        self.without_origin = without_origin;
    }

    /// The first event that is both an origin here and in `rejected`, which is
    /// sorted by index.
    pub(crate) fn first_origin_in(&self, rejected: &[Rejection]) -> Option<u32> {
        if rejected.is_empty() || self.without_origin {
            return None;
        }
        let is_rejected = |origin: &u32| rejected.binary_search_by_key(origin, |rejection| rejection.index).is_ok();
        self.origins.iter().copied().find(is_rejected)
    }

    /// # Errors
    ///
    /// [`Failure::Fatal`] where the payloads or the keys outgrew what an end can
    /// point at.
    pub(crate) fn into_batch(self) -> Result<Batch, Failure> {
        if u32::try_from(self.data.len()).is_err() || u32::try_from(self.keys.len()).is_err() {
            return Err(Failure::fatal("the output of one batch is larger than 4 GiB"));
        }
        Ok(Batch {
            kind: self.kind,
            timestamps: self.timestamps,
            ends: self.ends,
            data: self.data,
            key_ends: self.key_ends,
            keys: self.keys,
            origins: if self.without_origin { Vec::new() } else { self.origins },
            watermark: None,
            attributes: Vec::new(),
        })
    }

    /// Ends the last event's key, and gives the empty key to those before it that
    /// had none.
    #[inline]
    fn end_key(&mut self) {
        if self.key_ends.len() + 1 < self.ends.len() {
            let before = self.key_ends.last().copied().unwrap_or(0);
            self.key_ends.resize(self.ends.len() - 1, before);
        }
        self.key_ends.push(self.keys.len() as u32);
    }
}
