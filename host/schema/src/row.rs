//! A record's fields one by one, as the columns of a row take them.
//!
//! Invariant: no tree is built. What a cell holds is borrowed from the payload, or,
//! where the column takes JSON, from a buffer that the caller keeps from row to row; so
//! a row allocates nothing once that buffer has grown.

use crate::fault::{Fault, Outcome};
use crate::payload::PayloadReader;
use crate::plan::Plan;
use crate::{PayloadError, Schema, varint};

/// The value of one field of a record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// An `option` that holds nothing.
    Null,
    /// `bool`
    Bool(bool),
    /// `u8`, `u16`, `u32` or `u64`
    Unsigned(u64),
    /// `s8`, `s16`, `s32` or `s64`
    Signed(i64),
    /// `f32`
    F32(f32),
    /// `f64`
    F64(f64),
    /// `char`, `string`, or the name of an enum's case.
    Text(&'a str),
    /// `list<u8>`
    Bytes(&'a [u8]),
    /// The JSON form of a record, list, tuple, variant or result.
    Json(&'a [u8]),
}

/// Why a payload could not be taken as a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError<E> {
    /// It is no value of its schema.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// Whoever was shown a cell refuses it.
    #[error("the row is refused")]
    Refused(E),
}

enum Stop<E> {
    Fault(Box<Fault>),
    Refused(E),
}

impl<E> From<Box<Fault>> for Stop<E> {
    fn from(fault: Box<Fault>) -> Self {
        Self::Fault(fault)
    }
}

impl Schema {
    /// Shows every field of the record in `payload` to `visit`, in order, as its index
    /// and its value. `json` is a buffer for the visitor's JSON cells; what it holds is
    /// thrown away.
    ///
    /// # Errors
    ///
    /// [`RowError::Payload`] when the payload is no value of this type, is not used up,
    /// or is no record; [`RowError::Refused`] with what `visit` answered. Fields before
    /// the fault have been shown by then.
    pub fn visit_row<E>(
        &self,
        payload: &[u8],
        json: &mut Vec<u8>,
        mut visit: impl FnMut(usize, Cell<'_>) -> Result<(), E>,
    ) -> Result<(), RowError<E>> {
        json.clear();
        self.visit(payload, json, &mut visit).map_err(|stop| match stop {
            Stop::Fault(fault) => RowError::Payload(self.payload_error(&fault)),
            Stop::Refused(refusal) => RowError::Refused(refusal),
        })
    }

    fn visit<E>(
        &self,
        payload: &[u8],
        json: &mut Vec<u8>,
        visit: &mut impl FnMut(usize, Cell<'_>) -> Result<(), E>,
    ) -> Result<(), Stop<E>> {
        let Plan::Record(record) = self.plan() else { return Err(Fault::new(0, "its type is no record").into()) };
        let mut reader = PayloadReader::new(payload, json);
        for (index, field) in record.fields.iter().enumerate() {
            let cell = reader.cell(&field.plan, json).map_err(|fault| fault.in_field(&field.name))?;
            visit(index, cell).map_err(Stop::Refused)?;
        }
        Ok(reader.finish()?)
    }
}

impl<'a> PayloadReader<'a> {
    /// Reads the value at hand. JSON is appended to `json`, whose length is bounded for
    /// all cells of the payload together.
    #[inline]
    fn cell<'b>(&mut self, plan: &'b Plan, json: &'b mut Vec<u8>) -> Outcome<Cell<'b>>
    where
        'a: 'b,
    {
        Ok(match plan {
            Plan::Bool => Cell::Bool(self.bool()?),
            Plan::U8 => Cell::Unsigned(self.byte()?.into()),
            Plan::U16 => Cell::Unsigned(self.varint(16)?),
            Plan::U32 => Cell::Unsigned(self.varint(32)?),
            Plan::U64 => Cell::Unsigned(self.varint(64)?),
            Plan::S8 => Cell::Signed((self.byte()? as i8).into()),
            Plan::S16 => Cell::Signed(varint::unzigzag(self.varint(16)?)),
            Plan::S32 => Cell::Signed(varint::unzigzag(self.varint(32)?)),
            Plan::S64 => Cell::Signed(varint::unzigzag(self.varint(64)?)),
            Plan::F32 => Cell::F32(f32::from_le_bytes(*self.array::<4>()?)),
            Plan::F64 => Cell::F64(f64::from_le_bytes(*self.array::<8>()?)),
            Plan::Char => Cell::Text(self.char()?),
            Plan::String => {
                let bytes = self.slice()?;
                Cell::Text(self.utf8(bytes)?)
            }
            Plan::Bytes => Cell::Bytes(self.slice()?),
            Plan::Enum(cases) => Cell::Text(&cases.cases[self.case(cases)?].name),
            Plan::Option(inner) => match self.tag()? {
                true => return self.cell(inner, json),
                false => Cell::Null,
            },
            Plan::List(_) | Plan::Result(_) | Plan::Tuple(_) | Plan::Record(_) | Plan::Variant(_) => {
                let start = json.len();
                self.write_json(plan, json)?;
                self.check_size(json)?;
                Cell::Json(&json[start..])
            }
        })
    }
}
