//! Payload → JSON, straight from bytes to text.
//!
//! Invariant: every length is held against the bytes that remain before it is used,
//! every string is checked to be UTF-8, and depth is that of the type. So what a
//! payload costs is bounded by its own size and by [`MAX_EVENT_BYTES`].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::fault::{Fault, MAX_EVENT_BYTES, Outcome};
use crate::plan::{Cases, Plan, RecordPlan};
use crate::{text, varint};

/// Reads one payload.
pub(crate) struct PayloadReader<'a> {
    bytes: &'a [u8],
    pos: usize,
    /// Length that `out` may reach.
    limit: usize,
}

impl<'a> PayloadReader<'a> {
    pub(crate) fn new(bytes: &'a [u8], out: &[u8]) -> Self {
        Self { bytes, pos: 0, limit: out.len().saturating_add(MAX_EVENT_BYTES) }
    }

    /// Ends the payload, which must be used up.
    pub(crate) fn finish(&self) -> Outcome {
        match self.bytes.len() - self.pos {
            0 => Ok(()),
            rest => Err(self.fault(format!("{rest} bytes are left over after the value"))),
        }
    }

    /// Appends the JSON form of the value at hand.
    pub(crate) fn write_json(&mut self, plan: &Plan, out: &mut Vec<u8>) -> Outcome {
        match plan {
            Plan::Bool => {
                let word: &[u8] = if self.bool()? { b"true" } else { b"false" };
                out.extend_from_slice(word);
            }
            Plan::U8 => push_integer(out, self.byte()?),
            Plan::S8 => push_integer(out, self.byte()? as i8),
            Plan::U16 => push_integer(out, self.varint(16)?),
            Plan::U32 => push_integer(out, self.varint(32)?),
            Plan::U64 => push_integer(out, self.varint(64)?),
            Plan::S16 => push_integer(out, varint::unzigzag(self.varint(16)?)),
            Plan::S32 => push_integer(out, varint::unzigzag(self.varint(32)?)),
            Plan::S64 => push_integer(out, varint::unzigzag(self.varint(64)?)),
            Plan::F32 => {
                let value = f32::from_le_bytes(*self.array::<4>()?);
                push_float(out, value, value.is_finite(), value.is_nan(), value > 0.0);
            }
            Plan::F64 => {
                let value = f64::from_le_bytes(*self.array::<8>()?);
                push_float(out, value, value.is_finite(), value.is_nan(), value > 0.0);
            }
            Plan::String => {
                let bytes = self.slice()?;
                let plain = text::plain_ascii_len(bytes);
                if plain == bytes.len() {
                    out.push(b'"');
                    out.extend_from_slice(bytes);
                    out.push(b'"');
                } else {
                    text::push_string(out, self.utf8(bytes)?);
                }
            }
            Plan::Char => {
                let text = self.char()?;
                text::push_string(out, text);
            }
            Plan::Bytes => {
                let bytes = self.slice()?;
                push_base64(out, bytes);
            }
            Plan::List(element) => {
                let n = self.length()?;
                out.push(b'[');
                for index in 0..n {
                    if index > 0 {
                        out.push(b',');
                    }
                    self.write_json(element, out).map_err(|fault| fault.in_element(index))?;
                    self.check_size(out)?;
                }
                out.push(b']');
            }
            Plan::Option(inner) => {
                if self.tag()? {
                    return self.write_json(inner, out);
                }
                out.extend_from_slice(b"null");
            }
            Plan::Tuple(plans) => {
                for (index, plan) in plans.iter().enumerate() {
                    out.push(if index == 0 { b'[' } else { b',' });
                    self.write_json(plan, out).map_err(|fault| fault.in_element(index))?;
                }
                out.push(b']');
            }
            Plan::Record(record) => self.write_record(record, out)?,
            Plan::Variant(cases) | Plan::Enum(cases) => {
                let case = &cases.cases[self.case(cases)?];
                out.extend_from_slice(&case.opening);
                if let Some(plan) = &case.plan {
                    self.write_json(plan, out).map_err(|fault| fault.in_field(&case.name))?;
                    out.push(b'}');
                }
            }
            Plan::Result(cases) => {
                let case = &cases.cases[self.case(cases)?];
                out.extend_from_slice(&case.opening);
                match &case.plan {
                    Some(plan) => self.write_json(plan, out).map_err(|fault| fault.in_field(&case.name))?,
                    None => out.extend_from_slice(b"null"),
                }
                out.push(b'}');
            }
        }
        Ok(())
    }

    fn write_record(&mut self, record: &RecordPlan, out: &mut Vec<u8>) -> Outcome {
        for field in &record.fields {
            out.extend_from_slice(&field.opening);
            if let Err(fault) = self.write_json(&field.plan, out) {
                return Err(fault.in_field(&field.name));
            }
        }
        out.push(b'}');
        self.check_size(out)
    }

    /// Checks the value at hand, and moves past it.
    pub(crate) fn skip(&mut self, plan: &Plan) -> Outcome {
        match plan {
            Plan::Bool | Plan::U8 | Plan::S8 => {
                if matches!(plan, Plan::Bool) {
                    self.bool()?;
                } else {
                    self.byte()?;
                }
            }
            Plan::U16 | Plan::S16 => {
                self.varint(16)?;
            }
            Plan::U32 | Plan::S32 => {
                self.varint(32)?;
            }
            Plan::U64 | Plan::S64 => {
                self.varint(64)?;
            }
            Plan::F32 => {
                self.array::<4>()?;
            }
            Plan::F64 => {
                self.array::<8>()?;
            }
            Plan::String => {
                let bytes = self.slice()?;
                self.utf8(bytes)?;
            }
            Plan::Char => {
                self.char()?;
            }
            Plan::Bytes => {
                self.slice()?;
            }
            Plan::List(element) => {
                for index in 0..self.length()? {
                    self.skip(element).map_err(|fault| fault.in_element(index))?;
                }
            }
            Plan::Option(inner) => {
                if self.tag()? {
                    self.skip(inner)?;
                }
            }
            Plan::Tuple(plans) => {
                for (index, plan) in plans.iter().enumerate() {
                    self.skip(plan).map_err(|fault| fault.in_element(index))?;
                }
            }
            Plan::Record(record) => {
                for field in &record.fields {
                    self.skip(&field.plan).map_err(|fault| fault.in_field(&field.name))?;
                }
            }
            Plan::Variant(cases) | Plan::Enum(cases) | Plan::Result(cases) => {
                let case = &cases.cases[self.case(cases)?];
                if let Some(plan) = &case.plan {
                    self.skip(plan).map_err(|fault| fault.in_field(&case.name))?;
                }
            }
        }
        Ok(())
    }

    /// The bytes read since `start`, a position that [`Self::position`] gave.
    pub(crate) fn since(&self, start: usize) -> &'a [u8] {
        &self.bytes[start..self.pos]
    }

    /// Bytes read so far.
    pub(crate) fn position(&self) -> usize {
        self.pos
    }

    /// The number of a list's elements.
    pub(crate) fn length(&mut self) -> Outcome<usize> {
        let start = self.pos;
        let length = self.varint(32)? as usize;
        let rest = self.bytes.len() - self.pos;
        if length > rest {
            return Err(Fault::new(start, format!("a length of {length} where {rest} bytes remain")));
        }
        Ok(length)
    }

    /// Whether an option holds something.
    pub(crate) fn tag(&mut self) -> Outcome<bool> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Fault::new(self.pos - 1, format!("an option starts with 0 or 1, not {other}"))),
        }
    }

    /// The index of a variant's case.
    pub(crate) fn case(&mut self, cases: &Cases) -> Outcome<usize> {
        let start = self.pos;
        let index = self.varint(32)? as usize;
        if index >= cases.cases.len() {
            return Err(Fault::new(start, format!("case {index} of {} cases", cases.cases.len())));
        }
        Ok(index)
    }

    /// Fails where `out` has grown past what one event may have.
    pub(crate) fn check_size(&self, out: &[u8]) -> Outcome {
        if out.len() > self.limit {
            return Err(self.fault(format!("the event takes more than {MAX_EVENT_BYTES} bytes")));
        }
        Ok(())
    }

    pub(crate) fn bool(&mut self) -> Outcome<bool> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Fault::new(self.pos - 1, format!("a bool is 0 or 1, not {other}"))),
        }
    }

    pub(crate) fn char(&mut self) -> Outcome<&'a str> {
        let start = self.pos;
        let bytes = self.slice()?;
        let text = self.utf8(bytes)?;
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(_), None) => Ok(text),
            _ => Err(Fault::new(start, "a char is one character")),
        }
    }

    #[inline]
    pub(crate) fn byte(&mut self) -> Outcome<u8> {
        let Some(byte) = self.bytes.get(self.pos) else { return Err(self.ended()) };
        self.pos += 1;
        Ok(*byte)
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Outcome<&'a [u8; N]> {
        let Some(array) = self.bytes[self.pos..].first_chunk::<N>() else { return Err(self.ended()) };
        self.pos += N;
        Ok(array)
    }

    #[inline]
    pub(crate) fn varint(&mut self, bits: u32) -> Outcome<u64> {
        let start = self.pos;
        match varint::read(self.bytes, &mut self.pos, bits) {
            Some(value) => Ok(value),
            None if self.pos == self.bytes.len() && self.bytes.last().is_none_or(|last| *last >= 0x80) => {
                Err(self.ended())
            }
            None => Err(Fault::new(start, format!("a number that does not fit {bits} bits"))),
        }
    }

    #[inline]
    pub(crate) fn slice(&mut self) -> Outcome<&'a [u8]> {
        let length = self.length()?;
        let bytes = &self.bytes[self.pos..self.pos + length];
        self.pos += length;
        Ok(bytes)
    }

    pub(crate) fn utf8(&self, bytes: &'a [u8]) -> Outcome<&'a str> {
        std::str::from_utf8(bytes)
            .map_err(|error| Fault::new(self.pos - bytes.len() + error.valid_up_to(), "text that is not UTF-8"))
    }

    #[cold]
    fn ended(&self) -> Box<Fault> {
        Fault::new(self.bytes.len(), "it ends in the middle of a value")
    }

    #[cold]
    fn fault(&self, reason: String) -> Box<Fault> {
        Fault::new(self.pos, reason)
    }
}

#[inline]
fn push_integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn push_float(out: &mut Vec<u8>, value: impl serde::Serialize, is_finite: bool, is_nan: bool, is_positive: bool) {
    if is_finite {
        serde_json::to_writer(out, &value).expect("a Vec takes everything");
        return;
    }
    let name: &[u8] = match (is_nan, is_positive) {
        (true, _) => b"\"NaN\"",
        (false, true) => b"\"Infinity\"",
        (false, false) => b"\"-Infinity\"",
    };
    out.extend_from_slice(name);
}

/// Appends `bytes` as a base64 string, quotes included.
pub(crate) fn push_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = bytes.len().div_ceil(3) * 4;
    out.push(b'"');
    let start = out.len();
    out.resize(start + length, 0);
    STANDARD.encode_slice(bytes, &mut out[start..]).expect("the space was measured");
    out.push(b'"');
}
