//! JSON's words, numbers and strings.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::JsonReader;
use crate::fault::{Fault, Outcome};
use crate::{text, varint};

/// Takes base64 with and without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl<'a> JsonReader<'a> {
    pub(super) fn bool(&mut self) -> Outcome<bool> {
        let rest = &self.text[self.pos..];
        if rest.starts_with(b"true") {
            self.pos += 4;
            Ok(true)
        } else if rest.starts_with(b"false") {
            self.pos += 5;
            Ok(false)
        } else {
            Err(self.expected("a bool"))
        }
    }

    pub(super) fn unsigned(&mut self, name: &str, max: u64) -> Outcome<u64> {
        let start = self.pos;
        match self.integer(name)? {
            (false, value) if value <= max => Ok(value),
            (true, 0) => Ok(0),
            _ => Err(Fault::new(start, format!("a `{name}` is 0 to {max}"))),
        }
    }

    pub(super) fn signed(&mut self, name: &str, max: i64) -> Outcome<i64> {
        let start = self.pos;
        let limit = max as u64;
        match self.integer(name)? {
            (false, value) if value <= limit => Ok(value as i64),
            (true, value) if value <= limit + 1 => Ok((value as i64).wrapping_neg()),
            _ => Err(Fault::new(start, format!("an `{name}` is {} to {max}", -max - 1))),
        }
    }

    /// Sign and magnitude. What passes 64 bits counts as the largest magnitude with a
    /// sign that fits no type.
    #[inline]
    fn integer(&mut self, name: &str) -> Outcome<(bool, u64)> {
        let start = self.pos;
        let is_negative = self.peek() == Some(b'-');
        let first = start + usize::from(is_negative);
        let mut pos = first;
        let mut value: u64 = 0;
        let mut fits = true;
        while let Some(digit @ b'0'..=b'9') = self.text.get(pos) {
            let digit = u64::from(digit - b'0');
            match value.checked_mul(10).and_then(|tens| tens.checked_add(digit)) {
                Some(sum) => value = sum,
                None => fits = false,
            }
            pos += 1;
        }
        if pos == first {
            return Err(self.expected(&format!("a number (`{name}`)")));
        }
        if pos - first > 1 && self.text[first] == b'0' {
            return Err(Fault::new(start, "a number with a leading zero"));
        }
        if let Some(b'.' | b'e' | b'E') = self.text.get(pos) {
            return Err(Fault::new(start, format!("a `{name}` is written with digits alone, without `.` or exponent")));
        }
        self.pos = pos;
        Ok(if fits { (is_negative, value) } else { (true, u64::MAX) })
    }

    pub(super) fn float<F: std::str::FromStr + Copy>(
        &mut self,
        name: &str,
        special: [F; 3],
        is_finite: fn(F) -> bool,
    ) -> Outcome<F> {
        if self.peek() == Some(b'"') {
            for (text, value) in [&b"\"NaN\""[..], b"\"Infinity\"", b"\"-Infinity\""].into_iter().zip(special) {
                if self.text[self.pos..].starts_with(text) {
                    self.pos += text.len();
                    return Ok(value);
                }
            }
        }
        let start = self.pos;
        let Some(end) = number_end(self.text, start) else {
            return Err(self.expected(&format!("a number (`{name}`)")));
        };
        self.pos = end;
        let value = std::str::from_utf8(&self.text[start..end]).ok().and_then(|digits| digits.parse().ok());
        match value {
            Some(value) if is_finite(value) => Ok(value),
            _ => Err(Fault::new(start, format!("a number out of the range of `{name}`"))),
        }
    }

    #[inline]
    pub(super) fn string(&mut self, out: &mut Vec<u8>) -> Outcome {
        if self.peek() != Some(b'"') {
            return Err(self.expected("a string"));
        }
        let start = self.pos + 1;
        let rest = &self.text[start..];
        let length = text::plain_len(rest);
        if rest.get(length) == Some(&b'"') {
            self.pos = start + length + 1;
            varint::push(out, length as u64);
            out.extend_from_slice(&rest[..length]);
            return Ok(());
        }
        let at = out.len();
        out.push(0);
        self.unescape(out)?;
        let length = out.len() - at - 1;
        varint::fill_length(out, at, length);
        Ok(())
    }

    pub(super) fn char(&mut self, out: &mut Vec<u8>) -> Outcome {
        let start = self.pos;
        let at = out.len();
        self.string(out)?;
        // A character has at most four bytes, so its length takes one.
        let is_char = std::str::from_utf8(&out[at + 1..]).is_ok_and(|text| {
            let mut chars = text.chars();
            chars.next().is_some() && chars.next().is_none()
        });
        if !is_char {
            return Err(Fault::new(start, "a char is a string of one character"));
        }
        Ok(())
    }

    /// The bytes of a base64 string, with their length before them.
    pub(super) fn base64(&mut self, out: &mut Vec<u8>) -> Outcome {
        self.decode_base64(out, |out, length| varint::push(out, length as u64))
    }

    /// The bytes of the base64 string that is the whole text.
    pub(crate) fn opaque(&mut self, out: &mut Vec<u8>) -> Outcome {
        self.space();
        self.decode_base64(out, |_, _| ())
    }

    fn decode_base64(&mut self, out: &mut Vec<u8>, announce: fn(&mut Vec<u8>, usize)) -> Outcome {
        let start = self.pos;
        let encoded = self.key("a base64 string")?;
        let encoded = encoded.as_bytes();
        let n_padding = encoded.iter().rev().take(2).filter(|byte| **byte == b'=').count();
        let length = (encoded.len() - n_padding) * 3 / 4;
        announce(out, length);
        let at = out.len();
        out.resize(at + length, 0);
        match BASE64.decode_slice(encoded, &mut out[at..]) {
            Ok(decoded) if decoded == length => Ok(()),
            _ => Err(Fault::new(start, "a string that is not base64")),
        }
    }

    /// A string, unescaped.
    pub(super) fn key(&mut self, what: &str) -> Outcome<Cow<'a, str>> {
        if self.peek() != Some(b'"') {
            return Err(self.expected(what));
        }
        let start = self.pos + 1;
        let text = self.text;
        let rest = &text[start..];
        let length = text::plain_len(rest);
        if rest.get(length) == Some(&b'"') {
            self.pos = start + length + 1;
            // Checked as a whole; quotes cut it between characters.
            return Ok(String::from_utf8_lossy(&rest[..length]));
        }
        let mut unescaped = Vec::new();
        self.unescape(&mut unescaped)?;
        Ok(Cow::Owned(String::from_utf8_lossy(&unescaped).into_owned()))
    }

    /// Appends the string at hand, without quotes and escapes.
    #[cold]
    fn unescape(&mut self, out: &mut Vec<u8>) -> Outcome {
        self.pos += 1;
        loop {
            let rest = &self.text[self.pos..];
            let length = text::plain_len(rest);
            out.extend_from_slice(&rest[..length]);
            self.pos += length;
            match rest.get(length) {
                Some(b'"') => {
                    self.pos += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape(out)?,
                Some(_) => {
                    return Err(Fault::new(self.pos, "a control character within a string: write it as `\\u00…`"));
                }
                None => return Err(Fault::new(self.pos, "a string without an end")),
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Outcome {
        let start = self.pos;
        let byte = match self.text.get(start + 1) {
            Some(byte @ (b'"' | b'\\' | b'/')) => *byte,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'b') => 0x08,
            Some(b'f') => 0x0c,
            Some(b'u') => return self.escaped_char(out),
            _ => return Err(Fault::new(start, "an unknown escape")),
        };
        out.push(byte);
        self.pos = start + 2;
        Ok(())
    }

    fn escaped_char(&mut self, out: &mut Vec<u8>) -> Outcome {
        let start = self.pos;
        let unit = |at: usize| {
            let digits = self.text.get(at..at + 6)?.strip_prefix(b"\\u")?;
            digits.iter().try_fold(0, |sum, digit| Some(sum * 16 + char::from(*digit).to_digit(16)?))
        };
        let found = match unit(start) {
            Some(high @ 0xd800..=0xdbff) => unit(start + 6)
                .filter(|low| (0xdc00..=0xdfff).contains(low))
                .map(|low| (0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00), 12)),
            other => other.map(|unit| (unit, 6)),
        };
        let Some((c, length)) = found.and_then(|(code, length)| Some((char::from_u32(code)?, length))) else {
            return Err(Fault::new(start, "an escape that is no character"));
        };
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        self.pos = start + length;
        Ok(())
    }
}

/// The end of the JSON number at `start`; none where there is none.
fn number_end(text: &[u8], start: usize) -> Option<usize> {
    let digits = |from: usize| {
        let n = text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        (n > 0).then_some(from + n)
    };
    let first = start + usize::from(text.get(start) == Some(&b'-'));
    let mut end = digits(first)?;
    if end - first > 1 && text[first] == b'0' {
        return None;
    }
    if text.get(end) == Some(&b'.') {
        end = digits(end + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(end) {
        let signed = end + 1 + usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        end = digits(signed)?;
    }
    Some(end)
}
