//! Why bytes are not a value of a type.

use std::fmt;

/// Why a payload could not be decoded, and in which field.
///
/// ```
/// let error = flowctl_sdk::codec::from_bytes::<bool>(&[2]).unwrap_err();
/// assert_eq!(error.to_string(), "`2` is no bool");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError(Box<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    reason: Reason,
    /// innermost first
    fields: Vec<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reason {
    EndOfInput,
    IntegerTooLarge,
    Bool(u8),
    OptionTag(u8),
    NotUtf8,
    NotOneChar,
    Case { type_name: &'static str, case: u32 },
    Trailing(usize),
}

impl DecodeError {
    #[cold]
    pub(super) fn new(reason: Reason) -> Self {
        Self(Box::new(Inner { reason, fields: Vec::new() }))
    }

    #[cold]
    pub(super) fn trailing(n_bytes: usize) -> Self {
        Self::new(Reason::Trailing(n_bytes))
    }

    /// The error for a case index that an enum or variant does not have.
    ///
    /// ```
    /// let error = flowctl_sdk::codec::DecodeError::unknown_case("status", 9);
    /// assert_eq!(error.to_string(), "`status` has no case 9");
    /// ```
    #[cold]
    #[must_use]
    pub fn unknown_case(type_name: &'static str, case: u32) -> Self {
        Self::new(Reason::Case { type_name, case })
    }

    /// Says in which field of a record the error occurred.
    ///
    /// ```
    /// let error = flowctl_sdk::codec::DecodeError::unknown_case("status", 9).in_field("status");
    /// assert_eq!(error.to_string(), "`status` has no case 9, in field `status`");
    /// ```
    #[cold]
    #[must_use]
    pub fn in_field(mut self, name: &'static str) -> Self {
        self.0.fields.push(name);
        self
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.reason {
            Reason::EndOfInput => f.write_str("the bytes end too early")?,
            Reason::IntegerTooLarge => f.write_str("an integer is too large for its type")?,
            Reason::Bool(byte) => write!(f, "`{byte}` is no bool")?,
            Reason::OptionTag(byte) => write!(f, "`{byte}` is neither none nor some")?,
            Reason::NotUtf8 => f.write_str("a string is not UTF-8")?,
            Reason::NotOneChar => f.write_str("a char is not exactly one character")?,
            Reason::Case { type_name, case } => write!(f, "`{type_name}` has no case {case}")?,
            Reason::Trailing(1) => f.write_str("1 byte is left over")?,
            Reason::Trailing(n_bytes) => write!(f, "{n_bytes} bytes are left over")?,
        }
        if !self.0.fields.is_empty() {
            f.write_str(", in field `")?;
            for (index, field) in self.0.fields.iter().rev().enumerate() {
                if index > 0 {
                    f.write_str(".")?;
                }
                f.write_str(field)?;
            }
            f.write_str("`")?;
        }
        Ok(())
    }
}

impl std::error::Error for DecodeError {}

impl From<DecodeError> for String {
    fn from(error: DecodeError) -> Self {
        error.to_string()
    }
}
