//! Records whose keys do not come in the order of the type: values are written where
//! they land, and put in order when the record ends.

use std::cell::Cell;

use super::JsonReader;
use crate::fault::{Fault, Outcome};
use crate::plan::RecordPlan;

/// Most bytes that a thread keeps for the next event whose keys are out of order.
const MAX_KEPT_BYTES: usize = 1 << 20;

/// Most places that a thread keeps room for.
const MAX_KEPT_SEGMENTS: usize = 1 << 14;

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

/// Room for fields that came out of order.
#[derive(Default)]
pub(super) struct Scratch {
    bytes: Vec<u8>,
    segments: Vec<Segment>,
}

impl Scratch {
    /// The thread's, or a new one.
    fn take() -> Box<Self> {
        SCRATCH.take().unwrap_or_default()
    }

    /// Leaves it to the thread's next event, if it is not too large for that.
    pub(super) fn keep(self: Box<Self>) {
        if self.bytes.capacity() <= MAX_KEPT_BYTES && self.segments.capacity() <= MAX_KEPT_SEGMENTS {
            SCRATCH.set(Some(self));
        }
    }
}

/// Where the value of a field landed.
#[derive(Clone, Copy)]
struct Segment {
    field: usize,
    start: usize,
    end: usize,
}

impl JsonReader<'_> {
    /// Reads the rest of a record whose fields before `first` are in place, and whose
    /// next key, at hand, is not that of field `first`.
    #[cold]
    pub(super) fn shuffled(&mut self, record: &RecordPlan, first: usize, out: &mut Vec<u8>) -> Outcome {
        let segments = self.scratch.get_or_insert_with(Scratch::take).segments.len();
        let base = out.len();
        loop {
            self.space();
            let start = self.pos;
            let index = self.name("field", "a field's name", &record.names)?;
            let field = &record.fields[index];
            let scratch = self.scratch.get_or_insert_default();
            if index < first || scratch.segments.len() - segments > record.fields.len() {
                return Err(Fault::new(start, format!("field `{}` stands twice", field.name)));
            }
            self.colon()?;
            let from = out.len();
            self.read(&field.plan, out).map_err(|fault| fault.in_field(&field.name))?;
            let segment = Segment { field: index, start: from - base, end: out.len() - base };
            self.scratch.get_or_insert_default().segments.push(segment);
            self.check_size(out)?;
            if !self.more(b'}')? {
                break;
            }
        }
        let end = self.pos;
        let scratch = self.scratch.get_or_insert_default();
        let outcome = put_in_order(record, first, end, base, segments, scratch, out);
        scratch.segments.truncate(segments);
        outcome?;
        self.check_size(out)
    }
}

/// Puts the values that landed from `base` on into the order of the type.
fn put_in_order(
    record: &RecordPlan,
    first: usize,
    at: usize,
    base: usize,
    segments: usize,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Outcome {
    let segments = &mut scratch.segments[segments..];
    segments.sort_unstable_by_key(|segment| segment.field);
    if let Some(pair) = segments.windows(2).find(|pair| pair[0].field == pair[1].field) {
        return Err(Fault::new(at, format!("field `{}` stands twice", record.fields[pair[0].field].name)));
    }
    scratch.bytes.clear();
    scratch.bytes.extend_from_slice(&out[base..]);
    out.truncate(base);
    let mut landed = segments.iter().peekable();
    for (index, field) in record.fields.iter().enumerate().skip(first) {
        match landed.next_if(|segment| segment.field == index) {
            Some(segment) => out.extend_from_slice(&scratch.bytes[segment.start..segment.end]),
            None if field.is_option() => out.push(0),
            None => return Err(Fault::new(at, format!("field `{}` is missing", field.name))),
        }
    }
    Ok(())
}
