//! The fields of a protobuf message, one after the other, without making anything of
//! them.

use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// One field: its number, and its bytes where it is a text, bytes or a message.
pub(super) type Field<'a> = (u32, Option<&'a [u8]>);

/// Reads the next field; none at the end.
pub(super) fn next<'a>(message: &mut &'a [u8]) -> Result<Option<Field<'a>>, DecodeError> {
    if message.is_empty() {
        return Ok(None);
    }
    let (number, wire_type) = decode_key(message)?;
    if wire_type != WireType::LengthDelimited {
        skip_field(wire_type, number, message, DecodeContext::default())?;
        return Ok(Some((number, None)));
    }
    let length = decode_varint(message)?;
    let split = usize::try_from(length).ok().and_then(|length| message.split_at_checked(length));
    match split {
        Some((content, rest)) => {
            *message = rest;
            Ok(Some((number, Some(content))))
        }
        // the decoder knows best how to say that it ends too early
        None => Err(skip_field(WireType::SixtyFourBit, number, &mut &b""[..], DecodeContext::default())
            .expect_err("eight bytes are missing")),
    }
}
