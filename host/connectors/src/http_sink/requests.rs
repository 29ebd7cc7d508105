//! Cuts a batch into requests, and names each of them.
//!
//! Invariant: a request's key says exactly what is in it: who sends it, its first and
//! last event, and its bytes. The same again has the same key, in any process; anything
//! else has another, so that no server drops what it has not seen.

use std::ops::Range;

use bytes::Bytes;
use flowctl_runtime::{Fault, Rejection};
use flowctl_topology::Node;
use flowctl_types::Batch;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::Pipeline;
use crate::lines::Lines;

/// Bytes of the hash that a key is made of.
const KEY_BYTES: usize = 16;

/// The setting `format`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Format {
    /// One event a line.
    #[default]
    Ndjson,
    /// One array of events.
    Json,
}

/// What one request may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) max_events: usize,
    /// Bytes of events, with a line break or comma each.
    pub(super) max_bytes: usize,
}

/// The value of `Idempotency-Key`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key(pub(super) String);

/// What is sent at once.
pub(super) struct Request {
    pub(super) content_type: &'static str,
    pub(super) key: Key,
    pub(super) body: Bytes,
    pub(super) n_events: usize,
}

/// The events of a batch as lines of JSON.
pub(super) struct Requests {
    text: Bytes,
    /// The event's index in the batch, and where its line ends.
    lines: Vec<(u32, usize)>,
}

/// Who sends requests, and how they are laid out.
pub(super) struct Sender {
    format: Format,
    state_id: String,
    node: String,
}

impl Requests {
    /// Renders a batch; answers the events that are no values of their schema.
    pub(super) fn of(batch: &Batch, lines: &Lines) -> Result<(Self, Vec<Rejection>), Fault> {
        let (mut text, mut ends) = (Vec::new(), Vec::new());
        let rejected = lines.write_each(batch, &mut text, |index, end| ends.push((index, end)))?;
        Ok((Self { text: text.into(), lines: ends }, rejected))
    }

    /// The lines of each request, in order.
    pub(super) fn parts(&self, limits: Limits) -> Vec<Range<usize>> {
        let mut parts = Vec::new();
        let mut part = 0..0;
        for line in 0..self.lines.len() {
            let n_bytes = self.end(line) - self.start(part.start);
            if !part.is_empty() && (part.len() == limits.max_events || n_bytes > limits.max_bytes) {
                parts.push(std::mem::replace(&mut part, line..line));
            }
            part.end = line + 1;
        }
        if !part.is_empty() {
            parts.push(part);
        }
        parts
    }

    /// The index in the batch of the event in `line`.
    pub(super) fn index(&self, line: usize) -> u32 {
        self.lines[line].0
    }

    fn start(&self, line: usize) -> usize {
        line.checked_sub(1).map_or(0, |before| self.end(before))
    }

    fn end(&self, line: usize) -> usize {
        self.lines[line].1
    }

    fn body(&self, part: &Range<usize>, format: Format) -> Bytes {
        match format {
            Format::Ndjson => self.text.slice(self.start(part.start)..self.start(part.end)),
            Format::Json => {
                let mut body = Vec::with_capacity(self.start(part.end) - self.start(part.start) + 1);
                for line in part.clone() {
                    body.push(if body.is_empty() { b'[' } else { b',' });
                    // a line's last byte is its line break
                    body.extend_from_slice(&self.text[self.start(line)..self.end(line) - 1]);
                }
                body.push(b']');
                body.into()
            }
        }
    }
}

impl Sender {
    pub(super) fn new(format: Format, node: &Node, pipeline: &Pipeline) -> Self {
        Self { format, state_id: pipeline.state_id.clone(), node: node.id.to_string() }
    }

    /// The request of the lines in `part`, which come from `batch`.
    pub(super) fn request(&self, requests: &Requests, part: &Range<usize>, batch: &Batch) -> Request {
        let body = requests.body(part, self.format);
        let id = |line: usize| batch.ids.get(requests.index(line) as usize);
        let (first, last) = (id(part.start), id(part.end - 1));
        let mut hash = Sha256::new();
        for field in [self.state_id.as_bytes(), self.node.as_bytes(), first.as_bytes(), last.as_bytes(), &body] {
            hash.update((field.len() as u64).to_be_bytes());
            hash.update(field);
        }
        let key = hash.finalize()[..KEY_BYTES].iter().map(|byte| format!("{byte:02x}")).collect();
        Request { content_type: self.format.content_type(), key: Key(key), body, n_events: part.len() }
    }
}

impl Format {
    const fn content_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Json => "application/json",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `want` are the events of each request.
    fn check(lengths: &[usize], limits: Limits, want: &[usize]) {
        let ends = lengths.iter().scan(0, |end, length| {
            *end += length;
            Some((0, *end))
        });
        let requests = Requests { text: vec![b'x'; lengths.iter().sum()].into(), lines: ends.collect() };
        let parts = requests.parts(limits);
        assert_eq!(parts.iter().map(ExactSizeIterator::len).collect::<Vec<_>>(), want);
        assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));
        let n_bytes: usize = parts.iter().map(|part| requests.body(part, Format::Ndjson).len()).sum();
        assert_eq!(n_bytes, lengths.iter().sum::<usize>(), "nothing is left out");
    }

    #[test]
    fn requests_keep_to_their_limits() {
        let wide = Limits { max_events: 10, max_bytes: 100 };
        check(&[], wide, &[]);
        check(&[5; 4], wide, &[4]);
        check(&[5; 4], Limits { max_events: 3, ..wide }, &[3, 1]);
        check(&[5; 4], Limits { max_bytes: 10, ..wide }, &[2, 2]);
        check(&[5; 4], Limits { max_bytes: 9, ..wide }, &[1, 1, 1, 1]);
        check(&[5, 50, 5, 5], Limits { max_bytes: 10, ..wide }, &[1, 1, 2]);
    }
}
