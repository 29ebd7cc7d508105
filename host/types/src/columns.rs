//! Events of one type, column by column, and the check of what a guest hands back.
//!
//! Invariant: [`Columns::check`] is what stands between a guest's numbers and every
//! slice taken by them. Columns that passed it never index out of bounds.

use std::ops::Range;

/// Events of one type, laid out as the contract's `batch` (`wit/flowctl-processor`):
/// a few memory copies across the sandbox, however many events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns {
    /// Which of the node's declared types this is; 0 where one is declared.
    pub kind: u32,
    /// Event time, nanoseconds since the Unix epoch, one per event.
    pub timestamps: Vec<u64>,
    /// End of each event's payload within `data`, ascending.
    pub ends: Vec<u32>,
    /// The payloads, one after the other.
    pub data: Vec<u8>,
    /// End of each event's partition key within `keys`; empty where events have none.
    pub key_ends: Vec<u32>,
    /// The partition keys, one after the other.
    pub keys: Vec<u8>,
}

/// What a batch may hold at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Number of event types that the sender declares.
    pub n_kinds: u32,
    /// Most events in one batch.
    pub max_events: usize,
    /// Most bytes of payloads and keys in one batch.
    pub max_bytes: usize,
}

/// Why columns cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ColumnFault {
    /// `kind` names none of the declared types.
    #[error("`kind` is {kind}, but {n_kinds} event types are declared")]
    Kind {
        /// What the batch says.
        kind: u32,
        /// How many types are declared.
        n_kinds: u32,
    },
    /// One column has more entries than there are events.
    #[error("`{column}` has {found} entries for {n_events} events")]
    Length {
        /// The column's name in the contract.
        column: &'static str,
        /// Its number of entries.
        found: usize,
        /// How many events there are.
        n_events: usize,
    },
    /// An end lies before the end of the event before it.
    #[error("`{column}[{index}]` is {end}, before the end {previous} of the event before it")]
    Descending {
        /// The column's name in the contract.
        column: &'static str,
        /// The event.
        index: usize,
        /// Its end.
        end: u32,
        /// The end before it.
        previous: u32,
    },
    /// The last end is not the length of what it divides.
    #[error("`{column}` ends at {end}, but there are {length} bytes")]
    Bounds {
        /// The column's name in the contract.
        column: &'static str,
        /// The last end.
        end: u32,
        /// Bytes that there are.
        length: usize,
    },
    /// An origin names an event that was not in the input.
    #[error("`origins[{index}]` is {origin}, but the input had {n_inputs} events")]
    Origin {
        /// The output event.
        index: usize,
        /// The origin that it names.
        origin: u32,
        /// How many events went in.
        n_inputs: usize,
    },
    /// More events than a batch may hold.
    #[error("{found} events in one batch, the limit is {limit}")]
    TooManyEvents {
        /// How many there are.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
    /// More bytes than a batch may hold.
    #[error("{found} bytes in one batch, the limit is {limit}")]
    TooManyBytes {
        /// How many there are.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
}

impl Columns {
    /// Number of events.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no event; such a batch may still carry a watermark.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of payloads and keys.
    #[must_use]
    pub fn n_bytes(&self) -> usize {
        self.data.len() + self.keys.len()
    }

    /// The payload of event `index`.
    ///
    /// # Panics
    ///
    /// When there is no such event, as slices do.
    #[must_use]
    pub fn payload(&self, index: usize) -> &[u8] {
        &self.data[span(&self.ends, index)]
    }

    /// The partition key of event `index`, where events have one.
    ///
    /// # Panics
    ///
    /// When there is no such event, as slices do.
    #[must_use]
    pub fn key(&self, index: usize) -> Option<&[u8]> {
        if self.key_ends.is_empty() { None } else { Some(&self.keys[span(&self.key_ends, index)]) }
    }

    /// The payloads in order.
    pub fn payloads(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.payload(index))
    }

    /// Appends an event without a key.
    pub fn push(&mut self, timestamp: u64, payload: &[u8]) {
        self.data.extend_from_slice(payload);
        self.finish_event(timestamp);
    }

    /// Ends an event whose payload was appended to `data` directly.
    ///
    /// # Panics
    ///
    /// When a batch passes 4 GiB, which [`Limits::max_bytes`] keeps far away.
    pub fn finish_event(&mut self, timestamp: u64) {
        self.ends.push(u32::try_from(self.data.len()).expect("a batch is far below 4 GiB"));
        self.timestamps.push(timestamp);
    }

    /// The events of `range` as columns of their own.
    ///
    /// # Panics
    ///
    /// When the range reaches past the last event, as slices do.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        let (ends, data) = slice_column(&self.ends, &self.data, &range);
        let (key_ends, keys) = if self.key_ends.is_empty() {
            Default::default()
        } else {
            slice_column(&self.key_ends, &self.keys, &range)
        };
        Self { kind: self.kind, timestamps: self.timestamps[range].to_vec(), ends, data, key_ends, keys }
    }

    /// Checks that every event lies within its columns, and that `limits` hold.
    ///
    /// # Errors
    ///
    /// The first [`ColumnFault`] found; the columns must not be used then.
    pub fn check(&self, limits: &Limits) -> Result<(), ColumnFault> {
        let n_events = self.len();
        if self.kind >= limits.n_kinds {
            return Err(ColumnFault::Kind { kind: self.kind, n_kinds: limits.n_kinds });
        }
        if n_events > limits.max_events {
            return Err(ColumnFault::TooManyEvents { found: n_events, limit: limits.max_events });
        }
        if self.n_bytes() > limits.max_bytes {
            return Err(ColumnFault::TooManyBytes { found: self.n_bytes(), limit: limits.max_bytes });
        }
        if self.timestamps.len() != n_events {
            return Err(ColumnFault::Length { column: "timestamps", found: self.timestamps.len(), n_events });
        }
        check_ends("ends", &self.ends, self.data.len())?;
        if !self.key_ends.is_empty() && self.key_ends.len() != n_events {
            return Err(ColumnFault::Length { column: "key-ends", found: self.key_ends.len(), n_events });
        }
        check_ends("key-ends", &self.key_ends, self.keys.len())
    }
}

impl ColumnFault {
    /// Checks that `origins` is empty or names, for each of `n_events` outputs, one
    /// of `n_inputs` input events.
    ///
    /// # Errors
    ///
    /// [`ColumnFault::Length`] or [`ColumnFault::Origin`].
    pub fn check_origins(origins: &[u32], n_events: usize, n_inputs: usize) -> Result<(), Self> {
        if !origins.is_empty() && origins.len() != n_events {
            return Err(Self::Length { column: "origins", found: origins.len(), n_events });
        }
        match origins.iter().position(|origin| *origin as usize >= n_inputs) {
            Some(index) => Err(Self::Origin { index, origin: origins[index], n_inputs }),
            None => Ok(()),
        }
    }
}

fn span(ends: &[u32], index: usize) -> Range<usize> {
    let start = if index == 0 { 0 } else { ends[index - 1] as usize };
    start..ends[index] as usize
}

fn slice_column(ends: &[u32], bytes: &[u8], range: &Range<usize>) -> (Vec<u32>, Vec<u8>) {
    if range.is_empty() {
        return Default::default();
    }
    let start = if range.start == 0 { 0 } else { ends[range.start - 1] };
    let end = ends[range.end - 1];
    (ends[range.clone()].iter().map(|e| e - start).collect(), bytes[start as usize..end as usize].to_vec())
}

fn check_ends(column: &'static str, ends: &[u32], length: usize) -> Result<(), ColumnFault> {
    // one pass without a branch per event; the culprit is looked for only when there is one
    if !ends.is_sorted() {
        let index = ends.windows(2).position(|pair| pair[0] > pair[1]).map_or(0, |at| at + 1);
        return Err(ColumnFault::Descending {
            column,
            index,
            end: ends[index],
            previous: ends[index.saturating_sub(1)],
        });
    }
    let end = ends.last().copied().unwrap_or(0);
    if end as usize == length { Ok(()) } else { Err(ColumnFault::Bounds { column, end, length }) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { n_kinds: 1, max_events: 4, max_bytes: 16 };

    fn columns(ends: &[u32], n_bytes: usize) -> Columns {
        Columns { timestamps: vec![0; ends.len()], ends: ends.to_vec(), data: vec![0; n_bytes], ..Columns::default() }
    }

    fn fault(columns: &Columns) -> String {
        columns.check(&LIMITS).unwrap_err().to_string()
    }

    #[test]
    fn every_lie_about_offsets_is_named() {
        assert_eq!(fault(&columns(&[2, 1], 2)), "`ends[1]` is 1, before the end 2 of the event before it");
        assert_eq!(fault(&columns(&[2, 9], 2)), "`ends` ends at 9, but there are 2 bytes");
        assert_eq!(fault(&columns(&[1; 5], 1)), "5 events in one batch, the limit is 4");
        assert_eq!(fault(&columns(&[17], 17)), "17 bytes in one batch, the limit is 16");
        assert_eq!(fault(&Columns { kind: 3, ..columns(&[], 0) }), "`kind` is 3, but 1 event types are declared");
        assert_eq!(
            fault(&Columns { timestamps: vec![], ..columns(&[1], 1) }),
            "`timestamps` has 0 entries for 1 events"
        );
        assert_eq!(
            fault(&Columns { keys: vec![1], ..columns(&[1], 1) }),
            "`key-ends` ends at 0, but there are 1 bytes"
        );
    }

    #[test]
    fn origins_stay_within_the_input() {
        assert_eq!(ColumnFault::check_origins(&[], 3, 1), Ok(()));
        assert_eq!(ColumnFault::check_origins(&[0, 1], 2, 2), Ok(()));
        assert!(ColumnFault::check_origins(&[2], 1, 2).is_err());
        assert!(ColumnFault::check_origins(&[0], 2, 2).is_err());
    }

    proptest! {
        #[test]
        fn columns_that_pass_never_index_out_of_bounds(ends in prop::collection::vec(0u32..20, 0..5), n_bytes in 0usize..20) {
            let columns = columns(&ends, n_bytes);
            if columns.check(&LIMITS).is_ok() {
                let total: usize = columns.payloads().map(<[u8]>::len).sum();
                prop_assert_eq!(total, n_bytes);
            }
        }

        #[test]
        fn slices_hold_the_same_payloads(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5), 0..8), cut in 0usize..8) {
            let mut columns = Columns::default();
            for payload in &payloads {
                columns.push(7, payload);
            }
            let cut = cut.min(payloads.len());
            let (head, tail) = (columns.slice(0..cut), columns.slice(cut..payloads.len()));
            let joined: Vec<&[u8]> = head.payloads().chain(tail.payloads()).collect();
            prop_assert_eq!(joined, payloads);
        }
    }
}
