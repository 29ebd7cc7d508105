//! Payload bytes: the postcard encoding of a WIT type.
//!
//! | WIT | bytes |
//! |---|---|
//! | `bool` | one byte, 0 or 1 |
//! | `u8`, `s8` | one byte |
//! | `u16`, `u32`, `u64` | varint: 7 bits a byte, lowest first, high bit = more follow |
//! | `s16`, `s32`, `s64` | zigzag (0, -1, 1, -2, …), then varint |
//! | `f32`, `f64` | 4 or 8 bytes, little-endian IEEE 754 |
//! | `char` | as a `string` of that one character |
//! | `string` | length in bytes as varint, then UTF-8 |
//! | `list<u8>` | length as varint, then the bytes |
//! | `list<T>` | number of elements as varint, then each |
//! | `option<T>` | 0, or 1 and the value |
//! | `result<T, E>` | 0 and the ok value, or 1 and the error (nothing for `_`) |
//! | `tuple<…>`, record | each field in order, with nothing between |
//! | enum, variant | index of the case as varint (`u32`), then the case's value |
//!
//! An event whose type is an alias of `list<u8>` is opaque and is not encoded at
//! all: its bytes are the payload.
//!
//! Invariant: the same bytes as serde and postcard give for the same shape
//! (property-tested), since the host reads and writes them from the WIT alone.
//! Decoding never panics and reserves no more memory than the input has bytes.

mod decode;
mod encode;
mod error;

pub use self::decode::{Decode, Reader};
pub use self::encode::Encode;
pub use self::error::DecodeError;

/// Encodes a value as a payload.
///
/// ```
/// assert_eq!(flowctl_sdk::codec::to_bytes(&(300u32, "ab")), [0xac, 0x02, 2, b'a', b'b']);
/// ```
#[must_use]
pub fn to_bytes<T: Encode + ?Sized>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    value.encode(&mut out);
    out
}

/// Decodes a payload, all of it.
///
/// ```
/// use flowctl_sdk::codec::from_bytes;
///
/// assert_eq!(from_bytes::<(u32, &str)>(&[0xac, 0x02, 2, b'a', b'b']).unwrap(), (300, "ab"));
/// assert!(from_bytes::<u8>(&[1, 2]).is_err(), "one byte is left over");
/// ```
///
/// # Errors
///
/// [`DecodeError`] where the bytes are not such a value, or go on after it.
pub fn from_bytes<'a, T: Decode<'a>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    let mut reader = Reader::new(bytes);
    let value = T::decode(&mut reader)?;
    match reader.remaining() {
        0 => Ok(value),
        n_bytes => Err(DecodeError::trailing(n_bytes)),
    }
}
