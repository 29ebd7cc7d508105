//! Bytes to values.
//!
//! Invariant: no input makes it panic, and what is reserved for a list is
//! bounded by the bytes that remain.

use super::DecodeError;
use super::error::Reason;

/// The bytes still to be decoded.
///
/// ```
/// use flowctl_sdk::codec::{Decode, Reader};
///
/// let mut reader = Reader::new(&[5, 1]);
/// assert_eq!(u8::decode(&mut reader).unwrap(), 5);
/// assert_eq!(reader.remaining(), 1);
/// ```
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the beginning of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, DecodeError> {
        let (&first, rest) = self.rest.split_first().ok_or_else(|| DecodeError::new(Reason::EndOfInput))?;
        self.rest = rest;
        Ok(first)
    }

    #[inline]
    fn take(&mut self, n_bytes: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(n_bytes).ok_or_else(|| DecodeError::new(Reason::EndOfInput))?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| DecodeError::new(Reason::EndOfInput))?;
        self.rest = rest;
        Ok(*taken)
    }

    #[inline]
    fn length(&mut self) -> Result<usize, DecodeError> {
        usize::try_from(u64::decode(self)?).map_err(|_| DecodeError::new(Reason::IntegerTooLarge))
    }
}

/// A value that can be read from payload or state; see the
/// [module](crate::codec) for the bytes.
///
/// The macro implements it for every event type, owned and borrowed. `'a` is the
/// life of the bytes, which `&'a str` and `&'a [u8]` borrow.
///
/// ```
/// use flowctl_sdk::codec::{Decode, Reader};
///
/// let text = <&str>::decode(&mut Reader::new(&[2, b'h', b'i'])).unwrap();
/// assert_eq!(text, "hi");
/// ```
pub trait Decode<'a>: Sized {
    /// Reads one value from the front of `reader`.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] where the bytes are not such a value; how much of
    /// `reader` was used up is then unspecified.
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError>;

    /// Reads a list's elements; bytes override it to copy at once.
    #[doc(hidden)]
    fn decode_elements(n_elements: usize, reader: &mut Reader<'a>) -> Result<Vec<Self>, DecodeError> {
        // An element takes a byte at least. Small, because one may be large in memory.
        let mut elements = Vec::with_capacity(n_elements.min(reader.remaining()).min(64));
        for _ in 0..n_elements {
            // Elements without any bytes would let a short input ask for endless work.
            if reader.remaining() == 0 {
                return Err(DecodeError::new(Reason::EndOfInput));
            }
            elements.push(Self::decode(reader)?);
        }
        Ok(elements)
    }
}

impl<'a> Decode<'a> for u8 {
    #[inline]
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        reader.byte()
    }

    #[inline]
    fn decode_elements(n_elements: usize, reader: &mut Reader<'a>) -> Result<Vec<Self>, DecodeError> {
        reader.take(n_elements).map(<[u8]>::to_vec)
    }
}

impl<'a> Decode<'a> for i8 {
    #[inline]
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        reader.byte().map(u8::cast_signed)
    }
}

impl<'a> Decode<'a> for bool {
    #[inline]
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        match reader.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(DecodeError::new(Reason::Bool(other))),
        }
    }
}

macro_rules! decode_unsigned {
    ($($unsigned:ty),*) => {$(
        impl<'a> Decode<'a> for $unsigned {
            #[inline]
            fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
                let first = reader.byte()?;
                let mut value = <$unsigned>::from(first & 0x7f);
                if first < 0x80 {
                    return Ok(value);
                }
                let mut shift = 7;
                loop {
                    let byte = reader.byte()?;
                    let bits = <$unsigned>::from(byte & 0x7f);
                    // Also ends a varint that never does, before `shift` is too large.
                    if shift >= <$unsigned>::BITS || (bits << shift) >> shift != bits {
                        return Err(DecodeError::new(Reason::IntegerTooLarge));
                    }
                    value |= bits << shift;
                    if byte < 0x80 {
                        return Ok(value);
                    }
                    shift += 7;
                }
            }
        }
    )*};
}
decode_unsigned!(u16, u32, u64, u128);

macro_rules! decode_signed {
    ($($signed:ty as $unsigned:ty),*) => {$(
        impl<'a> Decode<'a> for $signed {
            #[inline]
            fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
                let zigzag = <$unsigned>::decode(reader)?;
                Ok((zigzag >> 1).cast_signed() ^ -((zigzag & 1).cast_signed()))
            }
        }
    )*};
}
decode_signed!(i16 as u16, i32 as u32, i64 as u64, i128 as u128);

impl<'a> Decode<'a> for f32 {
    #[inline]
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        reader.array().map(Self::from_le_bytes)
    }
}

impl<'a> Decode<'a> for f64 {
    #[inline]
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        reader.array().map(Self::from_le_bytes)
    }
}

impl<'a> Decode<'a> for char {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let mut chars = <&str>::decode(reader)?.chars();
        match (chars.next(), chars.next()) {
            (Some(one), None) => Ok(one),
            _ => Err(DecodeError::new(Reason::NotOneChar)),
        }
    }
}

impl<'a> Decode<'a> for &'a str {
    #[inline]
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let n_bytes = reader.length()?;
        std::str::from_utf8(reader.take(n_bytes)?).map_err(|_| DecodeError::new(Reason::NotUtf8))
    }
}

impl<'a> Decode<'a> for String {
    #[inline]
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        <&str>::decode(reader).map(str::to_owned)
    }
}

impl<'a> Decode<'a> for &'a [u8] {
    #[inline]
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let n_bytes = reader.length()?;
        reader.take(n_bytes)
    }
}

impl<'a, T: Decode<'a>> Decode<'a> for Vec<T> {
    #[inline]
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let n_elements = reader.length()?;
        T::decode_elements(n_elements, reader)
    }
}

impl<'a, T: Decode<'a>> Decode<'a> for Option<T> {
    #[inline]
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        match reader.byte()? {
            0 => Ok(None),
            1 => T::decode(reader).map(Some),
            other => Err(DecodeError::new(Reason::OptionTag(other))),
        }
    }
}

impl<'a, T: Decode<'a>, E: Decode<'a>> Decode<'a> for Result<T, E> {
    #[inline]
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        match u32::decode(reader)? {
            0 => T::decode(reader).map(Ok),
            1 => E::decode(reader).map(Err),
            other => Err(DecodeError::unknown_case("result", other)),
        }
    }
}

impl<'a> Decode<'a> for () {
    #[inline]
    fn decode(_reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(())
    }
}

macro_rules! decode_tuple {
    ($($name:ident)+) => {
        impl<'a, $($name: Decode<'a>),+> Decode<'a> for ($($name,)+) {
            #[inline]
            fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
                Ok(($($name::decode(reader)?,)+))
            }
        }
    };
}
decode_tuple!(A);
decode_tuple!(A B);
decode_tuple!(A B C);
decode_tuple!(A B C D);
decode_tuple!(A B C D E);
decode_tuple!(A B C D E F);
decode_tuple!(A B C D E F G);
decode_tuple!(A B C D E F G H);
decode_tuple!(A B C D E F G H I);
decode_tuple!(A B C D E F G H I J);
decode_tuple!(A B C D E F G H I J K);
decode_tuple!(A B C D E F G H I J K L);
