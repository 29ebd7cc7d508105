//! Payloads as rows of a binary COPY.
//!
//! Invariant: what PostgreSQL would refuse for what a value is (U+0000 in a text or in
//! JSON) is found here and refused alone, so that a COPY fails for rules of the table
//! only. A row that is refused leaves no bytes.

use std::ops::Range;

use bytes::{BufMut as _, Bytes, BytesMut};
use flowctl_runtime::Rejection;
use flowctl_schema::{Cell, RowError, Schema};
use flowctl_types::Batch;

use crate::sql::table::{Kind, Table};

/// What a binary COPY starts with: its signature, no flags, no extension.
pub(super) const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What it ends with.
pub(super) const TAIL: &[u8] = &(-1_i16).to_be_bytes();
/// Most bytes that are handed to the connection at once, which copies them.
const MAX_PIECE: usize = 256 << 10;

/// Writes rows for one table, into one buffer that it keeps.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    buffer: BytesMut,
    json: Vec<u8>,
}

/// The events of a batch that are rows.
#[derive(Debug)]
pub(super) struct Rows {
    bytes: Bytes,
    /// Where each row ends.
    ends: Vec<usize>,
    /// Which event of the batch each row is.
    events: Vec<u32>,
}

/// Numbers the rows of a table in the order that they came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sequence(pub(super) i64);

impl Encoder {
    /// Encodes the events of `batch`, and says which are none. With a sequence, each
    /// row has its number as one column more.
    pub(super) fn encode(
        &mut self,
        table: &Table,
        schema: &Schema,
        batch: &Batch,
        mut sequence: Option<&mut Sequence>,
    ) -> (Rows, Vec<Rejection>) {
        let Self { buffer, json } = self;
        let n_columns = table.columns.len() + usize::from(sequence.is_some());
        let n_columns = i16::try_from(n_columns).expect("a table has at most 1,600 columns");
        let mut rejected = Vec::new();
        let mut ends = Vec::with_capacity(batch.len());
        let mut events = Vec::with_capacity(batch.len());
        for (event, payload) in batch.columns.payloads().enumerate() {
            let start = buffer.len();
            // a value is at most a few bytes longer than in the payload, JSON aside
            buffer.reserve(payload.len() + 12 * table.columns.len() + 16);
            buffer.put_i16(n_columns);
            let visited = schema.visit_row(payload, json, |index, cell| {
                let column = &table.columns[index];
                push(buffer, column.kind, cell).map_err(|what| (index, what))
            });
            let reason = match visited {
                Ok(()) => {
                    if let Some(Sequence(number)) = sequence.as_deref_mut() {
                        buffer.put_i32(8);
                        buffer.put_i64(*number);
                        *number += 1;
                    }
                    ends.push(buffer.len());
                    events.push(event as u32);
                    continue;
                }
                Err(RowError::Payload(error)) => error.to_string(),
                Err(RowError::Refused((index, what))) => {
                    format!("column `{}`: {what}, which PostgreSQL cannot store", table.columns[index].name)
                }
            };
            buffer.truncate(start);
            rejected.push(Rejection { index: event as u32, reason });
        }
        (Rows { bytes: buffer.split().freeze(), ends, events }, rejected)
    }
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Which event of the batch a row is.
    pub(super) fn event(&self, row: usize) -> u32 {
        self.events[row]
    }

    /// The rows of `range`, in pieces.
    pub(super) fn pieces(&self, range: Range<usize>) -> impl Iterator<Item = Bytes> {
        let start = if range.start == 0 { 0 } else { self.ends[range.start - 1] };
        let end = if range.is_empty() { start } else { self.ends[range.end - 1] };
        let rows = self.bytes.slice(start..end);
        (0..rows.len()).step_by(MAX_PIECE).map(move |at| rows.slice(at..rows.len().min(at + MAX_PIECE)))
    }
}

/// Appends a value behind its length, or says what it holds that cannot be stored.
#[inline]
fn push(out: &mut BytesMut, kind: Kind, cell: Cell<'_>) -> Result<(), &'static str> {
    match cell {
        Cell::Null => out.put_i32(-1),
        Cell::Bool(value) => {
            out.put_i32(1);
            out.put_u8(u8::from(value));
        }
        Cell::Unsigned(value) if kind == Kind::Unsigned => push_numeric(out, value),
        // what is unsigned and narrower has a column that is signed and wider
        Cell::Unsigned(value) => push_integer(out, kind, value as i64),
        Cell::Signed(value) => push_integer(out, kind, value),
        Cell::F32(value) => {
            out.put_i32(4);
            out.put_f32(value);
        }
        Cell::F64(value) => {
            out.put_i32(8);
            out.put_f64(value);
        }
        Cell::Text(text) if text.as_bytes().contains(&0) => return Err("it holds the character U+0000"),
        Cell::Text(text) => {
            out.put_i32(length(text.len()));
            out.put_slice(text.as_bytes());
        }
        Cell::Bytes(bytes) => {
            out.put_i32(length(bytes.len()));
            out.put_slice(bytes);
        }
        Cell::Json(text) if has_escaped_nul(text) => return Err("a text in it holds the character U+0000"),
        Cell::Json(text) => {
            out.put_i32(length(text.len() + 1));
            // the version of jsonb's binary form
            out.put_u8(1);
            out.put_slice(text);
        }
    }
    Ok(())
}

#[inline]
fn push_integer(out: &mut BytesMut, kind: Kind, value: i64) {
    match kind {
        Kind::Small => {
            out.put_i32(2);
            out.put_i16(value as i16);
        }
        Kind::Integer => {
            out.put_i32(4);
            out.put_i32(value as i32);
        }
        _ => {
            out.put_i32(8);
            out.put_i64(value);
        }
    }
}

/// A `numeric` without fraction: digits of base 10,000, the highest first.
fn push_numeric(out: &mut BytesMut, value: u64) {
    const BASE: u64 = 10_000;
    let mut digits = [0_i16; 5];
    let mut n_digits = 0;
    let mut rest = value;
    while rest > 0 {
        n_digits += 1;
        digits[5 - n_digits] = (rest % BASE) as i16;
        rest /= BASE;
    }
    out.put_i32(8 + 2 * n_digits as i32);
    out.put_i16(n_digits as i16);
    // the exponent of the first digit; sign and scale are 0
    out.put_i16((n_digits as i16 - 1).max(0));
    out.put_i32(0);
    digits[5 - n_digits..].iter().for_each(|digit| out.put_i16(*digit));
}

fn length(n_bytes: usize) -> i32 {
    i32::try_from(n_bytes).expect("an event has at most 64 MiB")
}

/// Whether JSON text, as this host writes it, has `\u0000` as an escape.
fn has_escaped_nul(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        if rest[at + 1..].starts_with(b"u0000") {
            return true;
        }
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_of_nul_are_told_from_a_backslash_before_the_same_letters() {
        for (text, has) in [
            (r#"{"a":"x\u0000"}"#, true),
            (r#""\\\u0000""#, true),
            (r#""\\u0000""#, false),
            (r#""\u0001\n\\""#, false),
            (r#"{"a":[1,null]}"#, false),
        ] {
            assert_eq!(has_escaped_nul(text.as_bytes()), has, "{text}");
        }
    }

    #[test]
    fn numbers_are_digits_of_ten_thousand() {
        let encoded = |value| {
            let mut out = BytesMut::new();
            push_numeric(&mut out, value);
            out[4..].chunks(2).map(|pair| i16::from_be_bytes([pair[0], pair[1]])).collect::<Vec<_>>()
        };
        assert_eq!(encoded(0), [0, 0, 0, 0]);
        assert_eq!(encoded(9_999), [1, 0, 0, 0, 9_999]);
        assert_eq!(encoded(10_000), [2, 1, 0, 0, 1, 0]);
        assert_eq!(encoded(u64::MAX), [5, 4, 0, 0, 1844, 6744, 737, 955, 1615]);
    }
}
