//! A cursor over XDR bytes that borrows what it reads.
//!
//! Most of a ledger's bytes (footprints, ledger entries, diagnostic events) are of no use
//! to whoever looks for something in it. `stellar-xdr` can only decode them into allocated
//! values, so this reader walks over them in place, and [`Reader::decode`] hands the rest
//! to `stellar-xdr`.
//!
//! Invariant: it accepts exactly the bytes that `stellar-xdr` accepts (enum values,
//! padding, length bounds), nesting limits aside, and refuses booleans that are neither
//! 0 nor 1 besides. `tests/walks.rs` compares the two over generated values.

use stellar_xdr::{Limited, Limits, ReadXdr};

/// The deepest nesting of recursive values (contract values, authorisations) that is
/// read. The network itself allows far less.
pub const MAX_NESTING: u32 = 120;

/// How deep `stellar-xdr` may recurse in what is given to it: far beyond the few levels of
/// claim predicates and quorum sets, and far within the stack of a component.
const DECODE_DEPTH: u32 = 200;

/// Bytes that are no XDR of the expected type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {offset}")]
pub struct Malformed {
    /// Where, in bytes from the start of the ledger.
    pub offset: usize,
    /// What is wrong there.
    pub what: &'static str,
}

/// The result of reading XDR.
pub type Read<T> = Result<T, Malformed>;

/// A position within the XDR of a ledger.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    pos: usize,
    nesting: u32,
}

impl<'a> Reader<'a> {
    /// Starts at the first of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, pos: 0, nesting: 0 }
    }

    /// Where the next value begins, in bytes.
    pub fn position(&self) -> usize {
        self.pos
    }

    /// The same bytes with the position at `position`.
    pub fn at(&self, position: usize) -> Reader<'a> {
        Self { bytes: self.bytes, pos: position.min(self.bytes.len()), nesting: 0 }
    }

    /// The same bytes with the position at `from`, ending before `until`.
    pub fn span(&self, from: usize, until: usize) -> Reader<'a> {
        Self { bytes: &self.bytes[..until], pos: from, nesting: 0 }
    }

    /// The bytes from `start` to the present position.
    pub fn since(&self, start: usize) -> &'a [u8] {
        &self.bytes[start..self.pos]
    }

    /// Whether every byte has been read.
    pub fn is_at_end(&self) -> bool {
        self.pos == self.bytes.len()
    }

    /// The error that names the present position.
    #[cold]
    pub fn malformed(&self, what: &'static str) -> Malformed {
        Malformed { offset: self.pos, what }
    }

    /// Reads `N` bytes.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Read<&'a [u8; N]> {
        match self.bytes.get(self.pos..).and_then(|rest| rest.first_chunk::<N>()) {
            Some(chunk) => {
                self.pos += N;
                Ok(chunk)
            }
            None => Err(self.malformed("unexpected end")),
        }
    }

    /// Passes over `n` bytes.
    #[inline]
    pub fn skip(&mut self, n: usize) -> Read<()> {
        if n > self.bytes.len() - self.pos {
            return Err(self.malformed("unexpected end"));
        }
        self.pos += n;
        Ok(())
    }

    /// Reads an unsigned 32-bit integer.
    #[inline]
    pub fn u32(&mut self) -> Read<u32> {
        Ok(u32::from_be_bytes(*self.array()?))
    }

    /// Reads a signed 32-bit integer.
    #[inline]
    pub fn i32(&mut self) -> Read<i32> {
        Ok(i32::from_be_bytes(*self.array()?))
    }

    /// Reads an unsigned 64-bit integer.
    #[inline]
    pub fn u64(&mut self) -> Read<u64> {
        Ok(u64::from_be_bytes(*self.array()?))
    }

    /// Reads a signed 64-bit integer.
    #[inline]
    pub fn i64(&mut self) -> Read<i64> {
        Ok(i64::from_be_bytes(*self.array()?))
    }

    /// Reads a boolean.
    #[inline]
    pub fn boolean(&mut self) -> Read<bool> {
        match self.u32()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.malformed("boolean that is neither 0 nor 1")),
        }
    }

    /// Reads an enum whose values are `0..=last`.
    #[inline]
    pub fn choice(&mut self, last: u32, what: &'static str) -> Read<u32> {
        let value = self.u32()?;
        if value > last {
            return Err(self.malformed(what));
        }
        Ok(value)
    }

    /// Passes over an extension point that has no case yet.
    #[inline]
    pub fn no_extension(&mut self) -> Read<()> {
        self.choice(0, "unknown extension").map(|_| ())
    }

    /// Reads bytes of a length of their own, at most `max`.
    #[inline]
    pub fn opaque(&mut self, max: u32) -> Read<&'a [u8]> {
        let length = self.u32()?;
        if length > max {
            return Err(self.malformed("length above its bound"));
        }
        let start = self.pos;
        self.skip(length as usize)?;
        let bytes = self.since(start);
        let padding = (4 - length as usize % 4) % 4;
        let pad_start = self.pos;
        self.skip(padding)?;
        if self.since(pad_start).iter().any(|byte| *byte != 0) {
            return Err(self.malformed("padding that is not zero"));
        }
        Ok(bytes)
    }

    /// Walks over an optional value.
    #[inline]
    pub fn optional(&mut self, value: impl FnOnce(&mut Self) -> Read<()>) -> Read<()> {
        if self.boolean()? { value(self) } else { Ok(()) }
    }

    /// Walks over a list of at most `max` items and returns their number.
    #[inline]
    pub fn list(&mut self, max: u32, mut item: impl FnMut(&mut Self) -> Read<()>) -> Read<u32> {
        let length = self.u32()?;
        if length > max {
            return Err(self.malformed("length above its bound"));
        }
        for _ in 0..length {
            item(self)?;
        }
        Ok(length)
    }

    /// Walks over a value that may contain its own kind, within [`MAX_NESTING`].
    #[inline]
    pub fn nested(&mut self, value: impl FnOnce(&mut Self) -> Read<()>) -> Read<()> {
        if self.nesting == MAX_NESTING {
            return Err(self.malformed("values nested too deeply"));
        }
        self.nesting += 1;
        value(self)?;
        self.nesting -= 1;
        Ok(())
    }

    /// Reads a value with `stellar-xdr`.
    pub fn decode<T: ReadXdr>(&mut self) -> Read<T> {
        let rest = &self.bytes[self.pos..];
        let mut limited = Limited::new(rest, Limits { depth: DECODE_DEPTH, len: rest.len() });
        match T::read_xdr(&mut limited) {
            Ok(value) => {
                self.pos += rest.len() - limited.inner.len();
                Ok(value)
            }
            Err(error) => {
                self.pos += rest.len() - limited.inner.len();
                Err(self.malformed(describe(&error)))
            }
        }
    }

    /// Walks over a value by decoding it: for types that are rare in ledgers.
    pub fn skip_decoded<T: ReadXdr>(&mut self) -> Read<()> {
        self.decode::<T>().map(drop)
    }
}

fn describe(error: &stellar_xdr::Error) -> &'static str {
    use stellar_xdr::Error;
    match error {
        Error::Io(_) | Error::LengthLimitExceeded => "unexpected end",
        Error::DepthLimitExceeded => "values nested too deeply",
        Error::LengthExceedsMax => "length above its bound",
        Error::NonZeroPadding => "padding that is not zero",
        _ => "invalid value",
    }
}
